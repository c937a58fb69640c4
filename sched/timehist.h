/* SPDX-License-Identifier: MIT */
/*
 * A histogram of durations: four buckets for each doubling from 64 ns to 17 s, and one for what is
 * shorter and one for what is longer. One thread at a time records, or all add; everybody may read
 * meanwhile and sees each count, if not all of them at one instant.
 */
#ifndef URGE_SCHED_TIMEHIST_H
#define URGE_SCHED_TIMEHIST_H

#include "kernelshim/atomic.h"

enum {
	TIMEHIST_FIRST = 6, /* log2 of the shortest in ns */
	TIMEHIST_LAST = 34, /* and of the longest */
	TIMEHIST_BUCKETS = (TIMEHIST_LAST - TIMEHIST_FIRST) * 4 + 2,
};

struct timehist {
	struct atomic_u64 count[TIMEHIST_BUCKETS];
};

/* The bucket of a duration in ns. */
static inline unsigned timehist_bucket(int64_t ns)
{
	unsigned log;

	if (ns < (int64_t)1 << TIMEHIST_FIRST)
		return 0;
	if (ns >= (int64_t)1 << TIMEHIST_LAST)
		return TIMEHIST_BUCKETS - 1;
	log = 63 - (unsigned)__builtin_clzll((unsigned long long)ns);
	return (log - TIMEHIST_FIRST) * 4 + (unsigned)(ns >> (log - 2) & 3) + 1;
}

/* The shortest duration in ns that is not below bucket i, 1 .. TIMEHIST_BUCKETS - 1. */
static inline int64_t timehist_lower(unsigned i)
{
	unsigned log = TIMEHIST_FIRST + (i - 1) / 4;

	return ((int64_t)4 + (i - 1) % 4) << (log - 2);
}

static inline void timehist_record(struct timehist *h, int64_t ns)
{
	struct atomic_u64 *count = &h->count[timehist_bucket(ns)];

	store_rlx_u64(count, load_rlx_u64(count) + 1);
}

/* The same for any number of threads at a time. */
static inline void timehist_add(struct timehist *h, int64_t ns)
{
	add_u64(&h->count[timehist_bucket(ns)], 1);
}

#endif
