/* SPDX-License-Identifier: MIT */
/*
 * sema: two goroutines, two semaphores: each one releases the other's and acquires its own, N =
 * 1,000,000 times. ns/roundtrip = wall / N. It has no twin: Go's semaphores are not for programs.
 */
#include "bench/workloads.h"
#include "urge.h"

enum { ROUND_TRIPS = 1000000 };

struct round {
	urge_sem ping, pong;
};

static void ponger(void *arg)
{
	struct round *round = arg;

	for (unsigned i = 0; i < ROUND_TRIPS; i++) {
		bench_check(urge_sem_acquire(&round->ping), "urge_sem_acquire");
		urge_sem_release(&round->pong);
	}
}

static int sema(const struct bench_run *run)
{
	for (unsigned i = 0; i < run->reps; i++) {
		struct round round = { 0 };
		struct bench_section section;

		bench_check(urge_go(ponger, &round), "urge_go");
		section = bench_start();
		for (unsigned n = 0; n < ROUND_TRIPS; n++) {
			urge_sem_release(&round.ping);
			bench_check(urge_sem_acquire(&round.pong), "urge_sem_acquire");
		}
		bench_end(run, section, "sema.pingpong", ROUND_TRIPS, "ns/roundtrip");
	}
	return 0;
}

static const char *const figures[] = {
	BENCH_SECTION("sema.pingpong"),
	NULL,
};

const struct workload sema_workload = {
	.name = "sema",
	.what = "two goroutines that wake each other by semaphores",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 60,
	.goroutine = sema,
};
