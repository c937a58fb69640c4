/* SPDX-License-Identifier: MIT */
/*
 * select: one goroutine, k channels of 8-byte elements with capacity 4096, all full; timed are 4096
 * selects with k receives, so that every case stays ready throughout; then they are filled again.
 * 256 rounds. ns/op = wall / selects, k = 2, 4, 8.
 *	plain_recv	the same with one channel and a plain receive
 *	default2	a try with two cases that are never ready, 1,048,576 times
 *
 * The twin is w05_select.
 */
#include "bench/workloads.h"
#include "urge.h"

#include <stdio.h>
#include <stdlib.h>

enum { CAPACITY = 4096, ROUNDS = 256, CASES_MAX = 8 };

static urge_chan *make_chan(size_t capacity)
{
	urge_chan *c = urge_chan_make(sizeof(int64_t), capacity);

	if (!c)
		bench_check(-errno, "urge_chan_make");
	return c;
}

static void fill(urge_chan *c)
{
	const int64_t one = 1;

	while (urge_try_send(c, &one) == 0)
		;
}

static int64_t receive_all(urge_chan *c)
{
	int64_t sum = 0, v = 0;

	for (unsigned i = 0; i < CAPACITY; i++) {
		bench_check(urge_recv(c, &v), "urge_recv");
		sum += v;
	}
	return sum;
}

static int64_t select_all(urge_chan *const *c, unsigned k)
{
	int64_t sum = 0, v = 0;

	for (unsigned i = 0; i < CAPACITY; i++) {
		struct urge_case cases[CASES_MAX];

		for (unsigned n = 0; n < k; n++)
			cases[n] = (struct urge_case){ c[n], URGE_RECV, &v, 0 };
		bench_check(urge_select(cases, k), "urge_select");
		sum += v;
	}
	return sum;
}

static void ready(const struct bench_run *run, unsigned k)
{
	struct bench_section all = { 0, 0 };
	urge_chan *c[CASES_MAX];
	int64_t sum = 0;
	char stem[32] = "select.plain_recv";

	if (k > 1)
		snprintf(stem, sizeof(stem), "select.ready%u", k);
	for (unsigned i = 0; i < k; i++)
		c[i] = make_chan(CAPACITY);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < k; i++)
			fill(c[i]);

		struct bench_section section = bench_start();
		sum += k == 1 ? receive_all(c[0]) : select_all(c, k);
		section = bench_spent(section);
		all.wall += section.wall;
		all.cpu += section.cpu;
	}
	bench_end_spent(run, all, stem, (double)ROUNDS * CAPACITY, "ns/op");
	if (sum != (int64_t)ROUNDS * CAPACITY) {
		fprintf(stderr, "%s: sum %lld\n", stem, (long long)sum);
		exit(1);
	}
	for (unsigned i = 0; i < k; i++)
		urge_chan_free(c[i]);
}

static void never_ready(const struct bench_run *run)
{
	urge_chan *a = make_chan(0), *b = make_chan(0);
	unsigned n = 0;

	struct bench_section section = bench_start();
	for (unsigned i = 0; i < ROUNDS * CAPACITY; i++) {
		struct urge_case cases[] = {
			{ a, URGE_RECV, NULL, 0 },
			{ b, URGE_RECV, NULL, 0 },
		};

		n += urge_try_select(cases, 2) == -EAGAIN;
	}
	bench_end(run, section, "select.default2", ROUNDS * CAPACITY, "ns/op");
	if (n != ROUNDS * CAPACITY) {
		fputs("select.default2: a case went\n", stderr);
		exit(1);
	}
	urge_chan_free(a);
	urge_chan_free(b);
}

static int select_cases(const struct bench_run *run)
{
	for (unsigned k = 1; k <= CASES_MAX; k *= 2)
		for (unsigned i = 0; i < run->reps; i++)
			ready(run, k);
	for (unsigned i = 0; i < run->reps; i++)
		never_ready(run);
	return 0;
}

static const char *const figures[] = {
	BENCH_SECTION("select.plain_recv"), BENCH_SECTION("select.ready2"),
	BENCH_SECTION("select.ready4"),     BENCH_SECTION("select.ready8"),
	BENCH_SECTION("select.default2"),   NULL,
};

const struct workload select_workload = {
	.name = "select",
	.what = "select among 2, 4, 8 ready channels, and among none",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 60,
	.goroutine = select_cases,
};
