/* SPDX-License-Identifier: MIT */
/*
 * urge_gomaxprocs_auto: GOMAXPROCS follows what the program can use and what the machine has left.
 *
 * sysmon takes a sample every 10 ms while somebody is busy (goroutines that wait, Ps that are idle)
 * and decides after 16 of them, with the CPU time and the involuntary context switches of the whole
 * process meanwhile:
 *
 *	crowded	busy Ps had half a CPU less than their number, and the kernel took CPUs away from
 *		them: others want the CPUs, so more Ps only make threads wait for each other: fewer
 *	more	somebody always waited, hardly a P was idle, and it was not crowded: more, up to what the
 *		system grants (maxprocs.c)
 *	fewer	more than one P was idle all the time, and nobody waited: one spare one is kept
 *
 * A busy P without a CPU but without involuntary switches is blocked in the kernel, in a call that
 * nobody declared: that is no reason to have fewer.
 *
 * It must settle. A wish counts when two windows in a row have it; and who turns around (more after
 * fewer, or the other way) waits for `hold` since the last change, which is four times as long each
 * time: so under a load that stays what it is there are at most log4(t / HOLD_MIN) + 1 turns in
 * time t, also where either number has a fault: one P too few, and another process that wants the
 * CPU of the next. hold shrinks again after a long time without a change, so that new loads are
 * answered quickly. It is a bound on turns, not an end of them: who never tries again does not
 * notice when the other process has gone. tests/programs/autoprocs.sh counts turns against it on
 * the laboratory's loads, Autoprocs.LeavesCpusToOthersWithoutOscillating on a model of a machine.
 */
#include "sched/autoprocs.h"

#include "kernelshim/fdprint.h"
#include "kernelshim/sys.h"
#include "sched/allp.h"
#include "sched/env.h"
#include "sched/maxprocs.h"
#include "sched/proc.h"
#include "sched/procresize.h"
#include "sched/runq.h"
#include "sched/urge.h"

#include <sys/resource.h>

#define LOOK_NS INT64_C(10000000)
#define WINDOW_NS (16 * LOOK_NS)
#define GRANTED_NS INT64_C(1000000000)
#define HOLD_MIN INT64_C(500000000)
#define HOLD_MAX INT64_C(600000000000)
#define HOLD_GROWS 4
#define CALM 8 /* so many times hold without a change, then hold halves */

enum {
	CROWDED_MISSING = 50,     /* CPUs that busy Ps did without, in hundredths */
	CROWDED_INVOLUNTARY = 20, /* switches a second, for each busy P */
};

/* ---- the decision -------------------------------------------------------------------------- */

/* By how many Ps, and in which direction. */
static int wish(const struct autoprocs_window *seen)
{
	int busy = seen->n * 100 - seen->idle;
	bool crowded = busy - seen->cpu >= CROWDED_MISSING &&
		       seen->involuntary * 100 >= CROWDED_INVOLUNTARY * busy;

	if (seen->n > seen->granted)
		return seen->granted - seen->n;
	if (crowded)
		return seen->n > 1 ? -1 : 0;
	if (seen->waiting >= 100 && seen->idle < 50) {
		int step = 1 + seen->n / 4;

		return seen->n + step > seen->granted ? seen->granted - seen->n : step;
	}
	if (seen->idle >= 150 && seen->waiting < 25)
		return -(seen->idle - 50) / 100;
	return 0;
}

int autoprocs_decide(struct autoprocs *state, const struct autoprocs_window *seen, int64_t now)
{
	int by = wish(seen), direction = by > 0 ? 1 : by < 0 ? -1 : 0;
	bool again = direction == state->wished, turns;

	state->wished = direction;
	if (state->hold == 0)
		state->hold = HOLD_MIN;
	if (now - state->changed > CALM * state->hold && state->hold > HOLD_MIN) {
		state->hold /= 2;
		state->changed = now - state->hold; /* the next halving takes as long again */
	}
	if (direction == 0 || !again)
		return seen->n;
	turns = state->direction == -direction;
	if (turns && now - state->changed < state->hold)
		return seen->n;
	if (turns && state->hold < HOLD_MAX)
		state->hold *= HOLD_GROWS;
	state->direction = direction;
	state->changed = now;
	return seen->n + by;
}

