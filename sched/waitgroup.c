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
 *	add: waiters + 1, LOCK off		else take LOCK, take the list, state := 0,
 *	never touch it again			then ready them
 *
 * A waiter that finds the counter at 0 does not wait, and a waiter that holds LOCK has not been
 * counted yet, but is seen by the last done(), which waits for LOCK: so whoever is pushed is
 * readied, by exactly one. After the first one is readied the memory may be gone: the list is
 * walked through the waiters, which stay until they are readied themselves.
 *
 * A thread that is no M waits on a futex in its own frame.
 */
#define URGE_KEEP_ERRNO
#include "sched/urge.h"

#include "kernelshim/futex.h"
#include "sched/fatal.h"
#include "sched/proc.h"
#include "sched/tls.h"

#include <sched.h>

#define LOCKED (UINT64_C(1) << 32)
#define WAITER (UINT64_C(1) << 33)

struct waiter {
	struct waiter *next;
	struct g *gp;           /* NULL: a thread */
	struct atomic_u32 over; /* futex of the thread */
	urge_waitgroup *wg;
};

static inline struct atomic_u64 *state(urge_waitgroup *wg)
{
	return (struct atomic_u64 *)&wg->state_;
}

static inline int32_t counter(uint64_t st)
{
	return (int32_t)(uint32_t)st;
}

static void pause_for_lock(unsigned *spins)
{
	if (++*spins < 100)
		cpu_relax();
	else
		sched_yield(); /* its holder has lost the CPU */
}

/* False: the counter is 0. */
static bool enqueue(struct waiter *w)
{
	urge_waitgroup *wg = w->wg;
	unsigned spins = 0;

	for (;;) {
		uint64_t st = load_acq_u64(state(wg));

		if (counter(st) == 0)
			return false;
		if (st & LOCKED)
			pause_for_lock(&spins);
		else if (cas_u64(state(wg), st, st | LOCKED))
			break;
	}
	w->next = wg->waiters_;
	wg->waiters_ = w;
	add_u64(state(wg), WAITER - LOCKED);
	return true;
}

/* The counter has become 0 and somebody waits. */
static void release(urge_waitgroup *wg)
{
	struct waiter *list;
	unsigned spins = 0;

	for (;;) {
		uint64_t st = load_acq_u64(state(wg));

		if (st & LOCKED)
			pause_for_lock(&spins);
		else if (cas_u64(state(wg), st, st | LOCKED))
			break;
	}
	list = wg->waiters_;
	wg->waiters_ = NULL;
	/* only the counter may have changed meanwhile: a new round has begun */
	and_u64(state(wg), UINT32_MAX);
	while (list) {
		struct waiter *w = list;

		list = w->next;
		if (w->gp) {
			goready(w->gp);
		} else {
			store_rel_u32(&w->over, 1); /* pairs with load_acq in wait_on_futex */
			futex_wake(&w->over.v, 1);
		}
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
	if (unlikely(n < 0 && counter(st) == 0 && st >> 32 != 0))
		release(wg);
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

static bool wait_commit(struct g *gp, void *arg)
{
	(void)gp;
	return enqueue(arg);
}

static void wait_on_futex(struct waiter *w)
{
	if (enqueue(w))
		while (load_acq_u32(&w->over) == 0) /* pairs with store_rel in release */
			futex_wait(&w->over.v, 0, -1);
}

void urge_waitgroup_wait(urge_waitgroup *wg)
{
	struct waiter w = { .wg = wg };
	struct m *mp;

	if (counter(load_acq_u64(state(wg))) == 0) /* pairs with the last done */
		return;
	mp = enter();
	if (mp) {
		w.gp = mp->curg;
		mp->curg->waitobj = wg;
		gopark(wait_commit, &w, WAIT_WAITGROUP);
		leave();
	} else {
		wait_on_futex(&w);
	}
}
