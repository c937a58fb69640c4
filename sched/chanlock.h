/* SPDX-License-Identifier: MIT */
/*
 * The lock of a channel: one atomic instruction to take, a plain store to release.
 *
 * The runtime's own lock (lock.h) is released by an exchange, which tells whether somebody sleeps:
 * a second atomic instruction in an operation that has little more than the first. Here sleepers
 * count themselves in one word for all channels, and who releases looks at that word:
 *
 *	release				a thread that goes to sleep
 *	held := 0			sleepers + 1
 *	mb_frequent			mb_rare
 *	sleepers? then futex_wake	futex_wait(held == 1)
 *
 * Either the release is seen or the sleeper is. The barrier of the frequent side is free (proc.h). A
 * wake-up in vain, for the sleeper of another channel, costs a system call while somebody sleeps,
 * which is when a thread has lost its CPU inside a channel, and rare.
 *
 * After the store the release touches nothing of the channel but its address: who takes the last
 * element out may free it at once.
 *
 * Rejected: a plain spin lock, since the holder may lose its CPU for milliseconds; a word of
 * sleepers in the channel, which the release would read after the channel may be gone.
 */
#ifndef URGE_SCHED_CHANLOCK_H
#define URGE_SCHED_CHANLOCK_H

#include "kernelshim/atomic.h"
#include "kernelshim/compiler.h"
#include "sched/lock.h"
#include "sched/proc.h"

struct chanlock {
	struct atomic_u32 held;
};

/* Threads that sleep on any channel's lock, or are about to. */
extern struct atomic_u32 chanlock_sleepers;

void chanlock_slow(struct chanlock *l);
void chanlock_wake(const struct chanlock *l);

/* Without a look at lock ranks: for select, which holds several, in the order of their addresses. */
static inline void chanlock_take(struct chanlock *l)
{
	if (unlikely(!cas_u32(&l->held, 0, 1)))
		chanlock_slow(l);
}

static inline void chanlock_release(struct chanlock *l)
{
	store_rel_u32(&l->held, 0); /* pairs with the CAS of the next holder */
	mb_frequent();              /* pairs with mb_rare in chanlock_slow */
	if (unlikely(load_rlx_u32(&chanlock_sleepers) != 0))
		chanlock_wake(l);
}

static inline void chanlock(struct chanlock *l)
{
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_acquire(RANK_CHAN);
	chanlock_take(l);
}

static inline void chanunlock(struct chanlock *l)
{
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_release(RANK_CHAN);
	chanlock_release(l);
}

#endif
