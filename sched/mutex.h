/* SPDX-License-Identifier: MIT */
/* What other locks need of the mutex. */
#ifndef URGE_SCHED_MUTEX_H
#define URGE_SCHED_MUTEX_H

#include "sched/proc.h"
#include "sched/urge.h"
#include "sched/waitreason.h"

/*
 * Locks m, which is not free at once. 0, or, if interruptible, why it did not, as gopark_until. mp
 * is what enter returned, NULL for a thread that is no M.
 */
int mutex_lock_slow(urge_mutex *m, struct m *mp, bool interruptible, int64_t deadline,
		    enum waitreason reason);

/*
 * Unlocks m, for who has entered the runtime, on whatever stack: readies the next one but does not
 * switch to it. True: it is the next one's turn, so the caller should let it run.
 */
bool mutex_unlock(urge_mutex *m);

static inline bool mutex_is_locked(const urge_mutex *m)
{
	return __atomic_load_n(&m->state_, __ATOMIC_RELAXED) & 1;
}

/* A preemption that found the goroutine in a quick path, which does not enter, is made good. */
static inline void lock_preempted(void)
{
	const struct m *mp = getm();

	if (mp && unlikely(load_rlx_u32(&mp->preempt)) && mp->locks == 0 && enter())
		leave();
}

#endif
