/* SPDX-License-Identifier: MIT */
/*
 * sysmon: one sleep, no polling.
 *
 * It sleeps on its waiting point until the earliest of
 *	- the end of the slice of a running P, while somebody waits for a P; before that, looks
 *	  whether its thread is blocked in the kernel;
 *	- the time at which a hog may be stopped for somebody who is none (hog.c);
 *	- the owner of a P above GOMAXPROCS, until it has given it up;
 *	- the look at a system call that keeps a P while somebody waits;
 *	- a timer of a busy P (those whose M is idle are netpoll's);
 *	- the next line of schedtrace;
 *	- a second look at a suspected deadlock;
 *	- a look after the descriptors, when nobody else does (netpoll.c), or an event of theirs;
 *	- a look at what the system grants (maxprocs.c), while somebody is busy;
 * and for ever when there is nothing of these: an idle process costs no CPU. Go's sysmon polls at
 * 20 us to 10 ms instead, so that Go's timers and slices are late by as much.
 *
 * sysmon_watching says that it will look soon; or, while only hogs wait (hog.h), at the end of a
 * slice. Who makes a goroutine runnable while no P is idle reads it, and calls sysmon_watch when it
 * is too low; sysmon lowers it after a look that found nobody waiting, barrier, and looks once
 * more:
 *
 *	producer			sysmon
 *	goroutine into a queue		watching = 0
 *	mb_frequent			mb_rare (in waitpoint_sleep)
 *	watching? else sysmon_watch	anyone_waits? then sleep for a slice at most
 *
 * A slice's beginning is what schedule() noted; for goroutines that were switched to directly it is
 * the first look that sees them. A program that always has someone waiting thus costs one wake-up
 * a slice. Ends of slices that lie near each other are served by one wake-up.
 */
#include "sched/sysmon.h"

#include "kernelshim/clock.h"
#include "kernelshim/thread.h"
#include "kernelshim/threadstate.h"
#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/boot.h"
#include "sched/deadlock.h"
#include "sched/exit.h"
#include "sched/hog.h"
#include "sched/lock.h"
#include "sched/lockcycle.h"
#include "sched/lockedm.h"
#include "sched/m.h"
#include "sched/maxprocs.h"
#include "sched/netpoll.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/procresize.h"
#include "sched/runq.h"
#include "sched/schedtrace.h"
#include "sched/syscall.h"
#include "sched/template.h"
#include "sched/time.h"
#include "sched/tls.h"
#include "sched/urge.h"

#include <sys/syscall.h>

enum {
	SYSCALL_LOOK_MIN = 20 * 1000, /* ns: Go's 20 us */
	SYSCALL_LOOK_MAX = 10 * 1000 * 1000,
	SYSCALL_LOOKS_IN_VAIN = 50,       /* then the interval doubles, as in Go */
	SYSMON_KERNEL_SLICE = 100 * 1000, /* EEVDF: the shortest that the kernel grants */
	SYSMON_NICE = 10,                 /* so much lower, if it may */
	RUN_LOOK_MIN = 100 * 1000,        /* the first look at a goroutine that runs */
	RUN_LOOK_SOON = 20 * 1000,        /* after one that was blocked: the next one may be, too */
	RUN_LOOK_MAX = 1000 * 1000,
	RUN_LOOKS_IN_VAIN = 50,
	BLOCKED_LOOK = 50 * 1000,  /* blocked at two looks, so far apart */
	DEFERRED_LOOK = 25 * 1000, /* it was left alone in a library: is it out again? */
	RESIZED_LOOK = 20 * 1000,  /* by then the call that has changed GOMAXPROCS is over */
	UNKNOWN_LOOKS = 4,         /* without progress, where the kernel does not tell the state */
};

struct waitpoint sysmon_point = { .epfd = -1, .timerfd = -1, .eventfd = -1 };
struct atomic_i64 sysmon_now;
struct atomic_u32 sysmon_watching;
struct atomic_i64 time_slice = { CONFIG_TIME_SLICE_US * INT64_C(1000) };

static struct atomic_u32 stop, suspected, resized, syscall_pending;
static struct atomic_i64 syscall_look = { SYSCALL_LOOK_MIN }; /* sysmon writes */
static struct atomic_i64 run_look = { RUN_LOOK_MIN };         /* the same */
static int in_vain, run_looks_in_vain;

/* So long after it has begun to run, a goroutine is looked at first. */
static int64_t first_look(void)
{
	int64_t slice = load_rlx_i64(&time_slice);
	int64_t look = load_rlx_i64(&run_look);

	return look < slice ? look : slice;
}

static int64_t next_look(uint32_t level, int64_t now)
{
	return now + (level == WATCH_ALL ? first_look() : load_rlx_i64(&time_slice));
}

