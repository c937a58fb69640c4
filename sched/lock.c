/* SPDX-License-Identifier: MIT */
/*
 * The slow paths of the runtime's lock, and the check of its order.
 *
 *	locker				unlocker
 *	xchg(state, 2) != 0		xchg(state, 0) == 2
 *	futex_wait(state == 2)		futex_wake(1)
 *
 * The state is 2 from before a thread sleeps until it is unlocked, so an unlocker that might have
 * a sleeper always sees 2 and wakes one; the woken one takes the lock with 2, since others may
 * sleep still. After its xchg the unlocker touches nothing but the address: the lock's memory may
 * be gone, and a wake on a stranger's word is only spurious.
 */
#include "sched/lock.h"

#include "kernelshim/clock.h"
#include "kernelshim/futex.h"
#include "sched/fatal.h"
#include "sched/fork.h"
#include "sched/runtime2.h"
#include "sched/tls.h"

#include <errno.h>

enum { SPINS = 60 };
#define ORPHANED INT64_C(10000000000)

void lock_wait(const uint32_t *word, uint32_t value)
{
	int64_t deadline = forked() ? nanotime() + ORPHANED : -1;

	if (futex_wait(word, value, deadline) == -ETIMEDOUT)
		fatal("urge: a thread of the parent held a lock of this object at the fork");
}

void lock_slow(struct mutex *l)
{
	for (int i = 0; i < SPINS; i++) {
		cpu_relax();
		if (load_rlx_u32(&l->state) == 0 && cas_u32(&l->state, 0, 1))
			return;
	}
	while (xchg_u32(&l->state, 2) != 0)
		lock_wait(&l->state.v, 2);
}

void unlock_slow(struct mutex *l)
{
	futex_wake(&l->state.v, 1);
}

void lockrank_acquire(uint32_t rank)
{
	struct m *mp = getm();

	if (!mp)
		return;
	if (mp->lockranks >> rank)
		throw_("lock order: a lock of the same or a later rank is held");
	mp->lockranks |= UINT64_C(1) << rank;
}

void lockrank_release(uint32_t rank)
{
	struct m *mp = getm();

	if (!mp)
		return;
	if (!(mp->lockranks >> rank & 1))
		throw_("unlock of a lock that is not held");
	mp->lockranks &= ~(UINT64_C(1) << rank);
}

void lockrank_assert_held(const struct mutex *l)
{
	struct m *mp = getm();

	if (load_rlx_u32(&l->state) == 0 || (mp && !(mp->lockranks >> l->rank & 1)))
		throw_("lock is not held");
}
