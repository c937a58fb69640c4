/* SPDX-License-Identifier: MIT */
/*
 * The semaphore: units, or, when there are none, perhaps WAITERS: while somebody is queued in the
 * table (sema.h), and until a release finds that nobody is any more. A release that finds WAITERS
 * gives its unit to the first of the queue and leaves the word alone, so units and WAITERS exclude
 * each other, and while the root is locked a word with WAITERS stands still.
 */
#define URGE_KEEP_ERRNO
#include "sched/urge.h"

#include "sched/mutex.h"
#include "sched/park.h"
#include "sched/proc.h"
#include "sched/sema.h"

#include <errno.h>

#define WAITERS (UINT64_C(1) << 63)

static inline struct atomic_u64 *word(const urge_sem *sem)
{
	return (struct atomic_u64 *)&sem->state_;
}

void urge_sem_init(urge_sem *sem, uint32_t n)
{
	store_rel_u64(word(sem),
		      n); /* pairs with the swaps of those who find the semaphore later */
}

static bool take(urge_sem *sem)
{
	for (;;) {
		uint64_t old = load_rlx_u64(word(sem));

		if (old == 0 || old == WAITERS)
			return false;
		if (cas_u64(word(sem), old, old - 1))
			return true;
	}
}

/* With the root locked. */
static bool join(struct semwaiter *w)
{
	struct atomic_u64 *units = word(w->addr);

	while (load_rlx_u64(units) != WAITERS && !cas_u64(units, 0, WAITERS))
		if (take((urge_sem *)w->addr)) {
			w->woken = SEM_GRANTED;
			return false;
		}
	return true;
}

static void leave_queue(struct semwaiter *w, bool others)
{
	(void)w, (void)others; /* WAITERS may stay */
}

/* Waits, and leaves the runtime. */
static RETURNS_AFTER_SWITCH int sem_wait_and_leave(urge_sem *sem, struct g *gp, int64_t deadline)
{
	struct semwaiter w;
	int err;

	semwaiter_init(&w, sem, join, NULL);
	w.sleeper = sleeper_open(gp, true, deadline);
	err = semwait(&w, WAIT_SEMACQUIRE, deadline, leave_queue);
	leave();
	return err;
}

static inline int acquire(urge_sem *sem, int64_t deadline)
{
	struct m *mp = enter();
	bool taken;

	if (!mp)
		return -EPERM;
	taken = take(sem);
	if (!taken && deadline != 0)
		return sem_wait_and_leave(sem, mp->curg, deadline);
	leave_by(mp);
	return taken ? 0 : -EAGAIN;
}

int urge_sem_acquire_until(urge_sem *sem, int64_t deadline)
{
	return acquire(sem, deadline);
}

int urge_sem_acquire(urge_sem *sem)
{
	return acquire(sem, INT64_MAX);
}

int urge_sem_try_acquire(urge_sem *sem)
{
	bool taken = take(sem);

	lock_preempted();
	return taken ? 0 : -EAGAIN;
}

/* Gives the unit to the first one that waits, if any; false: the word says by now that nobody does. */
static bool give(urge_sem *sem)
{
	struct semroot *root = semlock(sem);
	struct semwaiter *w = NULL;
	bool waiters = load_rlx_u64(word(sem)) == WAITERS;

	if (waiters) {
		w = sempop(root, sem);
		if (!w)
			store_rel_u64(word(sem),
				      1); /* all have given up; pairs with the swap in take */
		else if (!semqueued(root, sem))
			store_rel_u64(word(sem), 0);
	}
	semunlock(root);
	if (w) {
		w->woken = SEM_GRANTED;
		sleeper_wake(&w->sleeper);
	}
	return waiters;
}

void urge_sem_release(urge_sem *sem)
{
	struct m *mp = enter();

	for (;;) {
		uint64_t old = load_rlx_u64(word(sem));

		if (old == WAITERS ? give(sem) : cas_u64(word(sem), old, old + 1))
			break;
	}
	if (mp)
		leave();
}
