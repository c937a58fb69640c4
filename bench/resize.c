/* SPDX-License-Identifier: MIT */
/*
 * resize: GOMAXPROCS changes under load. 500 pairs of goroutines play ping-pong on unbuffered
 * channels for ever, and yield every 64 round trips; two tight loops; a ticker that sleeps 1 ms in
 * a loop and notes the longest gap; and the resizer: 200 times urge_gomaxprocs to the low or the
 * high number in turn, its duration noted, and a sleep of 2 ms, at most six seconds in all. The
 * high number is the workload's number of Ps. noresize: the same load for half a second at each.
 *
 * The twin is w10_resize -gosched 64, whose ticker is a time.Ticker.
 */
#include "bench/loops.h"
#include "bench/workloads.h"
#include "urge.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAIRS = 500, CALLS = 200, LOOPS = 2, YIELD_EVERY = 64 };

struct pair {
	urge_chan *there, *back;
};

static struct {
	struct pair pairs[PAIRS];
	uint32_t stop;
	urge_waitgroup running;
	uint64_t round_trips cacheline_aligned; /* in steps of 64 */
	int64_t last_tick cacheline_aligned, largest_gap;
} load;

static bool stopped(void)
{
	return __atomic_load_n(&load.stop, __ATOMIC_RELAXED);
}

static void answer(void *arg)
{
	struct pair *pair = arg;
	int64_t n;

	while (urge_recv(pair->there, &n) == 0)
		urge_send(pair->back, &n);
	urge_chan_free(pair->there);
	urge_chan_free(pair->back);
	urge_waitgroup_done(&load.running);
}

static void ask(void *arg)
{
	struct pair *pair = arg;
	int64_t got;

	for (int64_t n = 0; !stopped(); n++) {
		urge_send(pair->there, &n);
		urge_recv(pair->back, &got);
		if (n % YIELD_EVERY == 0) {
			__atomic_fetch_add(&load.round_trips, YIELD_EVERY, __ATOMIC_RELAXED);
			urge_yield();
		}
	}
	urge_close_chan(pair->there);
	urge_waitgroup_done(&load.running);
}

static void start_pairs(void)
{
	urge_waitgroup_add(&load.running, 2 * PAIRS);
	for (int i = 0; i < PAIRS; i++) {
		struct pair *pair = &load.pairs[i];

		pair->there = urge_chan_make(sizeof(int64_t), 0);
		pair->back = urge_chan_make(sizeof(int64_t), 0);
		bench_check(pair->there && pair->back ? 0 : -ENOMEM, "urge_chan_make");
		bench_check(urge_go(answer, pair), "urge_go");
		bench_check(urge_go(ask, pair), "urge_go");
	}
}

static void ticker(void *unused)
{
	(void)unused;
	while (!stopped()) {
		int64_t now, gap;

		urge_sleep(URGE_MS);
		now = urge_now();
		gap = now - load.last_tick;
		if (gap > __atomic_load_n(&load.largest_gap, __ATOMIC_RELAXED))
			__atomic_store_n(&load.largest_gap, gap, __ATOMIC_RELAXED);
		__atomic_store_n(&load.last_tick, now, __ATOMIC_RELAXED);
	}
	urge_waitgroup_done(&load.running);
}

/* The one that is still open included, in us. */
static double largest_gap(void)
{
	int64_t gap = __atomic_load_n(&load.largest_gap, __ATOMIC_RELAXED);
	int64_t open = urge_now() - __atomic_load_n(&load.last_tick, __ATOMIC_RELAXED);

	return (double)(open > gap ? open : gap) / 1e3;
}

/* A stretch of time under the load. */
struct stretch {
	int64_t begin;
	uint64_t round_trips;
};

static struct stretch begin_stretch(void)
{
	__atomic_store_n(&load.largest_gap, 0, __ATOMIC_RELAXED);
	return (struct stretch){ urge_now(), __atomic_load_n(&load.round_trips, __ATOMIC_RELAXED) };
}

