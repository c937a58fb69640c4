/* SPDX-License-Identifier: MIT */
/*
 * stw: how long it takes to stop the world beside 4 loops: from the call of urge_stop_the_world to
 * its return, 200 times a repetition. Before each stop the caller spins for 200 us, so that the
 * other Ps are really running loops again; after every 20 it yields.
 *	stw.stop.loops4		4 tight loops
 *	stw.stop.libc.loops4	2 of them are inside libc instead
 * The twin is w11_stw -loops 4, whose stw.readmemstats.loops4 is one stop and start of Go's world.
 */
#include "bench/loops.h"
#include "bench/workloads.h"
#include "urge.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOPS = 4, STOPS = 200, YIELD_AFTER = 20 };
#define SPIN (200 * URGE_US)

static void sample_stops(struct samples *samples)
{
	samples_reserve(samples, STOPS);
	for (unsigned i = 1; i <= STOPS; i++) {
		for (int64_t end = urge_now() + SPIN; urge_now() < end;)
			continue;
		int64_t start = urge_now();
		bench_check(urge_stop_the_world("bench"), "urge_stop_the_world");
		samples_add(samples, (double)(urge_now() - start));
		urge_start_the_world();
		if (i % YIELD_AFTER == 0)
			urge_yield();
	}
}

static void measure(const struct bench_run *run, const char *stem, unsigned in_libc_count)
{
	struct samples *reps = calloc(run->reps, sizeof(*reps));
	struct loops loops = { 0 }, libc = { .kind = LOOP_LIBC };

	bench_check(reps ? 0 : -ENOMEM, stem);
	loops_start(&loops, LOOPS - in_libc_count);
	loops_start(&libc, in_libc_count);
	for (unsigned i = 0; i < run->reps; i++)
		sample_stops(&reps[i]);
	loops_halt(&loops);
	loops_halt(&libc);
	loops_join(&loops);
	loops_join(&libc);
	bench_distribution(run, stem, reps, run->reps);
	free(reps);
}

static int stw(const struct bench_run *run)
{
	measure(run, "stw.stop.loops4", 0);
	measure(run, "stw.stop.libc.loops4", LOOPS / 2);
	return 0;
}

static const char *const figures[] = {
	BENCH_DISTRIBUTION("stw.stop.loops4.*"),
	BENCH_DISTRIBUTION("stw.stop.libc.loops4.*"),
	NULL,
};

const struct workload stw_workload = {
	.name = "stw",
	.what = "how long it takes to stop the world beside 4 loops, in libc or not",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 60,
	.goroutine = stw,
};
