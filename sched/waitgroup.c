/* SPDX-License-Identifier: MIT */
/*
 * WaitGroup.
 *
 * state: bits 0..31 the counter (signed), bit 32 LOCK, bits 33.. the number of waiters. One word,
 * so that done() is one atomic instruction, and so that the memory may be freed as soon as wait()
 * has returned:
 *
 *	waiter, parked				last done()
 *	cas: LOCK, if the counter is not 0	counter := 0, and in the same cas LOCK if
 *	push itself				somebody waits
 *	waiters + 1, LOCK off			nobody: never touch it again
 *	never touch it again			else claim the list, waiters := 0, LOCK off,
 *						then wake them
 *
 * The last done(), and so each that may turn out to be it, is in the runtime: while it has LOCK or
 * is going to take it, others spin. It entered before, so it has its P; a goroutine that comes back
 * without one from a call that it did not declare gets one first.
 *
 * A wait returns when the whole word is 0, not when the counter is: a done() that saw LOCK or a
 * waiter is still going to take LOCK. For it the upper half stays above 0, also when the last
 * waiter gives up meanwhile: if the counter is 0, withdraw leaves its number there, and waits until
 * that done() has gone as well. Else an add() that comes next would look like one while somebody
 * waits, and who waited after it would be released by the done() of the round before.
 *
 * The upper half is changed by the holder of LOCK only, so LOCK is released, with the new number,
 * by a store to that half, while others change the counter in the lower one. (As Linux's queued
 * spinlock stores to a byte of a word that others compare and exchange.) tests/model/waitgroup.pml
 * is the model.
 *
 * A waiter that finds the word at 0 does not wait, and a waiter that holds LOCK has not been
 * counted yet, but is seen by the last done(), which waits for LOCK: so whoever is pushed is
 * woken, by exactly one. After the first one is woken the memory may be gone: the list is
 * walked through the waiters, which stay until they are woken themselves. One that gives up takes
 * LOCK, and itself out of the list, if done() has not.
 *
 * Goroutines that still waited when urge_main returned are no more, and neither are their entries:
 * the list of a former run (world) counts as empty. Threads of the program's wait in a list of
 * their own, since they go on waiting.
 *
 * A positive add() that finds the counter at 0 and somebody waiting is Go's misuse: the round is
 * over, and its waits are not. That a wait returns and finds the next round begun, which Go calls
 * misuse too, can't be said here: a wait that has been woken does not touch the memory.
 */
#define URGE_KEEP_ERRNO
#include "sched/urge.h"

#include "sched/fatal.h"
#include "sched/mutex.h"
#include "sched/park.h"
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

