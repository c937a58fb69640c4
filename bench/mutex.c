/* SPDX-License-Identifier: MIT */
/*
 * mutex, N = 4,000,000: G goroutines (1 and 8), each N/G times { lock; x++; unlock }. ns/op =
 * wall / N.
 *	rwmutex99r1w	the same with an rwmutex: each op is { rlock; s += x; runlock }, but every
 *		100th one of each goroutine { lock; x++; unlock }.
 *	fairness	8 goroutines lock and unlock for 500 ms: the largest share of the
 *		operations over the smallest.
 *
 * The twin is w06_mutex.
 */
#include "bench/workloads.h"
#include "urge.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPS = 4000000, GOROUTINES_MAX = 8, WRITE_EVERY = 100, CLOCK_EVERY = 256 };
#define FAIRNESS_NS (500 * URGE_MS)

struct round {
	urge_mutex mutex;
	urge_rwmutex rwmutex;
	urge_waitgroup done;
	uint64_t x;
	unsigned each;
	int64_t end;
	_Atomic uint64_t sink;
};

static void locker(void *arg)
{
	struct round *round = arg;

	for (unsigned i = 0; i < round->each; i++) {
		urge_mutex_lock(&round->mutex);
		round->x++;
		urge_mutex_unlock(&round->mutex);
	}
	urge_waitgroup_done(&round->done);
}

static void reader(void *arg)
{
	struct round *round = arg;
	uint64_t sum = 0;

	for (unsigned i = 1; i <= round->each; i++) {
		if (i % WRITE_EVERY == 0) {
			urge_rwmutex_lock(&round->rwmutex);
			round->x++;
			urge_rwmutex_unlock(&round->rwmutex);
		} else {
			urge_rwmutex_rlock(&round->rwmutex);
			sum += round->x;
			urge_rwmutex_runlock(&round->rwmutex);
		}
	}
	round->sink += sum;
	urge_waitgroup_done(&round->done);
}

static void run_round(const struct bench_run *run, const char *name, urge_fn fn, unsigned count,
		      uint64_t expected)
{
	struct round round = { .each = OPS / count };
	struct bench_section section = bench_start();
	char stem[32];

	urge_waitgroup_add(&round.done, (int)count);
	for (unsigned i = 0; i < count; i++)
		bench_check(urge_go(fn, &round), "urge_go");
	urge_waitgroup_wait(&round.done);
	snprintf(stem, sizeof(stem), "%s.g%u", name, count);
	bench_end(run, section, stem, OPS, "ns/op");
	if (round.x != expected) {
		fprintf(stderr, "%s: %llu increments, not %llu\n", stem,
			(unsigned long long)round.x, (unsigned long long)expected);
		exit(1);
	}
}

struct share {
	struct round *round;
	uint64_t ops;
	char apart[128];
};

static void sharer(void *arg)
{
	struct share *share = arg;
	struct round *round = share->round;
	uint64_t n = 0;

	while (n % CLOCK_EVERY != 0 || urge_now() < round->end) {
		urge_mutex_lock(&round->mutex);
		round->x++;
		urge_mutex_unlock(&round->mutex);
		n++;
	}
	share->ops = n;
	urge_waitgroup_done(&round->done);
}

static void run_fairness(const struct bench_run *run)
{
	struct round round = { .end = urge_now() + FAIRNESS_NS };
	struct share shares[GOROUTINES_MAX] = { 0 };
	uint64_t least, most;

	urge_waitgroup_add(&round.done, GOROUTINES_MAX);
	for (unsigned i = 0; i < GOROUTINES_MAX; i++) {
		shares[i].round = &round;
		bench_check(urge_go(sharer, &shares[i]), "urge_go");
	}
	urge_waitgroup_wait(&round.done);
	least = most = shares[0].ops;
	for (unsigned i = 1; i < GOROUTINES_MAX; i++) {
		least = shares[i].ops < least ? shares[i].ops : least;
		most = shares[i].ops > most ? shares[i].ops : most;
	}
	bench_sample(run, "mutex.g8.fairness_max_over_min", "", (double)most / (double)least,
		     "ratio");
}

static int mutex(const struct bench_run *run)
{
	static const unsigned counts[] = { 1, GOROUTINES_MAX };

	for (unsigned c = 0; c < 2; c++) {
		unsigned count = counts[c];

		for (unsigned i = 0; i < run->reps; i++)
			run_round(run, "mutex", locker, count, OPS);
		for (unsigned i = 0; i < run->reps; i++)
			run_round(run, "rwmutex99r1w", reader, count, OPS / WRITE_EVERY);
	}
	for (unsigned i = 0; i < run->reps; i++)
		run_fairness(run);
	return 0;
}

static const char *const figures[] = {
	BENCH_SECTION("mutex.g1"),          BENCH_SECTION("mutex.g8"),
	BENCH_SECTION("rwmutex99r1w.g1"),   BENCH_SECTION("rwmutex99r1w.g8"),
	"mutex.g8.fairness_max_over_min.*", NULL,
};

const struct workload mutex_workload = {
	.name = "mutex",
	.what = "lock and unlock: 1 and 8 goroutines, mutex and rwmutex, and how fair it is",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 60,
	.goroutine = mutex,
};
