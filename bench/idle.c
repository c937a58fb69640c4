/* SPDX-License-Identifier: MIT */
/*
 * idle: CPU time of 1000 goroutines that mostly sleep, in windows of 2 s; one window is one
 * repetition.
 *	park	each in one sleep of an hour
 *	one	one goroutine sleeps 1 ms in a loop (1000 wake-ups/s), the others an hour
 *	tick	each sleeps 100 ms in a loop, their starts spread over 100 ms (10,000 wake-ups/s)
 *
 *	cpu		CPU ms per second of each window
 *	cpu_total	CPU seconds of all windows; 10 s with five repetitions
 *	cpu_per_wakeup	CPU us per wake-up, for `one` and `tick`
 *	floor		CPU us per wake-up of a bare thread that sleeps 1 ms in a loop, before `one`
 *
 * The twin is w14_idle.
 */
#include "bench/process.h"
#include "bench/workloads.h"
#include "kernelshim/atomic.h"
#include "urge.h"

#include <stdio.h>
#include <time.h>

enum { GOROUTINES = 1000, WINDOW_S = 2 };
enum { PARK, ONE, TICK };

static const char *const mode_names[] = { "park", "one", "tick" };

static struct atomic_u64 wakeups;

static void sleep_in_loop(int64_t length)
{
	for (;;) {
		urge_sleep(length);
		add_u64(&wakeups, 1);
	}
}

static void sleep_an_hour(void *arg)
{
	(void)arg;
	urge_sleep(3600 * URGE_S);
}

static void wake_every_ms(void *arg)
{
	(void)arg;
	sleep_in_loop(URGE_MS);
}

static void wake_every_100ms(void *arg)
{
	urge_sleep((int64_t)(uintptr_t)arg * 100 * URGE_US);
	sleep_in_loop(100 * URGE_MS);
}

static urge_fn function_of(long mode, unsigned i)
{
	if (mode == TICK)
		return wake_every_100ms;
	return mode == ONE && i == 0 ? wake_every_ms : sleep_an_hour;
}

/* What the kernel and this machine take for a wake-up, whoever is woken. */
static double floor_us(void)
{
	enum { WAKEUPS = 500 };
	struct timespec at, cpu[2];

	clock_gettime(CLOCK_MONOTONIC, &at);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu[0]);
	for (int i = 0; i < WAKEUPS; i++) {
		at.tv_nsec += 1000000;
		if (at.tv_nsec >= 1000000000) {
			at.tv_nsec -= 1000000000;
			at.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu[1]);
	return ((double)(cpu[1].tv_sec - cpu[0].tv_sec) * 1e6 +
		(double)(cpu[1].tv_nsec - cpu[0].tv_nsec) / 1e3) /
	       WAKEUPS;
}

static int idle(const struct bench_run *run)
{
	const char *mode = mode_names[run->workload->parameter];
	double total = 0;
	char cpu[32], cpu_total[32], per_wakeup[32];

	snprintf(cpu, sizeof(cpu), "idle.%s.cpu", mode);
	snprintf(cpu_total, sizeof(cpu_total), "idle.%s.cpu_total", mode);
	snprintf(per_wakeup, sizeof(per_wakeup), "idle.%s.cpu_per_wakeup", mode);
	for (unsigned i = 0; i < run->reps && run->workload->parameter == ONE; i++)
		bench_sample(run, "idle.one.floor", "", floor_us(), "us");
	for (unsigned i = 0; i < GOROUTINES; i++)
		bench_check(urge_go(function_of(run->workload->parameter, i), (void *)(uintptr_t)i),
			    "urge_go");
	urge_sleep(300 * URGE_MS);

	for (unsigned i = 0; i < run->reps; i++) {
		int64_t start = process_cpu_ns();
		uint64_t woken = load_rlx_u64(&wakeups);

		urge_sleep(WINDOW_S * URGE_S);
		double used = (double)(process_cpu_ns() - start);
		total += used;
		bench_sample(run, cpu, "", used / WINDOW_S / 1e6, "cpu-ms/s");
		woken = load_rlx_u64(&wakeups) - woken;
		if (woken > 0)
			bench_sample(run, per_wakeup, "", used / 1e3 / (double)woken, "us");
	}
	bench_line(run, cpu_total, "", "%.6g cpu-s", total / 1e9);
	return 0;
}

static const char *const park_figures[] = { "idle.park.cpu.*", "idle.park.cpu_total.*", NULL };
static const char *const one_figures[] = { "idle.one.cpu.*", "idle.one.cpu_total.*",
					   "idle.one.cpu_per_wakeup.*", "idle.one.floor.*", NULL };
static const char *const tick_figures[] = { "idle.tick.cpu.*", "idle.tick.cpu_total.*",
					    "idle.tick.cpu_per_wakeup.*", NULL };

const struct workload idle_park_workload = {
	.name = "idle.park",
	.what = "CPU time of 1000 goroutines that sleep",
	.procs = bench_procs_1_2,
	.figures = park_figures,
	.seconds = 15,
	.parameter = PARK,
	.goroutine = idle,
};
const struct workload idle_one_workload = {
	.name = "idle.one",
	.what = "the same, one of them wakes every ms",
	.procs = bench_procs_1_2,
	.figures = one_figures,
	.seconds = 15,
	.parameter = ONE,
	.goroutine = idle,
};
const struct workload idle_tick_workload = {
	.name = "idle.tick",
	.what = "the same, each wakes every 100 ms",
	.procs = bench_procs_1_2,
	.figures = tick_figures,
	.seconds = 15,
	.parameter = TICK,
	.goroutine = idle,
};
