/* SPDX-License-Identifier: MIT */
/*
 * timer: one goroutine: t0; urge_sleep(d); overshoot = now - t0 - d, for d = 100 us and 1 ms.
 * loops0: nothing else runs. loops2: two tight loops run beside it. A repetition ends after 1000
 * samples or one second, whichever comes first. The twin is w08_timer -limit 1.
 *
 * timer.*.floor: before that the same with clock_nanosleep, without urge: what the kernel and this
 * machine take at least.
 *
 * timer.1s: the same for d = 1 s on an idle machine, three samples a repetition. It has no twin.
 */
#include "bench/loops.h"
#include "bench/workloads.h"
#include "urge.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void sleep_bare(int64_t length)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += length;
	at.tv_sec += at.tv_nsec / URGE_S;
	at.tv_nsec %= URGE_S;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void sleep_urge(int64_t length)
{
	urge_sleep(length);
}

static void sample_sleeps(struct samples *samples, void (*sleep_for)(int64_t), int64_t length,
			  unsigned count, int64_t limit)
{
	int64_t end = urge_now() + limit;

	samples_reserve(samples, count);
	for (unsigned i = 0; i < count && urge_now() < end; i++) {
		int64_t start = urge_now();
		sleep_for(length);
		samples_add(samples, (double)(urge_now() - start - length));
	}
}

static void measure(const struct bench_run *run, const char *stem, void (*sleep_for)(int64_t),
		    int64_t length, unsigned count, int64_t limit)
{
	struct samples *reps = calloc(run->reps, sizeof(*reps));

	bench_check(reps ? 0 : -ENOMEM, stem);
	for (unsigned i = 0; i < run->reps; i++) {
		sample_sleeps(&reps[i], sleep_for, length, count, limit);
		urge_yield();
	}
	bench_distribution(run, stem, reps, run->reps);
	free(reps);
}

static int timer(const struct bench_run *run)
{
	measure(run, "timer.100us.floor", sleep_bare, 100 * URGE_US, 1000, URGE_S);
	measure(run, "timer.1000us.floor", sleep_bare, URGE_MS, 1000, URGE_S);
	for (unsigned count = 0; count <= 2; count += 2) {
		struct loops loops = { 0 };
		char stem[48];

		loops_start(&loops, count);
		for (int64_t us = 100; us <= 1000; us *= 10) {
			snprintf(stem, sizeof(stem), "timer.%lldus.loops%u", (long long)us, count);
			measure(run, stem, sleep_urge, us * URGE_US, 1000, URGE_S);
		}
		loops_halt(&loops);
		loops_join(&loops);
	}
	return 0;
}

static int timer_1s(const struct bench_run *run)
{
	measure(run, "timer.1s.loops0", sleep_urge, URGE_S, 3, URGE_FOREVER / 2);
	return 0;
}

static const char *const figures[] = {
	BENCH_DISTRIBUTION("timer.100us.floor.*"),
	BENCH_DISTRIBUTION("timer.1000us.floor.*"),
	BENCH_DISTRIBUTION("timer.100us.loops0.*"),
	BENCH_DISTRIBUTION("timer.1000us.loops0.*"),
	BENCH_DISTRIBUTION("timer.100us.loops2.*"),
	BENCH_DISTRIBUTION("timer.1000us.loops2.*"),
	NULL,
};
static const char *const figures_1s[] = { BENCH_DISTRIBUTION("timer.1s.loops0.*"), NULL };

const struct workload timer_workload = {
	.name = "timer",
	.what = "how late sleeps of 100 us and 1 ms end, alone and beside two tight loops",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 30,
	.goroutine = timer,
};
const struct workload timer_1s_workload = {
	.name = "timer.1s",
	.what = "how late sleeps of one second end on an idle machine",
	.procs = bench_procs_1_2,
	.figures = figures_1s,
	.seconds = 30,
	.goroutine = timer_1s,
};
