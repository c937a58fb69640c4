/* SPDX-License-Identifier: MIT */
/*
 * The end of a world: how urge_main returns.
 *
 * When goroutine 1 returns, the other goroutines are not waited for. Every P is marked, so that
 * each M, at its next scheduling point, leaves the scheduler and ends its thread; goroutines that
 * compute are brought there by preemption (they may stop wherever they hold no library's lock: they
 * will never resume). The calling thread, which may be running any of them, comes out of
 * schedule_loop like the others. One whose thread is blocked in the kernel is left behind, a
 * *stray*: it keeps its stack, its thread and its M, and ends at its next call of this library. If
 * it is the calling thread that is blocked so, its goroutine is abandoned in the middle of the
 * call.
 *
 * sysmon drives this: at each look it signals those that still run, and takes note of who has been
 * asleep in the kernel for a while. The calling thread, out of the scheduler, waits until a whole
 * look has found nobody running.
 */
#define URGE_KEEP_ERRNO
#include "sched/exit.h"

#include "kernelshim/clock.h"
#include "kernelshim/context.h"
#include "kernelshim/fdprint.h"
#include "kernelshim/futex.h"
#include "kernelshim/sanitizer.h"
#include "kernelshim/thread.h"
#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/boot.h"
#include "sched/fatal.h"
#include "sched/g.h"
#include "sched/lock.h"
#include "sched/lockedm.h"
#include "sched/m.h"
#include "sched/netpoll.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/sysmon.h"

#define EXIT_BLOCKED_NS INT64_C(50000000) /* asleep at every look for so long: blocked */
#define EXIT_COMPLAIN_NS INT64_C(1000000000)
#define EXIT_LOOK_NS INT64_C(200000)

static struct {
	/* sysmon */
	int64_t since;
	bool complained;
	struct atomic_u32 looks;   /* counts looks, when they are over */
	struct atomic_u32 running; /* Ms that ran a goroutine at the last look */
} ending;

bool world_exiting(void)
{
	return load_acq_u32(&sched.phase) == PHASE_EXITING;
}

void world_end(void)
{
	if (!enter())
		throw_("world_end: no goroutine");
	ending.since = nanotime();
	ending.complained = false;
	store_rel_u32(&sched.running, 0);
	store_rel_u32(&sched.phase, PHASE_EXITING);
	lock(&sched.lock); /* whoever is about to park or to resize has done so, or will see the phase */
	for_each_p(pp)
		or_u32(&pp->attn, PATTN_EXIT);
	unlock(&sched.lock);
	mretire_all();
	waitpoint_kick(&netpoll_point);
	waitpoint_kick(&sysmon_point);
	goexit();
}

/* ---- the looks, by sysmon ------------------------------------------------------------------ */

struct survivors {
	int64_t now;
	uint32_t running;
	const struct m *example;
};

/* Between enter and leave; a declared system call is no such place. */
static bool in_runtime(const struct m *mp)
{
	return __atomic_load_n(&mp->locks, __ATOMIC_RELAXED) > 0 &&
	       !__atomic_load_n(&mp->incall, __ATOMIC_RELAXED);
}

/*
 * Is mp still at it, or has it been asleep in the kernel at every look for a while? No signal to a
 * sleeper: it would be awake at the next look. A thread that waits for a CPU is not asleep, however
 * long that takes.
 */
static void look_at_survivor(struct m *mp, void *arg)
{
	struct survivors *s = arg;

	if (!__atomic_load_n(&mp->curg, __ATOMIC_RELAXED))
		return; /* on g0: on its way out; or sysmon, or a spare */
	if (load_rlx_u32(&mp->attn) & MATTN_ENDED)
		return; /* a stray of a former world */
	if (in_runtime(mp) || thread_runnable((int)load_rlx_u32(&mp->tid))) {
		mp->exit_since = s->now;
		preempt_discard(mp);
	} else if (mp->exit_since == 0) {
		mp->exit_since = s->now;
	}
	if (s->now - mp->exit_since <= EXIT_BLOCKED_NS || mp == sched.m0) {
		s->running++;
		s->example = mp;
	}
	/* the calling thread must come back: see preempt_handler_sig */
	if (s->now - mp->exit_since > EXIT_BLOCKED_NS && mp == sched.m0) {
		store_rel_u32(&mp->abandon, 1);
		preempt_discard(mp);
	}
}