static void end_stretch(const struct bench_run *run, struct stretch begun, const char *stem)
{
	uint64_t done = __atomic_load_n(&load.round_trips, __ATOMIC_RELAXED) - begun.round_trips;
	char name[80];

	snprintf(name, sizeof(name), "%s.ticker_max_gap", stem);
	bench_sample(run, name, "", largest_gap(), "us");
	snprintf(name, sizeof(name), "%s.pingpong_rate", stem);
	bench_sample(run, name, "", (double)done / (double)(urge_now() - begun.begin) * 1e3,
		     "Mroundtrip/s");
}

static void sample_calls(struct samples *calls, int low, int high)
{
	int64_t end = urge_now() + 6 * URGE_S;

	samples_reserve(calls, CALLS);
	for (int i = 0; i < CALLS && urge_now() < end; i++) {
		int64_t since = urge_now();

		bench_check(urge_gomaxprocs(i & 1 ? high : low), "urge_gomaxprocs");
		samples_add(calls, (double)(urge_now() - since));
		urge_sleep(2 * URGE_MS);
	}
}

static int resize(const struct bench_run *run)
{
	struct samples *calls = calloc(run->reps, sizeof(*calls));
	int low = (int)run->workload->parameter, high = (int)run->procs;
	const int sizes[] = { low, high };
	struct loops loops = { 0 };
	char stem[48], name[80];

	bench_check(calls ? 0 : -ENOMEM, "resize");
	snprintf(stem, sizeof(stem), "resize.%d-%d.loops%d.gosched%d", low, high, LOOPS,
		 YIELD_EVERY);
	start_pairs();
	loops_start(&loops, LOOPS);
	load.last_tick = urge_now();
	urge_waitgroup_add(&load.running, 1);
	bench_check(urge_go(ticker, NULL), "urge_go");
	urge_sleep(100 * URGE_MS);
	for (unsigned i = 0; i < run->reps; i++) {
		struct stretch begun = begin_stretch();

		sample_calls(&calls[i], low, high);
		end_stretch(run, begun, stem);
	}
	snprintf(name, sizeof(name), "%s.call", stem);
	bench_distribution(run, name, calls, run->reps);
	for (int s = 0; s < 2; s++) {
		urge_gomaxprocs(sizes[s]);
		snprintf(name, sizeof(name), "%s.noresize_p%d", stem, sizes[s]);
		for (unsigned i = 0; i < run->reps; i++) {
			struct stretch begun = begin_stretch();

			urge_sleep(500 * URGE_MS);
			end_stretch(run, begun, name);
		}
	}
	__atomic_store_n(&load.stop, 1, __ATOMIC_RELAXED);
	loops_halt(&loops);
	loops_join(&loops);
	urge_waitgroup_wait(&load.running);
	free(calls);
	return 0;
}

#define FIGURES(stem, low, high)                                                                   \
	{                                                                                          \
		BENCH_DISTRIBUTION(stem ".call.*"), stem ".ticker_max_gap.*",                      \
			stem ".pingpong_rate.*", stem ".noresize_p" low ".ticker_max_gap.*",       \
			stem ".noresize_p" low ".pingpong_rate.*",                                 \
			stem ".noresize_p" high ".ticker_max_gap.*",                               \
			stem ".noresize_p" high ".pingpong_rate.*", NULL,                          \
	}

static const char *const figures_1_2[] = FIGURES("resize.1-2.loops2.gosched64", "1", "2");
static const char *const figures_2_8[] = FIGURES("resize.2-8.loops2.gosched64", "2", "8");
static const unsigned procs_2[] = { 2, 0 }, procs_8[] = { 8, 0 };

const struct workload resize_1_2_workload = {
	.name = "resize.1-2",
	.what = "GOMAXPROCS between 1 and 2 under load: the calls, and the gaps of a ticker",
	.procs = procs_2,
	.figures = figures_1_2,
	.seconds = 120,
	.parameter = 1,
	.goroutine = resize,
};

const struct workload resize_2_8_workload = {
	.name = "resize.2-8",
	.what = "the same between 2 and 8",
	.procs = procs_8,
	.figures = figures_2_8,
	.seconds = 120,
	.parameter = 2,
	.goroutine = resize,
};
