/* SPDX-License-Identifier: MIT */
/*
 * The cells of the experiment `maxprocs`: one process, one load, GOMAXPROCS changed under it.
 *
 *	sweep WORKLOAD MAX SECONDS	a point for each GOMAXPROCS up to MAX
 *	auto WORKLOAD MAX SECONDS	the controller, which finds a number by itself
 *	pause WORKLOAD HZ SECONDS	flips between 2 and 4 at HZ, beside a ticker of 1 ms
 */
#define _GNU_SOURCE
#include "bench/lab/maxprocs.h"
#include "bench/lab/maxprocs_load.h"
#include "bench/process.h"
#include "urge.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { WARM_UP_MS = 100 };

/* ---- a point ------------------------------------------------------------------------------- */

struct counters {
	int64_t now, cpu;
	uint64_t operations, steals;
	long voluntary, involuntary;
};

static struct counters read_counters(void)
{
	const struct outside *outside = &load.outside;
	struct counters c = { .now = urge_now() };
	struct urge_stats stats;
	struct rusage usage;

	urge_stats_read(&stats);
	getrusage(RUSAGE_SELF, &usage);
	c.steals = stats.steals;
	c.cpu = process_cpu_ns() - __atomic_load_n(&outside->cpu, __ATOMIC_RELAXED);
	c.voluntary = usage.ru_nvcsw - __atomic_load_n(&outside->voluntary, __ATOMIC_RELAXED);
	c.involuntary = usage.ru_nivcsw - __atomic_load_n(&outside->involuntary, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++)
		c.operations += __atomic_load_n(&load.workers[i].operations, __ATOMIC_RELAXED);
	return c;
}

static void collect(struct samples *latency)
{
	for (int i = 0; i < WORKERS; i++) {
		struct worker *worker = &load.workers[i];
		uint32_t n = __atomic_load_n(&worker->n, __ATOMIC_RELAXED);

		for (uint32_t j = 0; j < n && j < LATENCIES; j++)
			samples_add(latency, worker->latency[j]);
	}
	samples_sort(latency);
}

static void measure_point(unsigned n, int64_t length)
{
	struct samples latency = { 0 };
	struct counters before, after;
	double seconds, operations;

	urge_gomaxprocs((int)n);
	urge_sleep(WARM_UP_MS * URGE_MS);
	for (int i = 0; i < WORKERS; i++)
		__atomic_store_n(&load.workers[i].n, 0, __ATOMIC_RELAXED);
	before = read_counters();
	urge_sleep(length);
	after = read_counters();
	collect(&latency);
	seconds = (double)(after.now - before.now) / 1e9;
	operations = (double)(after.operations - before.operations);
	if (latency.n == 0)
		samples_add(&latency, (double)(after.now - before.now)); /* not one has ended */
	printf("point %u %g %.0f %.0f %.0f %.0f %g %g %g %g\n", n, operations / seconds,
	       samples_percentile(&latency, .5), samples_percentile(&latency, .99),
	       samples_percentile(&latency, .999), latency.v[latency.n - 1],
	       (double)(after.steals - before.steals) / seconds,
	       (double)(after.voluntary - before.voluntary) / seconds,
	       (double)(after.involuntary - before.involuntary) / seconds,
	       (double)(after.cpu - before.cpu) / (operations > 0 ? operations : 1));
	samples_free(&latency);
}

/* ---- the three kinds of cells -------------------------------------------------------------- */

static struct {
	const char *kind;
	const struct maxprocs_load *load;
	unsigned number;
	int64_t length;
} cell;

/* All up to 4, then in steps that grow. */
static unsigned next_point(unsigned n)
{
	return n < 4 ? n + 1 : n + n / 2;
}

static void sweep(void)
{
	for (unsigned n = 1; n <= cell.number; n = next_point(n))
		measure_point(n, cell.length);
}

static void trace_controller(void)
{
	int64_t began = urge_now(), end = began + 8 * cell.length;
	int last = 0;

	urge_gomaxprocs(1);
	urge_gomaxprocs_auto(true);
	while (urge_now() < end) {
		int n = urge_gomaxprocs(0);

		if (n != last)
			printf("trace %.1f %d\n", (double)(urge_now() - began) / 1e6, n);
		last = n;
		urge_sleep(20 * URGE_MS);
	}
	printf("trace %.1f %d\n", (double)(urge_now() - began) / 1e6, last);
}

static uint32_t ticking;

static void ticker(struct samples *gaps)
{
	int64_t last = urge_now();

	while (__atomic_load_n(&ticking, __ATOMIC_RELAXED)) {
		int64_t now;

		urge_sleep(URGE_MS);
		now = urge_now();
		samples_add(gaps, (double)(now - last));
		last = now;
	}
}

/* A thread of its own flips: a goroutine would be as late as the ticker. */
static void *flipper(void *arg)
{
	struct samples *calls = arg;
	int64_t began = urge_now(), next = began;

	for (unsigned i = 0; next < began + 4 * cell.length; i++) {
		struct timespec until;
		int64_t since;

		next += cell.number ? URGE_S / cell.number : 4 * cell.length;
		until = (struct timespec){ next / URGE_S, next % URGE_S };
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
			continue;
		if (cell.number == 0)
			break;
		since = urge_now();
		urge_gomaxprocs(i & 1 ? 2 : 4);
		samples_add(calls, (double)(urge_now() - since));
	}
	__atomic_store_n(&ticking, 0, __ATOMIC_RELAXED);
	return NULL;
}

static void measure_pauses(void)
{
	struct samples gaps = { 0 }, calls = { 0 };
	pthread_t thread;

	urge_gomaxprocs(2);
	samples_reserve(&gaps, (size_t)(4 * cell.length / URGE_MS) + 2);
	samples_reserve(&calls, (size_t)(4 * cell.length / URGE_MS) + 2);
	urge_sleep(WARM_UP_MS * URGE_MS);
	__atomic_store_n(&ticking, 1, __ATOMIC_RELAXED);
	if (pthread_create(&thread, NULL, flipper, &calls) != 0) {
		fputs("no thread\n", stderr);
		exit(1);
	}
	ticker(&gaps);
	pthread_join(thread, NULL);
	end_load();
	for (size_t i = 0; i < gaps.n; i++)
		printf("gap %.0f\n", gaps.v[i]);
	for (size_t i = 0; i < calls.n; i++)
		printf("call %.0f\n", calls.v[i]);
	samples_free(&gaps);
	samples_free(&calls);
}

static int run_cell(void *unused)
{
	(void)unused;
	cell.load->start();
	if (!strcmp(cell.kind, "pause")) {
		measure_pauses();
		return 0;
	}
	if (!strcmp(cell.kind, "auto"))
		trace_controller();
	else
		sweep();
	end_load();
	return 0;
}

int maxprocs_cell(char *const *argv)
{
	if (!argv[0] || !argv[1] || !argv[2] || !argv[3])
		return 1;
	cell.kind = argv[0];
	cell.load = maxprocs_load_named(argv[1]);
	if (!cell.load)
		return 1;
	cell.number = (unsigned)strtoul(argv[2], NULL, 10);
	cell.length = (int64_t)(strtod(argv[3], NULL) * 1e9);
	int err = urge_main(run_cell, NULL);
	if (err < 0) {
		fprintf(stderr, "urge-lab: maxprocs: %s\n", strerror(-err));
		return 1;
	}
	return 0;
}