void sysmon_watch(uint32_t level)
{
	uint32_t old;

	do {
		old = load_rlx_u32(&sysmon_watching);
		if (old >= level)
			return;
	} while (!cas_u32(&sysmon_watching, old, level));
	waitpoint_lower(&sysmon_point, next_look(level, nanotime()));
}

void sysmon_look(void)
{
	mb_frequent(); /* pairs with mb_rare in waitpoint_sleep: who is urgent is in a queue */
	waitpoint_lower(&sysmon_point, 1);
}

void sysmon_watch_syscall(void)
{
	if (load_rlx_u32(&syscall_pending) || xchg_u32(&syscall_pending, 1))
		return;
	waitpoint_lower(&sysmon_point, nanotime() + load_rlx_i64(&syscall_look));
}

void sysmon_resized(void)
{
	store_rel_u32(&resized, 1); /* pairs with xchg in sysmon */
	smp_mb();                   /* pairs with the barriers in waitpoint_sleep */
	waitpoint_lower(&sysmon_point, nanotime() + RESIZED_LOOK);
}

void sysmon_suspect_deadlock(void)
{
	store_rel_u32(&suspected, 1); /* pairs with xchg in sysmon */
	waitpoint_kick(&sysmon_point);
}

void sysmon_stop(void)
{
	store_rel_u32(&stop, 1); /* pairs with load_acq in sysmon */
	waitpoint_kick(&sysmon_point);
}

static int64_t min_i64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A P in a system call: takes it away after a look in vain, if anybody has a use for it. */
static int64_t look_at_syscall(struct p *pp, int64_t now, bool waits)
{
	uint32_t tick = load_rlx_u32(&pp->syscalltick);

	if (pp->sysmon_syscalltick != tick) {
		pp->sysmon_syscalltick = tick;
		pp->sysmon_syscallwhen = now;
	}
	if (load_rlx_u32(&pp->attn) == 0) {
		if (!waits)
			return INT64_MAX;
		if (now - pp->sysmon_syscallwhen < load_rlx_i64(&syscall_look))
			return pp->sysmon_syscallwhen + load_rlx_i64(&syscall_look);
	}
	if (syscall_retake(pp)) {
		syscall_was(true);
		in_vain = 0;
		store_rlx_i64(&syscall_look, SYSCALL_LOOK_MIN);
	}
	return INT64_MAX;
}

/*
 * Is pp's thread blocked, at this look and at the one before, without having run in between? Where
 * the kernel does not tell, CPU time decides alone, after more looks. Unknown: look again soon.
 */
static enum thread_state look_at_thread(struct p *pp, const struct m *mp, long *call)
{
	int tid = (int)load_rlx_u32(&mp->tid);
	enum thread_state state = thread_state(tid, call);
	int64_t cpu;

	if (state == THREAD_RUNS) {
		pp->sysmon_cpu = -1;
		return THREAD_RUNS;
	}
	cpu = thread_cputime(tid);
	if (cpu != pp->sysmon_cpu) {
		pp->sysmon_cpu = cpu;
		pp->sysmon_stuck = 0;
		return state == THREAD_BLOCKED ? THREAD_UNKNOWN : THREAD_RUNS;
	}
	if (state == THREAD_BLOCKED || ++pp->sysmon_stuck >= UNKNOWN_LOOKS)
		return THREAD_BLOCKED;
	return THREAD_UNKNOWN;
}

/*
 * The interval of first looks grows while there is nobody to take a P from, within three looks to
 * what it is usually. What counts as blocked for long (BLOCKED_LOOK) stays the same: else calls
 * that are only a little shorter would lose their Ps as soon as one of them had, and keep it so.
 */
static void run_backoff(bool in_vain_again)
{
	int64_t look = load_rlx_i64(&run_look);

	if (!in_vain_again) {
		run_looks_in_vain = 0;
		look = RUN_LOOK_SOON;
	} else if (look < RUN_LOOK_MIN) {
		look = min_i64(look * 2, RUN_LOOK_MIN);
	} else if (++run_looks_in_vain > RUN_LOOKS_IN_VAIN) {
		look = min_i64(look * 2, RUN_LOOK_MAX);
	}
	store_rlx_i64(&run_look, look);
}

/*
 * A running P that somebody waits for: takes it away if its thread is blocked in the kernel, and
 * asks for preemption when its slice is over, and soon again if that was put off; a thread that was
 * last seen blocked gets no signal. Returns when to look again.
 */
