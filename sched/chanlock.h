/* SPDX-License-Identifier: MIT */
/*
 * The lock of a channel: at most one atomic instruction for taking and releasing it together.
 *
 * Releasing. The runtime's own lock (lock.h) is released by an exchange, which tells whether
 * somebody sleeps: a second atomic instruction in an operation that has little more than the first.
 * Here sleepers count themselves in one word for all channels, and who releases looks at that word:
 *
 *	release				a thread that goes to sleep
 *	held := 0			sleepers + 1
 *	mb_frequent			mb_rare
 *	sleepers? then futex_wake	futex_wait(held == 1)
 *
 * Either the release is seen or the sleeper is. The barrier of the frequent side is free (proc.h),
 * and futex_wake has one that drains the store before it looks for sleepers. A wake-up in vain, for
 * the sleeper of another channel, costs a system call while somebody sleeps: a thread has lost its
 * CPU inside a channel, which is rare. After the store the release touches nothing of the channel
 * but its address: who takes the last element out may free it at once.
 *
 * Taking. A channel that is made while there is one P belongs to that P (a root of sema.h, which is
 * used then, likewise), and the P takes it without an atomic instruction, until somebody else comes
 * (a thread, a timer that sysmon runs, another P later on), who takes that away from it for good:
 *
 *	the P that owns it		who comes
 *	owner_in := 1			cas held: 0 -> 1
 *	mb_frequent			revoked := 1
 *	revoked? then owner_in := 0,	mb_rare
 *	  and go the common way		wait while owner_in
 *
 * Either the owner sees that it has been revoked or the other one sees that it is inside. A P runs
 * on one thread at a time and is handed over by a lock, so its owner_in needs no more than that. It
 * is not done with more Ps, since each channel that two of them use would cost a membarrier once.
 *
 * tests/model/chanlock.pml is the model of both.
 *
 * Rejected: a plain spin lock, since the holder may lose its CPU for milliseconds; a word of
 * sleepers in the channel, which the release would read when the channel may be gone.
 */
#ifndef URGE_SCHED_CHANLOCK_H
#define URGE_SCHED_CHANLOCK_H

#include "kernelshim/atomic.h"
#include "kernelshim/compiler.h"
#include "sched/lock.h"
#include "sched/proc.h"

struct chanlock {
	struct atomic_u32 held;
	struct atomic_u32 revoked;  /* held writes, once */
	struct atomic_u32 owner_in; /* owner writes */
	struct atomic_ptr owner;    /* set once, with held; NULL: none, as without membarrier */
};

/* Threads that sleep on any channel's lock, or are about to. */
extern struct atomic_u32 chanlock_sleepers;

void chanlock_slow(struct chanlock *l);
void chanlock_revoke(struct chanlock *l);
void chanlock_wake(const struct chanlock *l);

/* mp, here and below: the calling thread's M, NULL if it has none. */
static inline bool chanlock_owned(const struct chanlock *l, const struct m *mp)
{
	const struct p *owner = (const struct p *)load_rlx_ptr(&l->owner);

	return owner && mp && mp->p == owner;
}

/* After a barrier, which pairs with mb_rare in chanlock_slow and chanlock_revoke. */
static inline void chanlock_wake_sleepers(const struct chanlock *l)
{
	if (unlikely(load_rlx_u32(&chanlock_sleepers) != 0))
		chanlock_wake(l);
}

/* Without a look at lock ranks: for select, which holds several, in the order of their addresses. */
static inline void chanlock_take(struct chanlock *l, const struct m *mp)
{
	if (chanlock_owned(l, mp) && !load_rlx_u32(&l->revoked)) {
		store_rlx_u32(&l->owner_in, 1);
		barrier(); /* mb_frequent, as there is membarrier: pairs with mb_rare in chanlock_revoke */
		if (likely(!load_rlx_u32(&l->revoked)))
			return;
		store_rel_u32(&l->owner_in, 0); /* pairs with load_acq in chanlock_revoke */
		barrier();
		chanlock_wake_sleepers(l);
	}
	if (unlikely(!cas_u32(&l->held, 0, 1)))
		chanlock_slow(l);
	if (unlikely(load_rlx_ptr(&l->owner) && !load_rlx_u32(&l->revoked)))
		chanlock_revoke(l);
}

/*
 * With the lock, or before others know of it: from now on it belongs to the calling M's P, if that
 * is the only one. Sticks for the first time only.
 */
static inline void chanlock_adopt(struct chanlock *l, const struct m *mp)
{
	/* ThreadSanitizer knows of atomic instructions, not of barriers that others make us execute */
	if (mp && mp->p && have_membarrier && !IS_ENABLED(CONFIG_TSAN) &&
	    load_rlx_u32(&sched.sharing) % 2 == 0 && !load_rlx_ptr(&l->owner))
		store_rlx_ptr(&l->owner, mp->p);
}

static inline void chanlock_release(struct chanlock *l, const struct m *mp)
{
	if (chanlock_owned(l, mp) && load_rlx_u32(&l->owner_in)) {
		store_rel_u32(&l->owner_in, 0); /* pairs with load_acq in chanlock_revoke */
		barrier();
	} else {
		store_rel_u32(&l->held, 0); /* pairs with the CAS of the next holder */
		mb_frequent();
	}
	chanlock_wake_sleepers(l);
}

static inline void chanlock(struct chanlock *l, const struct m *mp)
{
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_acquire(RANK_CHAN);
	chanlock_take(l, mp);
}

static inline void chanunlock(struct chanlock *l, const struct m *mp)
{
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_release(RANK_CHAN);
	chanlock_release(l, mp);
}

#endif