static void complain_of(const struct m *mp)
{
	struct fdprint out;
	const struct g *gp = __atomic_load_n(&mp->curg, __ATOMIC_RELAXED);

	if (!gp)
		return;
	fdp_init(&out, 2);
	fdp_str(&out, "urge_main: waiting for goroutine ");
	fdp_u64(&out, gp->goid);
	fdp_str(&out, " to leave a library's code\n");
	fdp_flush(&out);
}

int64_t world_exit_tick(int64_t now)
{
	struct survivors s = { .now = now };

	if (!world_exiting())
		return INT64_MAX;
	forEachM(look_at_survivor, &s);
	mretire_all();
	lockedm_release_all();
	if (s.running > 0 && !ending.complained && now - ending.since > EXIT_COMPLAIN_NS) {
		complain_of(s.example);
		ending.complained = true;
	}
	store_rlx_u32(&ending.running, s.running);
	add_u32(&ending.looks, 1);
	return now + EXIT_LOOK_NS;
}

/* ---- the Ms -------------------------------------------------------------------------------- */

void world_mexit(struct m *mp)
{
	if (mp->p && !(load_rlx_u32(&mp->attn) & MATTN_ENDED))
		releasep(mp);
	__atomic_store_n(&mp->p, NULL, __ATOMIC_RELAXED);
	if (!(load_rlx_u32(&mp->attn) & MATTN_ENDED))
		mrunning_less();
}

_Noreturn void world_ended(struct m *mp)
{
	__atomic_store_n(&mp->locks, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&mp->curg, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&mp->p, NULL, __ATOMIC_RELAXED);
	mp->after.fn = NULL;
	/* with frames below, if its goroutine was in urge_blocking: they will never return */
	sanitizer_reuse((void *)mp->g0.stack_lo, (uintptr_t)mp->g0.ctx.sp - mp->g0.stack_lo);
	sanitizer_start_switch(NULL, (void *)mp->g0.stack_lo, mp->g0.stack_hi - mp->g0.stack_lo,
			       mp->g0.tsan_fiber);
	context_load(&mp->g0.ctx);
}

bool exit_is_stray(const struct g *gp)
{
	const struct m *mp = load_rlx_ptr(&gp->m);

	return mp && load_rlx_u32(&mp->attn) & MATTN_ENDED && mp->curg == gp;
}

/* ---- the calling thread -------------------------------------------------------------------- */

static void become_stray(struct m *mp, void *arg)
{
	(void)arg;
	if (__atomic_load_n(&mp->curg, __ATOMIC_RELAXED))
		or_u32(&mp->attn, MATTN_ENDED); /* pairs with load in enter */
}

/*
 * A stray that wakes up just now may be in the runtime already:
 *
 *	enter				here
 *	locks = 1			attn = 1
 *	barrier				mb_rare
 *	attn? then end			locks? then wait
 *
 * One of the two sees the other.
 */
static void look_into_runtime(struct m *mp, void *arg)
{
	if (load_rlx_u32(&mp->attn) & MATTN_ENDED && __atomic_load_n(&mp->curg, __ATOMIC_RELAXED) &&
	    in_runtime(mp))
		*(bool *)arg = true;
}

static void count_stray(struct m *mp, void *arg)
{
	if (load_rlx_u32(&mp->attn) & MATTN_ENDED)
		++*(uint32_t *)arg;
}

static void nap(void)
{
	const uint32_t nobody_wakes = 0;

	futex_wait(&nobody_wakes, 0, nanotime() + EXIT_LOOK_NS);
}

void exit_wait_for_others(void)
{
	uint32_t looks = load_acq_u32(&ending.looks);

	/* the look that is under way may have begun before this thread was out: so two */
	while (load_acq_u32(&ending.looks) - looks < 2 || load_rlx_u32(&ending.running) > 0)
		nap();
	forEachM(become_stray, NULL);
	mb_rare(); /* pairs with the barrier in enter */
	for (;;) {
		bool inside = false;

		forEachM(look_into_runtime, &inside);
		if (!inside)
			break;
		nap();
	}
}

/* Threads that have left the scheduler end within microseconds; a loaded machine may take longer. */
void exit_wait_for_threads(void)
{
	for (;;) {
		uint32_t strays = 0;

		forEachM(count_stray, &strays);
		/* a thread counts itself, then is no longer starting: it is in one of the two; or ends */
		if (template_starting() == 0 && load_acq_u32(&sched.nthreads) <= 1 + strays &&
		    template_ending() == 0)
			return;
		nap();
	}
}
