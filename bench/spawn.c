/* SPDX-License-Identifier: MIT */
/*
 * spawn, N = 1,000,000:
 *	flat	one goroutine starts N goroutines that only count themselves down in a waitgroup,
 *		never yielding voluntarily, then waits. ns/goroutine = wall / N.
 *	batch100	the same in batches of 100 with a wait after each, N in total: the steady
 *		state, finished goroutines are reused at once.
 *	fib_wg	fork-join. A call fib(n) with n < 2 returns n; another one starts two goroutines
 *		(n-1 and n-2), waits for both in a waitgroup on its own frame, and returns the sum
 *		of their result slots there. The root is a goroutine too, so there are as many
 *		goroutines as calls: 2 F(n+1) - 1 = 635,621 for n = 27, whose result is 196,418.
 *
 * The twin is w01_spawn; all three run in one process, in its order.
 */
#include "bench/workloads.h"
#include "urge.h"

#include <stdio.h>
#include <stdlib.h>

enum { GOROUTINES = 1000000, BATCH = 100, FIB = 27, FIB_CALLS = 635621, FIB_RESULT = 196418 };

static void count_down(void *arg)
{
	urge_waitgroup_done(arg);
}

static void spawn_and_wait(unsigned count)
{
	urge_waitgroup wg = { 0 };

	urge_waitgroup_add(&wg, (int)count);
	for (unsigned i = 0; i < count; i++)
		bench_check(urge_go(count_down, &wg), "urge_go");
	urge_waitgroup_wait(&wg);
}

struct call {
	int n, result;
	urge_waitgroup *joined;
};

static void fib(void *arg)
{
	struct call *call = arg;

	if (call->n < 2) {
		call->result = call->n;
	} else {
		urge_waitgroup both = { 0 };
		struct call a = { .n = call->n - 1, .joined = &both };
		struct call b = { .n = call->n - 2, .joined = &both };

		urge_waitgroup_add(&both, 2);
		bench_check(urge_go(fib, &a), "urge_go");
		bench_check(urge_go(fib, &b), "urge_go");
		urge_waitgroup_wait(&both);
		call->result = a.result + b.result;
	}
	urge_waitgroup_done(call->joined);
}

static void run_fib(void)
{
	urge_waitgroup joined = { 0 };
	struct call root = { .n = FIB, .joined = &joined };

	urge_waitgroup_add(&joined, 1);
	bench_check(urge_go(fib, &root), "urge_go");
	urge_waitgroup_wait(&joined);
	if (root.result != FIB_RESULT) {
		fprintf(stderr, "fib(%d) = %d, not %d\n", FIB, root.result, FIB_RESULT);
		exit(1);
	}
}

static int spawn(const struct bench_run *run)
{
	struct bench_section section;

	for (unsigned i = 0; i < run->reps; i++) {
		section = bench_start();
		spawn_and_wait(GOROUTINES);
		bench_end(run, section, "spawn.flat", GOROUTINES, "ns/goroutine");
	}
	for (unsigned i = 0; i < run->reps; i++) {
		section = bench_start();
		for (unsigned batch = 0; batch < GOROUTINES / BATCH; batch++)
			spawn_and_wait(BATCH);
		bench_end(run, section, "spawn.batch100", GOROUTINES, "ns/goroutine");
	}
	for (unsigned i = 0; i < run->reps; i++) {
		section = bench_start();
		run_fib();
		bench_end(run, section, "spawn.fib_wg", FIB_CALLS, "ns/goroutine");
	}
	return 0;
}

static const char *const figures[] = {
	BENCH_SECTION("spawn.flat"),
	BENCH_SECTION("spawn.batch100"),
	BENCH_SECTION("spawn.fib_wg"),
	NULL,
};

const struct workload spawn_workload = {
	.name = "spawn",
	.what = "start goroutines: 1,000,000 at once, in batches of 100, fork-join fib(27)",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 60,
	.goroutine = spawn,
};
