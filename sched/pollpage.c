/* SPDX-License-Identifier: MIT */
/*
 * What a burst of connections has taken of the table of poll descriptors comes back: a page of it
 * whose descriptors are all unused (life is 0, nobody waits, the lock is free) is given to the
 * kernel, and reads as zeros from then on, which is what an unused descriptor is. Generations are
 * drawn from one count for all descriptors, so one that has forgotten its own refuses late events
 * by the 0 in it, and will never be given an old one.
 *
 * What is unused is not untouched. Calls on numbers that are not open add to life, late events and
 * the last step of a close take the lock. A change to a page that goes away is lost, and its
 * undoing is not: a count of -1, a lock that somebody else's unlock opens. So the one who drops the
 * page holds all its locks, and marks all its lives:
 *
 *	fdget				pollpages_reclaim
 *					every lock of the page
 *					every life: 0 -> DROPPED
 *	life += 1: DROPPED
 *	lock				madvise: locks, lives are 0
 *	unlock
 *	life += 1
 *
 * An addition that finds the mark is void: it is not undone, and done again when the lock has been
 * had. One that comes before makes the mark fail; one that comes after finds an unused descriptor.
 * There is nothing in between: a page changes to zeros at one instant, and a processor that still
 * writes to the old one, by a stale translation, finds the mark there. So it is the madvise that
 * unlocks, and those who sleep before a lock are woken afterwards. If something in the page turns
 * out to be used, the marks are overwritten by 0, which takes the void additions with them, and the
 * locks are given back.
 *
 * Rejected: a grace period, for which calls would have to announce that they are about to touch a
 * descriptor; MADV_FREE, which cancels by itself when a page is written to afterwards, but does not
 * make it smaller in anybody's eyes before there is pressure; locks and counts outside of the page,
 * which would be shared by descriptors that are busy on different processors, at each event.
 *
 * A descriptor that the program closed by close() is not unused: we don't know.
 */
#include "sched/polldesc.h"

#include "kernelshim/vm.h"

enum { WORD = 64, PAGES_MAX = POLLDESCS_MAX / (4096 / sizeof(struct polldesc)) };

/* One bit a page: something in it was used since it was dropped. */
static struct atomic_u64 used[PAGES_MAX / WORD];

static uint32_t page_descs(void)
{
	return (uint32_t)(vm_page_size() / sizeof(struct polldesc));
}

/*
 * Who sets the bit has added to life, or has the lock, so the page is not dropped before that; who
 * drops it clears the bit before. Who takes a lock sets it although nothing is kept: the lock alone
 * brings a dropped page back.
 */
void pollpage_use(const struct polldesc *pd)
{
	uint32_t page = (uint32_t)(pd - polldescs) / page_descs();
	uint64_t bit = UINT64_C(1) << page % WORD;

	if (!(load_rlx_u64(&used[page / WORD]) & bit))
		or_u64(&used[page / WORD], bit);
}

void pollpages_forget(void)
{
	for (uint32_t i = 0; i < PAGES_MAX / WORD; i++)
		if (load_rlx_u64(&used[i]))
			store_rlx_u64(&used[i], 0);
}

/* Its lock is ours then, and its life is marked. */
static bool claim(struct polldesc *pd)
{
	if (!trylock(&pd->lock))
		return false;
	if (!pollwaited(pd) && cas_u32(&pd->life, 0, PD_DROPPED))
		return true;
	unlock(&pd->lock);
	return false;
}

static bool is_unused(const struct polldesc *first)
{
	for (uint32_t i = 0; i < page_descs(); i++)
		if (load_rlx_u32(&first[i].life))
			return false;
	return true;
}

/* False: somebody touches it just now. */
static bool drop(struct polldesc *first)
{
	uint32_t n = page_descs(), page = (uint32_t)(first - polldescs) / n, claimed = 0;
	bool dropped;

	while (claimed < n && claim(&first[claimed]))
		claimed++;
	dropped = claimed == n;
	if (dropped) {
		and_u64(&used[page / WORD], ~(UINT64_C(1) << page % WORD));
		if (vm_dontneed(first, vm_page_size()) == 0) {
			for (uint32_t i = 0; i < n; i++)
				unlock_slow(&first[i].lock);
			return true;
		}
	}
	for (uint32_t i = 0; i < claimed; i++) {
		store_rel_u32(&first[i].life, 0); /* pairs with add_u32 in fdget */
		unlock(&first[i].lock);
	}
	return dropped; /* what can't be dropped once never can */
}

bool pollpages_reclaim(void)
{
	bool more = false;

	for (uint32_t i = 0; i < PAGES_MAX / WORD; i++) {
		for (uint64_t left = load_rlx_u64(&used[i]); left; left &= left - 1) {
			uint32_t page = i * WORD + (uint32_t)__builtin_ctzll(left);
			struct polldesc *first = &polldescs[page * page_descs()];

			if (is_unused(first) && !drop(first))
				more = true;
		}
	}
	return more;
}
