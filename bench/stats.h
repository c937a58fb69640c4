/* SPDX-License-Identifier: MIT */
/*
 * Samples and the few statistics that the bench and the laboratory print. A sample is a double:
 * nanoseconds up to 104 days are exact in it.
 */
#ifndef URGE_BENCH_STATS_H
#define URGE_BENCH_STATS_H

#include <stddef.h>

/* Zero-initialised; the array belongs to the struct until samples_free. */
struct samples {
	double *v;
	size_t n, capacity;
};

/* Makes room for n samples in all, so that adding them allocates nothing. Out of memory: exit 1. */
void samples_reserve(struct samples *s, size_t n);

/* Adds one; allocates only beyond what was reserved. */
void samples_add(struct samples *s, double value);

/* Adds all of `from`. */
void samples_append(struct samples *s, const struct samples *from);

/* Sorts in ascending order, which the functions below expect. */
void samples_sort(struct samples *s);

void samples_free(struct samples *s);

/* The middle of sorted samples, or the mean of the two middle ones; n > 0. */
double samples_median(const struct samples *sorted);

/* Nearest rank: the smallest sample that a share p (0 .. 1) of all does not exceed; n > 0. */
double samples_percentile(const struct samples *sorted, double p);

/* The index of that sample; n > 0. */
size_t percentile_rank(size_t n, double p);

#endif