static int64_t look_at_running(struct p *pp, int64_t now, bool waits, uint32_t *others)
{
	int64_t slice = load_rlx_i64(&time_slice);
	uint64_t tick = load_rlx_u64(&pp->schedtick);
	const struct m *mp = load_rlx_ptr(&pp->m);
	int64_t stop = INT64_MAX; /* when it gives way to somebody who is no hog */
	int64_t early, ran;
	bool over, put_off, drains;
	long call;

	if (pp->sysmon_schedtick != tick) {
		pp->sysmon_schedtick = tick;
		pp->sysmon_schedwhen = now;
		if (load_rlx_u64(&pp->slicetick) == tick)
			pp->sysmon_schedwhen = load_rlx_i64(&pp->slicestart);
		pp->sysmon_look = pp->sysmon_schedwhen + first_look();
		pp->sysmon_asked = 0;
		if (pp->sysmon_defers > 0)
			pp->sysmon_defers--;
		pp->sysmon_cpu = -1;
		run_backoff(true);
	}
	if (!waits && load_rlx_u32(&pp->attn) == 0)
		return INT64_MAX;
	put_off =
		mp && pp->sysmon_asked > 0 && __atomic_load_n(&mp->deferrals, __ATOMIC_RELAXED) > 0;
	if (*others > 0 && hog_runs(pp, now))
		stop = put_off ? pp->sysmon_asked + DEFERRED_LOOK
			       : hog_stop_time(pp, pp->sysmon_schedwhen);
	drains = mp && load_rlx_u32(&pp->attn) & PATTN_DRAIN && pp->sysmon_asked == 0 &&
		 load_rlx_u32(&mp->preempt);
	early = (pp->sysmon_look - pp->sysmon_schedwhen) / 4; /* one wake-up for several Ps */
	if ((now < stop && now < pp->sysmon_look - early && !drains) || !mp)
		return min_i64(stop, pp->sysmon_look);
	over = drains || now - pp->sysmon_schedwhen >= slice - slice / 8;
	switch (look_at_thread(pp, mp, &call)) {
	case THREAD_BLOCKED:
		if (revokep(pp, call == SYS_futex)) {
			run_backoff(false);
			return INT64_MAX;
		}
		return pp->sysmon_look = now + BLOCKED_LOOK;
	case THREAD_UNKNOWN:
		return pp->sysmon_look = now + BLOCKED_LOOK;
	case THREAD_RUNS:
		break;
	}
	if (now >= stop) {
		--*others;
		if (put_off) /* the same stop goes on */
			pp->sysmon_defers = 2;
		else
			hog_stopped(pp, now);
		pp->sysmon_asked = now;
		preemptone(pp, true);
		return pp->sysmon_look = now + (pp->sysmon_defers ? DEFERRED_LOOK : BLOCKED_LOOK);
	}
	run_backoff(true);
	ran = now - pp->sysmon_schedwhen;
	if (!over)
		return pp->sysmon_look = min_i64(pp->sysmon_schedwhen + slice,
						 now + (ran > first_look() ? ran : first_look()));
	if (put_off)
		pp->sysmon_defers = 2; /* so will the next one be, perhaps */
	if (put_off || now - pp->sysmon_asked >= slice - slice / 8) {
		pp->sysmon_asked = now;
		preemptone(pp, true);
	}
	return pp->sysmon_look =
		       now + (pp->sysmon_defers ? DEFERRED_LOOK : min_i64(slice, first_look()));
}

/* While there are grace runs. */
static int64_t grace_due(int64_t now)
{
	if (parkedsize() > 0)
		return now + GRACE;
	store_rlx_u32(&sched.graces, 0);
	return INT64_MAX;
}

/* One look at every P. Returns when to look again. */
static int64_t retake(int64_t now)
{
	uint32_t others = others_wait(CONFIG_MAX_PROCS);
	bool waits = others > 0 || anyone_waits();
	const struct procs *procs;
	int64_t next = INT64_MAX;
	bool draining;

	if (world_exiting())
		return INT64_MAX; /* world_exit_tick sees to them, and must not see our signals */
	procs = procs_begin();
	for (uint32_t i = 0; i < procs->count; i++) {
		struct p *pp = procs->p[i];

		switch (load_acq_u32(&pp->status)) { /* pairs with store_rel in acquirep */
		case Prunning:
			next = min_i64(next, look_at_running(pp, now, waits, &others));
			break;
		case Psyscall:
			next = min_i64(next, look_at_syscall(pp, now, waits));
			break;
		default:
			break;
		}
	}
	draining = procs->count > procs->n;
	procs_end();
	if (draining && procs_trim())
		next = min_i64(next, now + load_rlx_i64(&time_slice));
	return next;
}

