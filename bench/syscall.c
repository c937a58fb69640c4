/* SPDX-License-Identifier: MIT */
/*
 * syscall: 1000 goroutines each make one nanosleep(10 ms) between urge_entersyscall and
 * urge_exitsyscall, on two Ps.
 *	cold	wall time of the first wave, which makes the threads; cold_cpu its CPU time
 *	warm	of the median of four more
 *	raw	200 goroutines that do the same without declaring it, which keep their Ps
 *	raw200x10ms.stall
 *		how late one that sleeps 1 ms by urge_sleep is beside them at most, in another wave
 *	threads_before, threads_after_cold, threads_after_warm
 *
 * The twin is w13_syscall.
 *
 * syscall.threads: threads 10 s after two waves; it has no twin, since Go's threads never end
 * (w13_syscall -idle 10 shows it).
 */
#include "bench/process.h"
#include "bench/workloads.h"
#include "urge.h"

#include <stdlib.h>
#include <time.h>

enum { CALLS = 1000, RAW_CALLS = 200, WARM_WAVES = 4 };

static urge_waitgroup all;

static void sleep_10ms(void)
{
	struct timespec t = { 0, 10000000 };

	while (nanosleep(&t, &t))
		;
}

static void declared(void *arg)
{
	(void)arg;
	urge_entersyscall();
	sleep_10ms();
	urge_exitsyscall();
	urge_waitgroup_done(&all);
}

static void raw(void *arg)
{
	(void)arg;
	sleep_10ms();
	urge_waitgroup_done(&all);
}

struct ticker {
	urge_waitgroup done;
	uint32_t stop;
	int64_t worst; /* ns */
};

static void tick(void *arg)
{
	struct ticker *ticker = arg;

	while (!__atomic_load_n(&ticker->stop, __ATOMIC_RELAXED)) {
		int64_t late, start = urge_now();

		urge_sleep(URGE_MS);
		late = urge_now() - start - URGE_MS;
		ticker->worst = late > ticker->worst ? late : ticker->worst;
	}
	urge_waitgroup_done(&ticker->done);
}

/* The time of one wave, in ms. */
static double wave(urge_fn fn, int n)
{
	int64_t start = urge_now();

	urge_waitgroup_add(&all, n);
	for (int i = 0; i < n; i++)
		bench_check(urge_go(fn, NULL), "urge_go");
	urge_waitgroup_wait(&all);
	return (double)(urge_now() - start) / 1e6;
}

/* The worst that others see of one, in ms. */
static double stall(urge_fn fn, int n)
{
	struct ticker ticker = { .worst = 0 };

	urge_waitgroup_add(&ticker.done, 1);
	bench_check(urge_go(tick, &ticker), "urge_go");
	wave(fn, n);
	__atomic_store_n(&ticker.stop, 1, __ATOMIC_RELAXED);
	urge_waitgroup_wait(&ticker.done);
	return (double)ticker.worst / 1e6;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int calls(const struct bench_run *run)
{
	double warm[WARM_WAVES];
	int64_t cpu;

	bench_sample(run, "syscall.threads_before", "", process_threads(), "threads");
	cpu = process_cpu_ns();
	bench_sample(run, "syscall.1000x10ms.cold", "", wave(declared, CALLS), "ms");
	bench_sample(run, "syscall.threads_after_cold", "", process_threads(), "threads");
	bench_sample(run, "syscall.cold_cpu", "", (double)(process_cpu_ns() - cpu) / 1e6, "cpu-ms");
	for (int i = 0; i < WARM_WAVES; i++)
		warm[i] = wave(declared, CALLS);
	qsort(warm, WARM_WAVES, sizeof(warm[0]), by_size);
	bench_sample(run, "syscall.1000x10ms.warm", "", (warm[1] + warm[2]) / 2, "ms");
	bench_sample(run, "syscall.threads_after_warm", "", process_threads(), "threads");
	bench_sample(run, "syscall.raw200x10ms", "", wave(raw, RAW_CALLS), "ms");
	bench_sample(run, "syscall.raw200x10ms.stall", "", stall(raw, RAW_CALLS), "ms");
	return 0;
}

static int threads_later(const struct bench_run *run)
{
	wave(declared, CALLS);
	wave(declared, CALLS);
	urge_sleep(10 * URGE_S);
	bench_sample(run, "syscall.threads_10s_later", "", process_threads(), "threads");
	return 0;
}

static const unsigned two[] = { 2, 0 };

static const char *const figures[] = {
	"syscall.threads_before.*", "syscall.1000x10ms.cold.*",    "syscall.threads_after_cold.*",
	"syscall.cold_cpu.*",       "syscall.1000x10ms.warm.*",    "syscall.threads_after_warm.*",
	"syscall.raw200x10ms.*",    "syscall.raw200x10ms.stall.*", NULL,
};
static const char *const figures_later[] = { "syscall.threads_10s_later.*", NULL };

const struct workload syscall_workload = {
	.name = "syscall",
	.what = "1000 blocking calls of 10 ms at once, and the threads that they take",
	.procs = two,
	.figures = figures,
	.process_per_repetition = true,
	.seconds = 30,
	.goroutine = calls,
};
const struct workload syscall_threads_workload = {
	.name = "syscall.threads",
	.what = "threads that are left 10 s after such calls",
	.procs = two,
	.figures = figures_later,
	.process_per_repetition = true,
	.seconds = 40,
	.goroutine = threads_later,
};
