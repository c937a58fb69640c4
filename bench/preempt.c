/* SPDX-License-Identifier: MIT */
/*
 * preempt.sleep: K tight loops as goroutines beside one goroutine: t0; urge_sleep(1 ms); lateness =
 * now - t0 - 1 ms. A repetition is a window of 1.5 s with K = 4, and of 0.5 s with K = 0, the
 * reference without load. The twin is w09_preempt -mode sleep -secs 1.5, and -loops 0 -secs 0.5.
 *
 * preempt.sleep.thread: in between, with the same loops running, windows of 0.5 s in which not the
 * goroutine but a thread that the runtime knows nothing of does the same with clock_nanosleep:
 * what the kernel gives on this machine at this moment. The two take turns, because a thread that
 * wakes 1000 times a second takes CPU from the loops and would change what it is compared with.
 * The thread is an ordinary one, with the default scheduling policy and timer slack; it is made
 * before boot, since a thread inherits the slack of its maker.
 */
#include "bench/loops.h"
#include "bench/workloads.h"
#include "urge.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREAD_WINDOW (500 * URGE_MS)

struct measurement {
	/* constant */
	const struct bench_run *run;
	/* goroutine 1 hands a window to the thread with `turn`, the thread gives it back */
	sem_t turn;
	urge_waitgroup turn_over;
	struct samples *thread_window; /* NULL: end */
};

/* Samples for a window of `length`; never more than one a ms. */
static void sample(struct samples *samples, int64_t length, void (*sleep_1ms)(void))
{
	int64_t end = urge_now() + length;

	samples_reserve(samples, (size_t)(length / URGE_MS) + 1);
	while (urge_now() < end) {
		int64_t start = urge_now();
		sleep_1ms();
		samples_add(samples, (double)(urge_now() - start - URGE_MS));
	}
}

static void goroutine_sleep(void)
{
	urge_sleep(URGE_MS);
}

static void thread_sleep(void)
{
	struct timespec length = { .tv_nsec = URGE_MS };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &length, NULL);
}

static void *sleeping_thread(void *arg)
{
	struct measurement *m = arg;

	for (;;) {
		while (sem_wait(&m->turn) < 0)
			continue;
		if (!m->thread_window)
			return NULL;
		sample(m->thread_window, THREAD_WINDOW, thread_sleep);
		urge_waitgroup_done(&m->turn_over);
	}
}

static void measure(struct measurement *m, unsigned count, int64_t window)
{
	unsigned n = m->run->reps;
	struct samples *goroutine = calloc(n, sizeof(*goroutine)),
		       *thread = calloc(n, sizeof(*thread));
	struct loops loops = { 0 };
	char stem[48];

	bench_check(goroutine && thread ? 0 : -ENOMEM, "preempt.sleep");
	loops_start(&loops, count);
	urge_yield();
	for (unsigned i = 0; i < n; i++) {
		sample(&goroutine[i], window, goroutine_sleep);

		m->thread_window = &thread[i];
		urge_waitgroup_add(&m->turn_over, 1);
		urge_external_begin();
		sem_post(&m->turn);
		urge_waitgroup_wait(&m->turn_over);
		urge_external_end();
	}
	loops_halt(&loops);
	loops_join(&loops);

	snprintf(stem, sizeof(stem), "preempt.sleep.loops%u", count);
	bench_distribution(m->run, stem, goroutine, n);
	snprintf(stem, sizeof(stem), "preempt.sleep.thread.loops%u", count);
	bench_distribution(m->run, stem, thread, n);
	free(goroutine);
	free(thread);
}

static int measure_all(void *arg)
{
	measure(arg, 0, 500 * URGE_MS);
	measure(arg, 4, 1500 * URGE_MS);
	return 0;
}

static int preempt_sleep(const struct bench_run *run)
{
	struct measurement m = { .run = run };
	pthread_t thread;

	sem_init(&m.turn, 0, 0);
	bench_check(-pthread_create(&thread, NULL, sleeping_thread, &m), "pthread_create");
	int err = urge_main(measure_all, &m);
	m.thread_window = NULL;
	sem_post(&m.turn);
	pthread_join(thread, NULL);
	return err;
}

static const char *const figures[] = {
	BENCH_DISTRIBUTION("preempt.sleep.loops0.*"),
	BENCH_DISTRIBUTION("preempt.sleep.thread.loops0.*"),
	BENCH_DISTRIBUTION("preempt.sleep.loops4.*"),
	BENCH_DISTRIBUTION("preempt.sleep.thread.loops4.*"),
	NULL,
};

const struct workload preempt_sleep_workload = {
	.name = "preempt.sleep",
	.what = "how late a goroutine that sleeps 1 ms wakes beside 4 tight loops",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 30,
	.process = preempt_sleep,
};
