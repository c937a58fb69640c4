/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's inner interface: parking and readying goroutines, and the loop that runs them.
 * What each function may block: nothing here blocks a thread, except schedule's idle thread.
 */
#ifndef URGE_SCHED_PROC_H
#define URGE_SCHED_PROC_H

#include "sched/allp.h"
#include "sched/boot.h"
#include "sched/exit.h"
#include "sched/fatal.h"
#include "sched/runtime2.h"
#include "sched/tls.h"

/* ---- entering and leaving the runtime ------------------------------------------------------ */

/* Fatal: the caller is in the runtime already. */
__attribute__((noreturn, cold)) void enter_misuse(const struct m *mp);

/* On the way in: the world has ended, or the M's P has been taken. Returns the M it comes out on. */
__attribute__((cold)) struct m *enter_attn(struct m *mp);

/* On the way out: a preemption that found us in the runtime is made good. */
__attribute__((cold)) void leave_preempted(struct m *mp);

/*
 * Every public function that touches the scheduler stands between the two. In between the thread is
 * not preempted, and (m.locks > 0) nobody may take its P. A goroutine that parks in between comes
 * out on another thread perhaps, with that thread's m.locks at 1 just the same: the state "in the
 * runtime" is handed over by each switch.
 *
 * enter returns NULL on a thread that is no M, or is one that runs no goroutine.
 */
static inline struct m *enter(void)
{
	struct m *mp = getm();

	if (unlikely(!mp || !mp->curg))
		return NULL;
	if (unlikely(mp->locks != 0))
		enter_misuse(mp);
	__atomic_store_n(&mp->locks, 1, __ATOMIC_RELAXED);
	barrier(); /* before everything that follows, for the handler on this thread */
	if (unlikely(load_rlx_u32(&mp->attn)))
		return enter_attn(mp);
	return mp;
}

/* mp: the calling thread's, if nobody has switched since it was got. */
static inline void leave_by(struct m *mp)
{
	__atomic_store_n(&mp->locks, 0, __ATOMIC_RELEASE); /* pairs with load_acq in revoke */
	barrier();
	if (unlikely(load_rlx_u32(&mp->preempt)))
		leave_preempted(mp);
}

static inline void leave(void)
{
	leave_by(getm());
}

/* ---- goroutines ---------------------------------------------------------------------------- */

/* Fatal if gp, which calls, is not on its stack: it is in a signal handler of the program's. */
static inline void check_stack(const struct g *gp)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0);

	if (unlikely(sp - gp->stack_lo > gp->stack_hi - gp->stack_lo))
		fatal("urge: blocking call on a signal stack");
}

/*
 * Parks the calling goroutine. unlockf(gp, arg) runs when its context is saved and its status is
 * Gwaiting, on another stack: from then on others may ready it. If it returns false the goroutine
 * is made runnable again. unlockf may take runtime locks; it may not switch.
 */
void gopark(park_unlock_fn unlockf, void *arg, enum waitreason reason);

/* Makes a parked goroutine runnable; the next one of the caller's P, if the caller has one. */
void goready(struct g *gp);

/* The same for a goroutine that calls; mp: its M. */
void goready_by(struct m *mp, struct g *gp);

/* The same for one that is runnable and in no queue yet. */
void goqueue(struct g *gp);

/*
 * Whom to switch to when the running goroutine stops: the next of this P if that needs no decision,
 * else g0, which the caller must switch to if it left somebody in m.nextg: no queue has him.
 */
struct g *pick_next(struct m *mp);

/* Gives the P to others; the goroutine goes behind the global queue. */
void gopreempt(void);

/* Lets the next one of this P run, if there is one; the goroutine goes to the ring's tail. */
void goyield(void);

/* ---- queues -------------------------------------------------------------------------------- */

/*
 * Puts q, n goroutines that somebody without a P has woken, into the global queues of their nodes,
 * and starts threads for them.
 */
void injectglist(struct gqueue *q, uint32_t n);

/* All global queues together, hogs included, about. */
uint32_t globrunqsize(void);

/* How many wait who are no hogs, max at most. On an M, or sysmon. */
uint32_t others_wait(uint32_t max);

/* Anybody runnable anywhere, besides those that run. */
bool anyone_waits(void);

/* ---- the loop ------------------------------------------------------------------------------ */

/* On g0: runs goroutines until the thread is to end. */
void schedule_loop(void);

/*
 * The last look on behalf of an idle P that no M has given up: after it came into the idle list.
 */
void idle_p_look(void);

/*
 * Something became runnable: gets an idle P running if nobody looks for work already, or sysmon to
 * watch. The latter not for an M in the scheduler, which looks at its own queue itself.
 */
void wakep(void);

/* The same for what waits elsewhere than in that queue. */
void wakep_elsewhere(void);

/* ---- barriers ------------------------------------------------------------------------------ */

/*
 * The two sides of the scheduler's Dekker protocols ("I store, then look at your store"). The
 * frequent side publishes work and looks whether anybody sleeps; the rare side says that it sleeps
 * and looks for work. With membarrier the rare side has the barrier executed on all CPUs, and the
 * frequent one pays nothing; without it both are fences.
 */
extern bool have_membarrier;
void mb_rare_slow(void);

static inline void mb_frequent(void)
{
	if (likely(have_membarrier))
		barrier();
	else
		smp_mb();
}

static inline void mb_rare(void)
{
	mb_rare_slow();
}

#endif