/* The interval of looks at system calls grows while they find nothing to do. */
static void syscall_backoff(void)
{
	if (!xchg_u32(&syscall_pending, 0))
		return;
	mb_rare(); /* pairs with mb_frequent in urge_entersyscall: its status is seen */
	if (++in_vain > SYSCALL_LOOKS_IN_VAIN)
		store_rlx_i64(&syscall_look,
			      min_i64(load_rlx_i64(&syscall_look) * 2, SYSCALL_LOOK_MAX));
}

/*
 * The second look of waitpoint_sleep. Timers belong to netpoll's sleeper while there is one; it may
 * know nothing yet of those that sysmon was going to look after.
 */
static int64_t earliest(void)
{
	int64_t next = min_i64(maxprocs_due(), procs_reclaim_due(nanotime()));
	int64_t timers = timers_earliest();

	if (load_acq_u32(&stop) || load_acq_u32(&suspected) || load_acq_u32(&resized))
		return 1;
	if (load_rlx_u32(&sysmon_watching) == WATCH_ALL || others_wait(1) > 0)
		next = min_i64(next, next_look(WATCH_ALL, nanotime()));
	else if (load_rlx_u32(&sysmon_watching) || anyone_waits())
		next = min_i64(next, next_look(WATCH_HOGS, nanotime()));
	if (netpoll_sleeps()) {
		waitpoint_lower(&netpoll_point, timers);
		return next;
	}
	return min_i64(next, min_i64(timers, netpoll_sysmon_until(nanotime())));
}

/*
 * How soon the kernel runs sysmon when a deadline has come, beside threads that compute. By the
 * short slice it comes before them, when it is owed CPU time. After a look it owes some; woken
 * again soon, it is put behind and then forgotten until the next tick, 4 ms. What it owes is
 * weighed by its nice value, and at 10 less it is a tenth. It uses some percent of a CPU at most.
 * Without the privilege: one wake-up in fifty beside loops in libc is late by 1 ms or more. (At 20
 * less those beside loops came sooner still, but with more threads than CPUs it took the CPU from
 * who was to go on: calls of urge_gomaxprocs lasted half as long again.)
 */
static void ask_for_cpu(void)
{
	thread_set_short_slice(SYSMON_KERNEL_SLICE);
	thread_lower_nice(SYSMON_NICE);
}

void sysmon(void)
{
	struct epoll_event events[3]; /* the waiting point's own, and the nested set's */
	int64_t recheck = INT64_MAX;
	bool event = false;

	ask_for_cpu();
	for (;;) {
		int64_t now = nanotime(), next, poll;
		bool fell_asleep;

		store_rlx_i64(&sysmon_now, now);
		if (load_acq_u32(&stop))
			break;
		syscall_backoff();
		timers_run_all(now);
		poll = netpoll_sysmon(now, event);
		template_serve_parked();
		xchg_u32(&resized, 0); /* pairs with store_rel in sysmon_resized */
		next = retake(now);
		if (next != INT64_MAX || anyone_waits()) {
			store_rlx_u32(&sysmon_watching, others_wait(1) ? WATCH_ALL : WATCH_HOGS);
			next = min_i64(next, now + load_rlx_i64(&time_slice));
			if (load_rlx_u32(&sched.graces) > 0)
				next = min_i64(next, grace_due(now));
			if (load_rlx_u32(&sched.npidle) > 0) /* a handler has queued one */
				wakep();
		} else {
			store_rlx_u32(&sysmon_watching, 0);
		}
		lockcycle_tell();
		fell_asleep = xchg_u32(&suspected, 0);
		if (fell_asleep || now >= recheck)
			recheck = checkdead(now, fell_asleep);
		next = min_i64(min_i64(next, recheck), poll);
		next = min_i64(next, strays_look(now));
		next = min_i64(next, schedtrace_tick(now));
		next = min_i64(next, world_exit_tick(now));
		next = min_i64(next, maxprocs_tick(now));
		procs_reclaim_tick(now);
		if (!netpoll_sleeps())
			next = min_i64(next, timers_earliest());
		event = waitpoint_sleep(&sysmon_point, next, earliest, events, ARRAY_SIZE(events)) >
			0;
	}
	store_rlx_u32(&stop, 0);
	store_rlx_u32(&sysmon_watching, 0);
	store_rlx_u32(&suspected, 0);
	store_rlx_u32(&resized, 0);
	thread_state_close();
}

int urge_set_time_slice(int64_t ns)
{
	if (ns < 50 * URGE_US || ns > 10 * URGE_S)
		return -EINVAL;
	store_rlx_i64(&time_slice, ns);
	if (load_acq_u32(&sched.running) && sysmon_point.eventfd >= 0)
		waitpoint_kick(&sysmon_point);
	return 0;
}
