/* SPDX-License-Identifier: MIT */
/*
 * What the C programs of the tests share. A program that is to be preempted by injection can't be a
 * googletest one (its C++ runtime reads per-thread values), so these check themselves: each prints
 * its counts, and a line for everything that is wrong, and exits with 0, 1, or 77 for "skipped".
 *
 * A thread of the program's own, the director, is in charge of the time: it goes on while
 * goroutines that are never preempted hold every P. Whatever goes wrong in the runtime, the program
 * ends: at its deadline it dumps all goroutines and exits.
 *
 * Atomics here are the __atomic builtins on plain words: the programs stand on urge.h alone.
 */
#ifndef URGE_TESTS_PROGRAMS_CHECK_H
#define URGE_TESTS_PROGRAMS_CHECK_H

#include "urge.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SKIPPED = 77 };

#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define STORE(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELEASE)
#define ADD(word, n) __atomic_add_fetch(&(word), (n), __ATOMIC_SEQ_CST)

static uint32_t failures;

/* Counts a failure, and prints the first ones. Any thread; not while the world is stopped. */
__attribute__((format(printf, 1, 2), unused)) static void fail(const char *format, ...)
{
	va_list args;

	if (ADD(failures, 1) > 20)
		return;
	va_start(args, format);
	printf("FAILED: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

#define CHECK(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail(#condition ": " __VA_ARGS__);                                         \
	} while (0)

/* ---- time ---------------------------------------------------------------------------------- */

/* Sleeps in a thread that is no goroutine. */
__attribute__((unused)) static void doze(int64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	while (nanosleep(&t, &t))
		;
}

/* CPU time of the process: on a busy machine something takes longer, but not more of it. */
__attribute__((unused)) static int64_t cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * URGE_S + t.tv_nsec;
}

static int64_t program_deadline;

static void *watchdog(void *unused)
{
	(void)unused;
	while (urge_now() < program_deadline)
		doze(50 * URGE_MS);
	printf("FAILED: no end at the deadline\n");
	fflush(stdout);
	urge_dump(1);
	_exit(1);
}

/*
 * The condition, waited for until the program's deadline: then the watchdog ends it. Director only:
 * a goroutine would do without the P that it waits with.
 */
#define WAIT_UNTIL(condition)                                                                      \
	do {                                                                                       \
		while (!(condition))                                                               \
			doze(100 * URGE_US);                                                       \
	} while (0)

/* ---- numbers ------------------------------------------------------------------------------- */

/* The number in an environment variable, or the other. */
__attribute__((unused)) static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* xorshift64: *state is any number but 0. */
__attribute__((unused)) static uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

/* From SEED, else from the clock; printed. */
__attribute__((unused)) static uint64_t random_seed(void)
{
	uint64_t seed = env_number("SEED", (uint64_t)urge_now()) | 1;

	printf("SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

__attribute__((unused)) static uint64_t injected(void)
{
	struct urge_stats stats;

	urge_stats_read(&stats);
	return stats.preempt_injected;
}

/* How many requests have been answered: injected, parked, or left alone for a reason. */
__attribute__((unused)) static uint64_t answered(const struct urge_stats *stats)
{
	uint64_t n = stats->preempt_injected + stats->preempt_parked;

	for (unsigned i = 0; i < URGE_PREEMPT_REASONS_MAX; i++)
		n += stats->preempt_left[i];
	return n;
}

/* Where requests went since before. */
__attribute__((unused)) static void print_outcomes(const struct urge_stats *before)
{
	struct urge_stats now;

	urge_stats_read(&now);
	printf("%llu requests, %llu injected, %llu parked, %llu revoked\n",
	       (unsigned long long)(now.preempt_requests - before->preempt_requests),
	       (unsigned long long)(now.preempt_injected - before->preempt_injected),
	       (unsigned long long)(now.preempt_parked - before->preempt_parked),
	       (unsigned long long)(now.preempt_revoked - before->preempt_revoked));
	for (unsigned i = 0; urge_preempt_reason(i); i++)
		if (now.preempt_left[i] > before->preempt_left[i])
			printf("  left alone %llu times: %s\n",
			       (unsigned long long)(now.preempt_left[i] - before->preempt_left[i]),
			       urge_preempt_reason(i));
}

/* ---- a run --------------------------------------------------------------------------------- */

/* One urge_main, with a director beside it. */
struct run {
	int (*start)(void *); /* goroutine 1; its result is 0 */
	void (*direct)(void); /* in a thread of its own, as soon as goroutine 1 runs; may be NULL */
};

static uint32_t run_started;

static int start_run(void *arg)
{
	const struct run *run = arg;

	STORE(run_started, 1);
	return run->start(NULL);
}

static void *direct_run(void *arg)
{
	const struct run *run = arg;

	WAIT_UNTIL(LOAD(run_started));
	run->direct();
	return NULL;
}

__attribute__((unused)) static void run_both(int (*start)(void *), void (*direct)(void))
{
	struct run run = { start, direct };
	pthread_t director;
	int result;

	STORE(run_started, 0);
	if (direct && pthread_create(&director, NULL, direct_run, &run) != 0) {
		fail("no thread for the director");
		return;
	}
	result = urge_main(start_run, &run);
	CHECK(result == 0, "%d", result);
	if (result != 0)
		STORE(run_started, 1);
	if (direct)
		pthread_join(director, NULL);
}

/* First in main: the program has so many seconds. */
__attribute__((unused)) static void begin(int64_t seconds)
{
	pthread_t thread;

	setvbuf(stdout, NULL, _IOLBF, 0);
	program_deadline = urge_now() + seconds * URGE_S;
	if (pthread_create(&thread, NULL, watchdog, NULL) == 0)
		pthread_detach(thread);
}

/* Last in main: the exit status. */
static int finish(void)
{
	if (failures > 0)
		printf("%u failures\n", failures);
	return failures > 0;
}

/* Goroutine 1: starts fn(arg), which counts itself done on wg. */
__attribute__((unused)) static void spawn(urge_waitgroup *wg, urge_fn fn, void *arg)
{
	int err;

	urge_waitgroup_add(wg, 1);
	err = urge_go(fn, arg);
	if (err) {
		fail("urge_go: %d", err);
		urge_waitgroup_done(wg);
	}
}

#endif
