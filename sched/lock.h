/* SPDX-License-Identifier: MIT */
/*
 * The runtime's own lock: a futex, a rank, a short spin. It blocks the thread, not the goroutine,
 * so it is held for a few instructions only, never across a switch, and never while user code runs.
 * Zero-initialised locks have the first rank: use MUTEX_INIT or mutex_init.
 */
#ifndef URGE_SCHED_LOCK_H
#define URGE_SCHED_LOCK_H

#include "kernelshim/atomic.h"
#include "kernelshim/compiler.h"
#include "sched/lockrank.h"

struct mutex {
	struct atomic_u32 state; /* 0 free, 1 held, 2 held and somebody may sleep */
	uint32_t rank;
};

#define MUTEX_INIT(r)                                                                              \
	{                                                                                          \
		.state = { 0 }, .rank = (r)                                                        \
	}

static inline void mutex_init(struct mutex *l, enum lockrank rank)
{
	store_rlx_u32(&l->state, 0);
	l->rank = rank;
}

void lock_slow(struct mutex *l);
void unlock_slow(struct mutex *l);
void lockrank_acquire(uint32_t rank);
void lockrank_release(uint32_t rank);
void lockrank_assert_held(const struct mutex *l);

/*
 * Waits while a lock's word has the value, like futex_wait. In a fork's child what a thread of the
 * parent had locked stays locked: there a wait that nothing ends is fatal after ten seconds.
 */
void lock_wait(const uint32_t *word, uint32_t value);

static inline void lock(struct mutex *l)
{
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_acquire(l->rank);
	if (unlikely(!cas_u32(&l->state, 0, 1)))
		lock_slow(l);
}

static inline bool trylock(struct mutex *l)
{
	if (!cas_u32(&l->state, 0, 1))
		return false;
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_acquire(l->rank);
	return true;
}

static inline void unlock(struct mutex *l)
{
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_release(l->rank);
	if (unlikely(xchg_u32(&l->state, 0) == 2))
		unlock_slow(l);
}

static inline void assert_held(const struct mutex *l)
{
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_assert_held(l);
}

#endif
