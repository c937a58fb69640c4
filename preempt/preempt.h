/* SPDX-License-Identifier: MIT */
/*
 * Preemption by signals: what the scheduler sees of it.
 *
 *	preemptone -> SIGURG to the thread -> preempt_handler_sig, on the alternate stack: may the
 *	goroutine be moved (safepoint_sig.c)? then asyncpreempt is injected as if the
 *	interrupted instruction had called it -> gopreempt
 */
#ifndef URGE_PREEMPT_PREEMPT_H
#define URGE_PREEMPT_PREEMPT_H

#include "preempt/reason.h"
#include "sched/runtime2.h"

#include <stdbool.h>
#include <stdint.h>

/* Boot: finds out what can be preempted, and installs the handlers. fini gives them back. */
int preempt_init(void);
void preempt_fini(void);

/* On a new M's thread: the bounds of its thread-local storage. */
void preempt_minit(struct m *mp);

/* On an M's thread, once it has its alternate stack: the signal mask that goroutines run with. */
void preempt_unblock(void);

/*
 * Asks pp's goroutine to stop: a flag that it finds at its next exit from the runtime, and a signal
 * if the policy allows. seen_running: its thread was not blocked in the kernel right before. Any
 * thread; never blocks.
 */
void preemptone(struct p *pp, bool seen_running);

/* The flag alone. sysmon sends the signal to the owner of a draining P that was asked. */
void preempt_ask(const struct p *pp);

/* preemptone for one M that may have lost its P. */
void preempt_stray(struct m *mp, bool seen_running);

/* The same, with the signal whatever the policy: when the world ends. */
void preempt_discard(struct m *mp);

/*
 * On mp's thread, which has set incall and executed a full barrier: returns when no signal of ours
 * is on its way to it.
 */
void preempt_wait_out(const struct m *mp);

/* Bits of m.signal_sent beside the time. */
enum {
	SIGNAL_BEING_SENT = 1,   /* on its way into the kernel */
	SIGNAL_HANDLED = 2,      /* and out again, before the sender had noted that it was sent */
	SIGNAL_SEEN_RUNNING = 4, /* the thread was not blocked in the kernel right before */
	SIGNAL_BITS = 7,
	SIGNAL_EVEN_IN_CALL = 8, /* how it is sent: never in signal_sent */
};

/*
 * How often a goroutine in a library is let go before it is parked. Of the stops of loops that are
 * in libc for a third of the time, 13 % were parkings with 1, 5 % with 2, 1 % with 4; each costs a
 * signal, and whoever waits some 60 us. A parking costs little more than a move, but may stop the
 * holder of a lock.
 */
enum { DEFERRALS_MAX = 2 };

/* gp, which runs on mp, ends: it holds nothing of the thread any more. */
void pins_clear(struct m *mp, struct g *gp);

/* ---- how long it takes ---------------------------------------------------------------------- */

/* How a goroutine was stopped whose successor on the P does not run yet. */
enum preempt_way {
	WAY_NONE, /* by itself: nothing is measured */
	WAY_INJECTED,
	WAY_PARKED,
	WAY_DEFERRED, /* at its next exit from the runtime */
	WAYS,
};

/* From the first request until the next goroutine runs, by enum preempt_way; whoever runs it adds. */
extern struct timehist preempt_latency[WAYS];

/* The measurement goes on with the P, which the caller is about to give to an M that sleeps. */
static inline void preempt_passes_on(struct m *to, int64_t asked, enum preempt_way way)
{
	if (way == WAY_NONE)
		return;
	store_rlx_i64(&to->asked, asked);
	to->preempted = (uint8_t)way;
	store_rlx_u32(&to->preempt, 1);
}

/*
 * Another goroutine is about to run on the calling thread's mp, of which mp->preempt was asked to
 * make room: takes the request back, and measures. Signal-safe.
 */
void preempt_answered(struct m *mp);

/* ---- counters ------------------------------------------------------------------------------ */

struct preempt_counters {
	struct atomic_u64 requests, injected, parked, revoked;
	struct atomic_u64 interrupted; /* system calls that returned EINTR because of us */
	struct atomic_u64 left[LEFT_N];
};
extern struct preempt_counters preempt_counters;

/* How long it took to stop the world, and how long until it went on. One stopper at a time writes. */
struct stw_times {
	struct timehist stopping, total;
};
extern struct stw_times stw_times;

/* ---- revocation: revoke.c ------------------------------------------------------------------ */

/*
 * sysmon: takes pp away from its M, which is blocked in the kernel outside the runtime, and hands
 * it off; if it waits for a lock, to the goroutine that has been parked longest: it may hold the
 * lock. False: the M was in the runtime, or has come back.
 */
bool revokep(struct p *pp, bool waits_for_lock);

/*
 * On mp's thread, which has set mp->locks: does it have its P still? If not, mp->p is NULL now. To
 * be called when mp->attn is not 0. Signal-safe.
 */
bool revoke_settle(struct m *mp);

/* sysmon: signals those that run on without the P that was taken from them. When to look again. */
int64_t strays_look(int64_t now);

/* ---- stop the world: stw.c ----------------------------------------------------------------- */

/* findrunnable: the calling M's P is wanted by a stop; returns when it has been given one again. */
void gcstopm(struct m *mp);

/*
 * The handler: if the world is being stopped, the calling M's P stops, and the M has none. False:
 * it is not, or mp's goroutine is the one that stops it.
 */
bool world_takes_p(struct m *mp);

/* A P that its owner can't use, with sched.lock, while the world is being stopped. */
void pstopped(struct p *pp);

/*
 * Fatal if gp, which forks, has stopped the world: fork takes malloc's locks, which others hold who
 * stand still. In the child nobody has stopped it.
 */
void stw_before_fork(const struct g *gp);
void stw_after_fork(void);

/*
 * Between looks of the one who stops the world, from his P `own`, and has waited so long (ns): a
 * line on stderr from time to time that says for whom. *next is 0 at first: when that is.
 */
void stw_tell(const struct p *own, const char *why, int64_t waited, int64_t *next);

/* The world is stopped, or being stopped; why, NULL if it is not. */
bool world_stopping(void);
const char *world_why(void);

#endif
