/* SPDX-License-Identifier: MIT */
/*
 * The condition variable. Who waits queues in the table (sema.h), in order, and unlocks the mutex
 * when it is queued: both on the new side of the switch, so that no signal given with the mutex
 * locked can come in between. (Go draws a number, unlocks, and queues by the number; a number whose
 * owner has given up would swallow a signal.)
 */
#define URGE_KEEP_ERRNO
#include "sched/urge.h"

#include "sched/fatal.h"
#include "sched/mutex.h"
#include "sched/proc.h"
#include "sched/sema.h"

#include <errno.h>

static inline struct atomic_u32 *waiters(const void *addr)
{
	return (struct atomic_u32 *)addr;
}

/* With the root locked. */
static bool join(struct semwaiter *w)
{
	store_rlx_u32(waiters(w->addr), 1);
	return true;
}

static void leave_queue(struct semwaiter *w, bool others)
{
	store_rlx_u32(waiters(w->addr), others);
}

static int wait(urge_cond *cond, urge_mutex *m, struct m *mp, bool interruptible, int64_t deadline)
{
	struct g *gp = mp ? mp->curg : NULL;
	struct semwaiter w;
	int err;

	if (!mutex_is_locked(m))
		fatal("sync: unlock of unlocked mutex");
	semwaiter_init(&w, &cond->waiters_, join, NULL);
	w.unlocks = m;
	w.sleeper = sleeper_open(gp, interruptible, deadline);
	err = semwait(&w, WAIT_CONDWAIT, deadline, leave_queue);
	if (w.joined && !urge_mutex_trylock(m))
		mutex_lock_slow(m, getm(), false, INT64_MAX, WAIT_MUTEXLOCK);
	return err;
}

void urge_cond_wait(urge_cond *cond, urge_mutex *m)
{
	struct m *mp = enter();

	wait(cond, m, mp, false, INT64_MAX);
	if (mp)
		leave();
}

int urge_cond_wait_until(urge_cond *cond, urge_mutex *m, int64_t deadline)
{
	struct m *mp = enter();
	int err;

	if (!mp)
		return -EPERM;
	err = deadline == 0 ? -EAGAIN : wait(cond, m, mp, true, deadline);
	leave();
	return err;
}

/* Wakes the first one of the queue, or all. */
static noinline void wake(urge_cond *cond, bool all)
{
	const struct m *mp = enter();
	struct semroot *root = semlock(&cond->waiters_);
	struct semwaiter *list = NULL, **end = &list, *w;

	do {
		w = sempop(root, &cond->waiters_);
		*end = w;
		if (!w)
			break;
		w->woken = SEM_GRANTED;
		end = &w->next;
	} while (all);
	*end = NULL;
	store_rlx_u32(waiters(&cond->waiters_), semqueued(root, &cond->waiters_));
	semunlock(root);
	while (list) {
		w = list;
		list = w->next;
		sleeper_wake(&w->sleeper);
	}
	if (mp)
		leave();
}

void urge_cond_signal(urge_cond *cond)
{
	if (load_acq_u32(
		    waiters(&cond->waiters_))) /* pairs with the unlock of the mutex after join */
		wake(cond, false);
}

void urge_cond_broadcast(urge_cond *cond)
{
	if (load_acq_u32(waiters(&cond->waiters_))) /* as above */
		wake(cond, true);
}
