/* SPDX-License-Identifier: MIT */
/*
 * One cell of the experiment `preempt`: goroutine 1 starts the loops, then sleeps 1 ms in a loop
 * and notes how late it wakes. An ordinary thread that the runtime knows nothing of ends the cell:
 * with preemption off no goroutine would get to do it.
 *
 *	goroutine 1			   the ending thread
 *	started = now; sem_post(begin)	   (waits for begin)
 *	loops_start			   sleeps until started + seconds; with timers as the second
 *					   source, makes them meanwhile
 *	sleeps, notes, sleeps, notes	   ended, cpu = now; loops_halt
 *	sees loops_halted; joins; prints
 */
#include "bench/lab/preempt.h"
#include "bench/lab/preempt_timer.h"
#include "bench/loops.h"
#include "bench/process.h"
#include "urge.h"

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct run {
	/* constant */
	int64_t slice;
	int policy;
	unsigned count;
	int64_t length;
	bool timers;
	/* goroutine 1, before begin */
	int64_t started, cpu_started;
	sem_t begin;
	/* the ending thread, before loops_halt */
	int64_t ended, cpu_ended;
	struct loops loops;
};

static void sleep_until(int64_t when)
{
	struct timespec deadline = { when / URGE_S, when % URGE_S };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) != 0)
		continue;
}

static void *ending_thread(void *arg)
{
	struct run *run = arg;

	while (sem_wait(&run->begin) < 0)
		continue;
	int64_t end = run->started + run->length;
	while (run->timers && urge_now() + 5 * URGE_MS < end) {
		preempt_timers_look();
		sleep_until(urge_now() + 5 * URGE_MS);
	}
	sleep_until(end);
	if (run->timers)
		preempt_timers_end();
	run->ended = urge_now();
	run->cpu_ended = process_cpu_ns();
	loops_halt(&run->loops);
	return NULL;
}

static void measure_lateness(const struct run *run, struct samples *lateness, double *bound)
{
	for (;;) {
		int64_t due = urge_now() + URGE_MS;
		urge_sleep(URGE_MS);
		int64_t late = urge_now() - due;

		if (!loops_halted(&run->loops)) {
			samples_add(lateness, (double)late);
			continue;
		}
		if (due < run->ended)
			*bound = (double)(run->ended - due);
		return;
	}
}

static void print_counters(const struct urge_stats *before, const struct urge_stats *after)
{
#define PRINT(name) printf(#name " %" PRIu64 "\n", after->preempt_##name - before->preempt_##name)
	PRINT(requests);
	PRINT(injected);
	PRINT(parked);
	PRINT(deferred);
#undef PRINT
	for (unsigned i = 0; i < URGE_PREEMPT_REASONS_MAX; i++)
		printf("left%u %" PRIu64 "\n", i, after->preempt_left[i] - before->preempt_left[i]);
}

static int sleeper(void *arg)
{
	struct run *run = arg;
	struct samples lateness = { 0 };
	struct urge_stats before, after;
	double bound = 0;

	int err = urge_set_preempt(run->policy);
	if (err == 0 && run->slice > 0)
		err = urge_set_time_slice(run->slice);
	if (err < 0)
		return err;
	samples_reserve(&lateness, (size_t)(run->length / URGE_MS) + 1);
	urge_stats_read(&before);
	run->cpu_started = process_cpu_ns();
	run->started = urge_now();
	sem_post(&run->begin);
	loops_start(&run->loops, run->count);
	measure_lateness(run, &lateness, &bound);
	uint64_t turns = loops_join(&run->loops);
	urge_stats_read(&after);

	for (size_t i = 0; i < lateness.n; i++)
		printf("lateness %.0f\n", lateness.v[i]);
	printf("bound %.0f\nturns %" PRIu64 "\n", bound, turns);
	printf("wall %" PRId64 "\ncpu %" PRId64 "\n", run->ended - run->started,
	       run->cpu_ended - run->cpu_started);
	print_counters(&before, &after);
	samples_free(&lateness);
	return 0;
}

int preempt_cell(char *const *argv)
{
	struct run *run = aligned_alloc(CACHE_LINE, sizeof(*run));
	pthread_t thread;

	if (!run || !argv[0] || !argv[1] || !argv[2] || !argv[3] || !argv[4])
		return 1;
	*run = (struct run){
		.slice = strtoll(argv[0], NULL, 10),
		.policy = (int)strtol(argv[1], NULL, 10),
		.count = (unsigned)strtoul(argv[2], NULL, 10),
		.length = (int64_t)(strtod(argv[3], NULL) * 1e9),
		.timers = !strcmp(argv[4], "timer"),
	};
	if (run->timers)
		preempt_timers_init(run->slice);
	sem_init(&run->begin, 0, 0);
	int err = -pthread_create(&thread, NULL, ending_thread, run);
	if (err == 0)
		err = urge_main(sleeper, run);
	if (err < 0) {
		fprintf(stderr, "urge-lab: preempt: %s\n", strerror(-err));
		return 1;
	}
	pthread_join(thread, NULL);
	free(run);
	return 0;
}
