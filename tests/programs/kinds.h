/* SPDX-License-Identifier: MIT */
/*
 * Loops in code that can't be moved, one kind in each goroutine, at short slices, beside a
 * goroutine that sleeps. A turn gives the same sum for the same number: first in a plain run,
 * before there is a runtime, then in goroutines that are preempted all the time. Each kind makes
 * progress, and the sleeper is woken.
 *
 * The including file has the turns, and a table of them with which it calls run_kinds.
 *
 * Environment: SLICE (us, 100), PROCS (2), PARKED (2000: goroutines parked at least), MINUTES (so
 * long), SECONDS (until when all must be over).
 */
#ifndef URGE_TESTS_PROGRAMS_KINDS_H
#define URGE_TESTS_PROGRAMS_KINDS_H

#include "tests/programs/check.h"

enum { KINDS_MAX = 16, EACH = 2, KNOWN = 64, TURNS = 200, TICKS = 200 };

struct kind {
	const char *name;
	uint64_t (*turn)(uint64_t n);
	uint32_t turns;
};

static struct kind *kinds;
static size_t kinds_n;
static uint32_t stop;
static urge_waitgroup done;
static uint64_t known[KINDS_MAX][KNOWN]; /* sums of a plain run */
static uint32_t ticks;
static int64_t worst;

__attribute__((unused)) static uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * UINT64_C(0x100000001b3);
}

__attribute__((unused)) static uint64_t mix_bytes(uint64_t sum, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	while (n-- > 0)
		sum = mix(sum, *p++);
	return sum;
}

static void worker(void *arg)
{
	struct kind *kind = arg;
	size_t k = (size_t)(kind - kinds);

	for (uint64_t n = 0; !LOAD(stop); n++) {
		uint64_t sum = kind->turn(n % KNOWN);

		if (sum != known[k][n % KNOWN])
			fail("%s, turn %d: another sum", kind->name, (int)n);
		ADD(kind->turns, 1);
	}
	urge_waitgroup_done(&done);
}

static void sleeper(void *unused)
{
	(void)unused;
	while (!LOAD(stop)) {
		int64_t start = urge_now(), late;

		urge_sleep(URGE_MS);
		late = urge_now() - start - URGE_MS;
		if (late > worst)
			worst = late;
		ADD(ticks, 1);
	}
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	(void)unused;
	urge_gomaxprocs((int)env_number("PROCS", 2));
	spawn(&done, sleeper, NULL);
	for (size_t i = 0; i < kinds_n * EACH; i++)
		spawn(&done, worker, &kinds[i % kinds_n]);
	urge_waitgroup_wait(&done);
	return 0;
}

static bool enough(void)
{
	struct urge_stats stats;
	bool all = LOAD(ticks) >= TICKS;

	for (size_t i = 0; i < kinds_n; i++)
		all = all && LOAD(kinds[i].turns) >= TURNS;
	urge_stats_read(&stats);
	return all && stats.preempt_parked >= env_number("PARKED", 2000);
}

static void direct(void)
{
	int64_t until = urge_now() + (int64_t)env_number("MINUTES", 0) * 60 * URGE_S;

	WAIT_UNTIL((enough() && urge_now() >= until) || LOAD(failures) > 0);
	STORE(stop, 1);
}

/* main's part. */
static int run_kinds(struct kind *table, size_t n)
{
	struct urge_stats before;

	kinds = table;
	kinds_n = n;
	begin((int64_t)(env_number("SECONDS", 120) + 60 * env_number("MINUTES", 0)));
	for (size_t i = 0; i < n; i++)
		for (uint64_t k = 0; k < KNOWN; k++)
			known[i][k] = kinds[i].turn(k);
	urge_set_time_slice((int64_t)env_number("SLICE", 100) * URGE_US);
	urge_stats_read(&before);
	run_both(start, direct);
	for (size_t i = 0; i < n; i++)
		printf("%s: %u turns\n", kinds[i].name, kinds[i].turns);
	printf("%u ticks, the latest %lld us late\n", ticks, (long long)(worst / URGE_US));
	print_outcomes(&before);
	return finish();
}

#endif
