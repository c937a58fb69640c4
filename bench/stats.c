/* SPDX-License-Identifier: MIT */
/*
 * Percentiles are nearest ranks and not interpolated: each printed figure is a measured one, and
 * the Go twins compute the same.
 */
#include "bench/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void samples_reserve(struct samples *s, size_t n)
{
	if (n <= s->capacity)
		return;
	s->v = realloc(s->v, n * sizeof(*s->v));
	if (!s->v) {
		fprintf(stderr, "out of memory for %zu samples\n", n);
		exit(1);
	}
	s->capacity = n;
}

void samples_add(struct samples *s, double value)
{
	if (s->n == s->capacity)
		samples_reserve(s, s->capacity ? 2 * s->capacity : 64);
	s->v[s->n++] = value;
}

void samples_append(struct samples *s, const struct samples *from)
{
	if (from->n == 0)
		return;
	samples_reserve(s, s->n + from->n);
	memcpy(s->v + s->n, from->v, from->n * sizeof(*s->v));
	s->n += from->n;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

void samples_sort(struct samples *s)
{
	if (s->n > 0)
		qsort(s->v, s->n, sizeof(*s->v), compare);
}

void samples_free(struct samples *s)
{
	free(s->v);
	*s = (struct samples){ 0 };
}

double samples_median(const struct samples *sorted)
{
	size_t middle = sorted->n / 2;

	if (sorted->n % 2 == 1)
		return sorted->v[middle];
	return (sorted->v[middle - 1] + sorted->v[middle]) / 2;
}

size_t percentile_rank(size_t n, double p)
{
	/* The small amount taken off makes 0.99 * 100 the rank 99 although it is a little more. */
	double exact = p * (double)n - 1e-7;
	size_t rank = exact > 0 ? (size_t)exact : 0;

	return rank < n ? rank : n - 1;
}

double samples_percentile(const struct samples *sorted, double p)
{
	return sorted->v[percentile_rank(sorted->n, p)];
}
