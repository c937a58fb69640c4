/* SPDX-License-Identifier: MIT */
#include "sched/chanlock.h"

#include "kernelshim/futex.h"

/*
 * Looking seldom lets the holder, and those that come on its P, do a dozen operations before the
 * cache line moves: four producers and four consumers on two Ps take a third of the time that they
 * take when it is looked at all the time.
 */
enum { SPINS = 10, SPIN_PAUSES = 60, OWNER_SPINS = 100 };

struct atomic_u32 chanlock_sleepers cacheline_aligned;

noinline void chanlock_slow(struct chanlock *l)
{
	for (int i = 0; i < SPINS; i++) {
		for (int n = 0; n < SPIN_PAUSES; n++)
			cpu_relax();
		if (load_rlx_u32(&l->held) == 0 && cas_u32(&l->held, 0, 1))
			return;
	}
	add_u32(&chanlock_sleepers, 1);
	mb_rare(); /* pairs with mb_frequent in chanlock_wake_sleepers */
	while (!cas_u32(&l->held, 0, 1))
		lock_wait(&l->held.v, 1);
	sub_u32(&chanlock_sleepers, 1);
}

noinline void chanlock_revoke(struct chanlock *l)
{
	store_rlx_u32(&l->revoked, 1);
	add_u32(&chanlock_sleepers, 1);
	mb_rare(); /* pairs with mb_frequent in chanlock_take and in chanlock_wake_sleepers */
	for (int i = 0; i < OWNER_SPINS && load_acq_u32(&l->owner_in); i++)
		cpu_relax();
	while (load_acq_u32(&l->owner_in)) /* pairs with store_rel in chanlock_release */
		lock_wait(&l->owner_in.v, 1);
	sub_u32(&chanlock_sleepers, 1);
}

noinline void chanlock_wake(const struct chanlock *l)
{
	futex_wake(&l->held.v, 1);
	futex_wake(&l->owner_in.v, 1);
}
