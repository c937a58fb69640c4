/* SPDX-License-Identifier: MIT */
/*
 * WaitGroup.
 *
 * state: bits 0..31 the counter (signed), bit 32 LOCK, bits 33.. the number of waiters. One word, so
 * that done() is one atomic instruction unless it is the last with somebody waiting, and so that
 * the memory may be freed as soon as wait() has returned:
 *
 *	waiter, parked				last done()
 *	cas: LOCK, if the counter is not 0	counter := 0
 *	push itself				no waiters, no LOCK: never touch it again
 *	add: waiters + 1, LOCK off		else take LOCK, claim the list, state := 0,
 *	never touch it again			then wake them
 *
 * A waiter that finds the counter at 0 does not wait, and a waiter that holds LOCK has not been
 * counted yet, but is seen by the last done(), which waits for LOCK: so whoever is pushed is
 * woken, by exactly one. After the first one is woken the memory may be gone: the list is
 * walked through the waiters, which stay until they are woken themselves. One that gives up takes
 * LOCK, and itself out of the list, if done() has not.
 *
 * Goroutines that still waited when urge_main returned are no more, and neither are their entries:
 * the list of a former run (world) counts as empty. Threads of the program's wait in a list of their
 * own, since they go on waiting.
 *
 * A positive add() that finds the counter at 0 and somebody waiting is Go's misuse: the round is over,
 * and its waits are not. That a wait returns and finds the next round begun, which Go calls misuse
 * too, can't be said here: a wait that has been woken does not touch the memory.
 */
#define URGE_KEEP_ERRNO
#include "sched/urge.h"

#include "sched/fatal.h"
#include "sched/proc.h"
#include "sched/sleeper.h"

#include <errno.h>
#include <sched.h>

#define LOCKED (UINT64_C(1) << 32)
#define WAITER (UINT64_C(1) << 33)

struct waiter {
	struct sleeper sleeper;
	urge_waitgroup *wg;
	/* LOCK; then whoever has claimed it */
	struct waiter *next, **at; /* at: the pointer to this one; NULL: in no list */
};

static inline struct atomic_u64 *state(urge_waitgroup *wg)
{
	return (struct atomic_u64 *)&wg->state_;
}

static inline int32_t counter(uint64_t st)
{
	return (int32_t)(uint32_t)st;
}

/* With LOCK, or for a guess: the goroutines in the list are of a run of urge_main that is over. */
static inline bool of_former_world(const urge_waitgroup *wg)
{
	return __atomic_load_n(&wg->world_, __ATOMIC_RELAXED) != sched.starttime;
}

static void forget_former_world(urge_waitgroup *wg)
{
	if (likely(!of_former_world(wg)))
		return;
	wg->waiters_ = NULL;
	__atomic_store_n(&wg->world_, sched.starttime, __ATOMIC_RELAXED);
}

static void pause_for_lock(unsigned *spins)
{
	if (++*spins < 100)
		cpu_relax();
	else
		sched_yield(); /* its holder has lost the CPU */
}

/* Takes LOCK; false: not taken, since the counter is 0 and unless_zero. */
static bool take_lock(urge_waitgroup *wg, bool unless_zero)
{
	unsigned spins = 0;

	for (;;) {
		uint64_t st = load_acq_u64(state(wg));

		if (unless_zero && counter(st) == 0)
			return false;
		if (st & LOCKED)
			pause_for_lock(&spins);
		else if (cas_u64(state(wg), st, st | LOCKED))
			return true;
	}
}

/* On the new side of the switch. */
static bool enqueue(struct g *gp, void *arg)
{
	struct waiter *w = arg;
	urge_waitgroup *wg = w->wg;

	if (!take_lock(wg, true))
		return false;
	forget_former_world(wg);
	w->at = (struct waiter **)(gp ? &wg->waiters_ : &wg->threads_);
	w->next = *w->at;
	if (w->next)
		w->next->at = &w->next;
	*w->at = w;
	add_u64(state(wg), WAITER - LOCKED);
	return true;
}

/* Its deadline has passed. */
static void withdraw(struct waiter *w)
{
	urge_waitgroup *wg = w->wg;

	take_lock(wg, false);
	if (w->at) {
		*w->at = w->next;
		if (w->next)
			w->next->at = w->at;
		sub_u64(state(wg), WAITER + LOCKED);
	} else {
		sub_u64(state(wg), LOCKED);
	}
}

/* Takes a list, with LOCK: those that have not given up are appended at *end. */
static struct waiter **claim_all(void **list, struct waiter **end)
{
	for (struct waiter *w = *list; w; w = w->next) {
		w->at = NULL;
		if (sleeper_claim(&w->sleeper)) {
			*end = w;
			end = &w->next;
		}
	}
	*list = NULL;
	return end;
}

/* The counter has become 0 and somebody waits. */
static void release(urge_waitgroup *wg)
{
	struct waiter *claimed = NULL, **end = &claimed, *w;

	take_lock(wg, false);
	forget_former_world(wg);
	end = claim_all(&wg->waiters_, end);
	end = claim_all(&wg->threads_, end);
	*end = NULL;
	and_u64(state(wg), UINT32_MAX);
	while (claimed) {
		w = claimed;
		claimed = w->next;
		sleeper_wake(&w->sleeper);
	}
}

static void add(urge_waitgroup *wg, int n)
{
	uint64_t st;

	/* Subtracted rather than added as a negative number: no carry may go into the upper half. */
	if (n >= 0)
		st = add_u64(state(wg), (uint64_t)n);
	else
		st = sub_u64(state(wg), (uint64_t) - (int64_t)n);
	if (unlikely(counter(st) < 0))
		fatal("sync: negative WaitGroup counter");
	if (likely(st >> 32 == 0))
		return;
	if (n < 0 && counter(st) == 0)
		release(wg);
	else if (unlikely(st >= WAITER && n > 0 && counter(st) == n) && !of_former_world(wg))
		fatal("sync: WaitGroup misuse: Add called concurrently with Wait");
}

void urge_waitgroup_add(urge_waitgroup *wg, int n)
{
	struct m *mp = enter();

	add(wg, n);
	if (mp)
		leave();
}

void urge_waitgroup_done(urge_waitgroup *wg)
{
	urge_waitgroup_add(wg, -1);
}

static int wait(urge_waitgroup *wg, const struct m *mp, bool interruptible, int64_t deadline)
{
	struct g *gp = mp ? mp->curg : NULL;
	struct waiter w = { .wg = wg };
	int err;

	if (gp)
		gp->waitobj = wg;
	w.sleeper = sleeper_open(gp, interruptible, deadline);
	err = sleeper_sleep(&w.sleeper, enqueue, &w, WAIT_WAITGROUP, deadline);
	if (err)
		withdraw(&w);
	return err;
}

void urge_waitgroup_wait(urge_waitgroup *wg)
{
	const struct m *mp;

	if (counter(load_acq_u64(state(wg))) == 0) /* pairs with the last done */
		return;
	mp = enter();
	wait(wg, mp, false, INT64_MAX);
	if (mp)
		leave();
}

int urge_waitgroup_wait_until(urge_waitgroup *wg, int64_t deadline)
{
	const struct m *mp = enter();
	int err = 0;

	if (!mp)
		return -EPERM;
	if (counter(load_acq_u64(state(wg))) != 0) /* pairs with the last done */
		err = deadline == 0 ? -EAGAIN : wait(wg, mp, true, deadline);
	leave();
	return err;
}