/* ---- samples ------------------------------------------------------------------------------- */

/* sysmon */
static struct autoprocs controller;
static struct {
	int64_t begin, cpu, involuntary; /* of the window; ns, ns, a count */
	int64_t last;                    /* the last sample */
	int samples, waiting, idle;      /* sums */
	int granted;
	int64_t granted_at;
} window;

static void read_usage(int64_t *cpu, int64_t *involuntary)
{
	struct rusage usage = { .ru_nivcsw = 0 };

	sys_call2(SYS_getrusage, RUSAGE_SELF, sys_ptr(&usage));
	*cpu = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000000) +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * INT64_C(1000);
	*involuntary = usage.ru_nivcsw;
}

static void begin_window(int64_t now)
{
	window.begin = now;
	window.samples = window.waiting = window.idle = 0;
	read_usage(&window.cpu, &window.involuntary);
}

static int count_waiting(void)
{
	const struct procs *procs = procs_begin();
	uint32_t n = globrunqsize();

	for (uint32_t i = 0; i < procs->count; i++)
		n += runqlen(procs->p[i]);
	procs_end();
	return n < 1000 ? (int)n : 1000;
}

static struct autoprocs_window end_window(int64_t now)
{
	int64_t cpu, involuntary, length = now - window.begin;

	if (now - window.granted_at >= GRANTED_NS) {
		window.granted = maxprocs_granted();
		window.granted_at = now;
	}
	read_usage(&cpu, &involuntary);
	return (struct autoprocs_window){
		.n = load_rlx_i32(&sched.gomaxprocs),
		.granted = window.granted,
		.waiting = window.waiting * 100 / window.samples,
		.idle = window.idle * 100 / window.samples,
		.cpu = (int)((cpu - window.cpu) * 100 / length),
		.involuntary = (int)((involuntary - window.involuntary) * 1000000000 / length),
	};
}

static void field(struct fdprint *out, const char *name, int hundredths)
{
	fdp_str(out, name);
	fdp_i64(out, hundredths / 100);
	fdp_char(out, '.');
	fdp_char(out, (char)('0' + hundredths / 10 % 10));
	fdp_char(out, (char)('0' + hundredths % 10));
}

static void trace(const struct autoprocs_window *seen, int n, int64_t now)
{
	struct fdprint out;

	fdp_init(&out, 2);
	fdp_str(&out, "AUTOPROCS ");
	fdp_i64(&out, (now - sched.starttime) / 1000000);
	fdp_str(&out, "ms: gomaxprocs=");
	fdp_i64(&out, seen->n);
	fdp_str(&out, "->");
	fdp_i64(&out, n);
	fdp_str(&out, " granted=");
	fdp_i64(&out, seen->granted);
	field(&out, " waiting=", seen->waiting);
	field(&out, " idle=", seen->idle);
	field(&out, " cpu=", seen->cpu);
	fdp_str(&out, " involuntary=");
	fdp_i64(&out, seen->involuntary);
	fdp_str(&out, " hold=");
	fdp_i64(&out, controller.hold / 1000000);
	fdp_str(&out, "ms\n");
	fdp_flush(&out);
}

int64_t autoprocs_look(int64_t now)
{
	struct autoprocs_window seen;
	int n;

	/* everybody was idle meanwhile, or it has just begun: what was seen before says nothing */
	if (now - window.last > 2 * LOOK_NS || window.samples == 0)
		begin_window(now);
	window.last = now;
	window.samples++;
	window.waiting += count_waiting();
	window.idle += (int)load_rlx_u32(&sched.npidle);
	if (now - window.begin < WINDOW_NS)
		return now + LOOK_NS;
	seen = end_window(now);
	n = autoprocs_decide(&controller, &seen, now);
	if (debugvars.autoprocstrace)
		trace(&seen, n, now);
	if (n != seen.n)
		procresize(n, MAXPROCS_AUTO);
	window.samples = 0;
	return now + LOOK_NS;
}

int urge_gomaxprocs_auto(bool on)
{
	struct m *mp;

	if (!load_acq_u32(&sched.running))
		return -EPERM;
	mp = enter();
	procresize_auto(on);
	if (mp)
		leave();
	return 0;
}
