/* SPDX-License-Identifier: MIT */
/*
 * yield: G goroutines (2 and 1000) each call urge_yield N/G times; all start before the clock.
 * ns/switch = wall / N. N = 2,000,000 yields in total for both.
 *
 * The twin (w02_yield) releases the goroutines by closing a channel; here they wait in a
 * waitgroup, which releases them in the same manner.
 */
#include "bench/workloads.h"
#include "urge.h"

#include <stdio.h>

enum { YIELDS = 2000000 };

struct round {
	urge_waitgroup start, done;
	unsigned each;
};

static void yielder(void *arg)
{
	struct round *round = arg;

	urge_waitgroup_wait(&round->start);
	for (unsigned i = 0; i < round->each; i++)
		urge_yield();
	urge_waitgroup_done(&round->done);
}

static void run_round(const struct bench_run *run, unsigned count)
{
	struct round round = { .each = YIELDS / count };
	char stem[32];

	urge_waitgroup_add(&round.start, 1);
	for (unsigned i = 0; i < count; i++) {
		urge_waitgroup_add(&round.done, 1);
		bench_check(urge_go(yielder, &round), "urge_go");
	}
	for (unsigned i = 0; i < 10; i++)
		urge_yield();

	struct bench_section section = bench_start();
	urge_waitgroup_done(&round.start);
	urge_waitgroup_wait(&round.done);
	snprintf(stem, sizeof(stem), "yield.g%u", count);
	bench_end(run, section, stem, (double)round.each * count, "ns/switch");
}

static int yield(const struct bench_run *run)
{
	for (unsigned i = 0; i < run->reps; i++)
		run_round(run, 2);
	for (unsigned i = 0; i < run->reps; i++)
		run_round(run, 1000);
	return 0;
}

static const char *const figures[] = {
	BENCH_SECTION("yield.g2"),
	BENCH_SECTION("yield.g1000"),
	NULL,
};

const struct workload yield_workload = {
	.name = "yield",
	.what = "2 and 1000 goroutines that yield",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 60,
	.goroutine = yield,
};