/* To be written: else a contended word would come twice. */
static inline void prefetch(urge_waitgroup *wg)
{
	__builtin_prefetch(wg, 1);
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

/* Is it over? Not before the last done() has gone. */
static bool is_over(urge_waitgroup *wg)
{
	unsigned spins = 0;

	for (;;) {
		uint64_t st = load_acq_u64(state(wg)); /* pairs with the last done */

		if (st == 0 || counter(st) != 0)
			return st == 0;
		pause_for_lock(&spins);
	}
}

/* Takes LOCK. */
static void take_lock(urge_waitgroup *wg)
{
	unsigned spins = 0;

	for (;;) {
		uint64_t st = load_rlx_u64(state(wg));

		if (st & LOCKED)
			pause_for_lock(&spins);
		else if (cas_u64(state(wg), st, st | LOCKED))
			return;
	}
}

/* The same, unless it is over: false. */
static bool take_lock_unless_over(urge_waitgroup *wg)
{
	unsigned spins = 0;

	for (;;) {
		uint64_t st = load_rlx_u64(state(wg));

		if (unlikely(counter(st) == 0 && is_over(wg)))
			return false;
		if (st & LOCKED)
			pause_for_lock(&spins);
		else if (cas_u64(state(wg), st, st | LOCKED))
			return true;
	}
}

/* Releases LOCK; so many wait now. */
static void unlock_with(urge_waitgroup *wg, uint32_t waiters)
{
	struct atomic_u32 *upper = (struct atomic_u32 *)&wg->state_ + 1; /* little-endian */

	if (IS_ENABLED(CONFIG_TSAN)) /* for which accesses of two sizes are to two variables */
		add_u64(state(wg),
			((uint64_t)waiters << 33) - (load_rlx_u64(state(wg)) >> 32 << 32));
	else
		store_rel_u32(upper, waiters << 1); /* pairs with the cas of take_lock */
}

/* On the new side of the switch. */
static bool enqueue(struct g *gp, void *arg)
{
	struct waiter *w = arg;
	urge_waitgroup *wg = w->wg;

	if (!take_lock_unless_over(wg))
		return false;
	forget_former_world(wg);
	w->at = (struct waiter **)(gp ? &wg->waiters_ : &wg->threads_);
	w->next = *w->at;
	if (w->next)
		w->next->at = &w->next;
	*w->at = w;
	unlock_with(wg, (uint32_t)(load_rlx_u64(state(wg)) >> 33) + 1);
	return true;
}

/*
 * Its deadline has passed. If the counter is 0 somebody is going to release it: it stays counted
 * until then, and stays here.
 */
static void withdraw(struct waiter *w)
{
	urge_waitgroup *wg = w->wg;
	uint64_t st, gone = 0;

	take_lock(wg);
	if (w->at) {
		*w->at = w->next;
		if (w->next)
			w->next->at = w->at;
		gone = WAITER;
	}
	do
		st = load_rlx_u64(state(wg));
	while (!cas_u64(state(wg), st, st - LOCKED - (counter(st) ? gone : 0)));
	if (counter(st) == 0)
		is_over(wg);
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

/* With LOCK, which is released: the counter has become 0. */
static void release(urge_waitgroup *wg)
{
	struct waiter *claimed = NULL, **end = &claimed, *w;

	forget_former_world(wg);
	end = claim_all(&wg->waiters_, end);
	end = claim_all(&wg->threads_, end);
	*end = NULL;
	unlock_with(wg, 0);
	while (claimed) {
		w = claimed;
		claimed = w->next;
		sleeper_wake(&w->sleeper);
	}
}

/* The last done, if somebody waits and nobody holds LOCK: takes it with the counter. Else false. */
static bool finish(urge_waitgroup *wg, uint32_t n)
{
	uint64_t st;

	prefetch(wg);
	st = load_rlx_u64(state(wg));
	if (likely((uint32_t)st != n || st < WAITER || st & LOCKED))
		return false;
	return cas_u64(state(wg), st, st - n + LOCKED);
}

/*
 * The last done, perhaps; always in the runtime, where it keeps its P: others spin until it is
 * through.
 */
static noinline void count_down(urge_waitgroup *wg, uint32_t n)
{
	struct m *mp = enter();

	if (finish(wg, n)) {
		release(wg);
	} else {
		/* subtracted rather than added: no carry may go into the upper half */
		uint64_t st = sub_u64(state(wg), n);

		if (unlikely(counter(st) < 0))
			fatal("sync: negative WaitGroup counter");
		if (counter(st) == 0 && st != 0) {
			take_lock(wg);
			release(wg);
		}
	}
	if (mp)
		leave_by(mp);
}

/*
 * Counts down without entering the runtime, but not to 0: see count_down. False: that, or somebody
 * was faster. (This is urge_text, where nobody is moved.)
 */
static inline bool count_down_quickly(urge_waitgroup *wg, uint32_t n)
{
	uint64_t st;

	prefetch(wg);
	st = load_rlx_u64(state(wg));
	if (counter(st) < 0 || (uint32_t)st <= n || !cas_u64(state(wg), st, st - n))
		return false;
	lock_preempted();
	return true;
}

static inline void count_up(urge_waitgroup *wg, uint32_t n)
{
	uint64_t st = add_u64(state(wg), n);

	if (unlikely(counter(st) < 0))
		fatal("sync: negative WaitGroup counter");
	if (unlikely(st >= WAITER && n > 0 && counter(st) == (int32_t)n && !of_former_world(wg)))
		fatal("sync: WaitGroup misuse: Add called concurrently with Wait");
	lock_preempted();
}

void urge_waitgroup_add(urge_waitgroup *wg, int n)
{
	if (n >= 0)
		count_up(wg, (uint32_t)n);
	else if (!count_down_quickly(wg, -(uint32_t)n))
		count_down(wg, -(uint32_t)n);
}

void urge_waitgroup_done(urge_waitgroup *wg)
{
	if (!count_down_quickly(wg, 1))
		count_down(wg, 1);
}

static int wait_until(urge_waitgroup *wg, struct g *gp, int64_t deadline)
{
	struct waiter w = { .wg = wg, .sleeper = sleeper_open(gp, true, deadline) };
	int err;

	gp->waitobj = wg;
	err = sleeper_sleep(&w.sleeper, enqueue, &w, WAIT_WAITGROUP, deadline);
	if (err)
		withdraw(&w);
	return err;
}

static void enqueue_after(struct m *mp, struct g *old)
{
	parked(mp, old);
	if (!enqueue(old, mp->after.arg))
		park_called_off(mp, old);
}

static RETURNS_AFTER_SWITCH void waitgroup_wait_and_leave(urge_waitgroup *wg, struct m *mp)
{
	struct waiter w;

	w.wg = wg;
	w.sleeper = sleeper_open(mp->curg, false, INT64_MAX);
	mp->curg->waitobj = wg;
	gopark_inline(mp, enqueue_after, &w, WAIT_WAITGROUP);
	leave();
}

static noinline void wait_on_thread(urge_waitgroup *wg)
{
	struct waiter w = { .wg = wg, .sleeper = sleeper_open(NULL, false, INT64_MAX) };

	sleeper_sleep(&w.sleeper, enqueue, &w, WAIT_WAITGROUP, INT64_MAX);
}

void urge_waitgroup_wait(urge_waitgroup *wg)
{
	struct m *mp;

	if (is_over(wg))
		return;
	mp = enter();
	if (likely(mp))
		waitgroup_wait_and_leave(wg, mp);
	else
		wait_on_thread(wg);
}

int urge_waitgroup_wait_until(urge_waitgroup *wg, int64_t deadline)
{
	const struct m *mp = enter();
	int err = 0;

	if (!mp)
		return -EPERM;
	if (!is_over(wg))
		err = deadline == 0 ? -EAGAIN : wait_until(wg, mp->curg, deadline);
	leave();
	return err;
}
