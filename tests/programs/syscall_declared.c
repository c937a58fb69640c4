/* SPDX-License-Identifier: MIT */
/*
 * A declared system call never returns EINTR on account of the runtime, not even at slices of 50
 * us: a signal that is on its way is waited for before the call, and none is sent in it. Sleepers
 * make short calls beside loops that are preempted all the time; each call is nanosleep, which no
 * SA_RESTART restarts.
 */
#include "tests/programs/check.h"

#include <sys/syscall.h>

enum { LOOPS = 3, SLEEPERS = 3 };

static uint32_t stop, calls, interrupted;
static urge_waitgroup done;

static void loop(void *unused)
{
	(void)unused;
	while (!LOAD(stop))
		;
	urge_waitgroup_done(&done);
}

static void sleeper(void *seed)
{
	uint64_t random = (uint64_t)(uintptr_t)seed;

	while (!LOAD(stop)) {
		struct timespec length = { .tv_nsec = (long)(random_next(&random) % 60000) };
		long result;

		for (uint64_t n = random_next(&random) % 40000; n > 0; n--)
			__asm__ volatile("");
		urge_entersyscall();
		result = syscall(SYS_nanosleep, &length, NULL);
		urge_exitsyscall();
		ADD(calls, 1);
		if (result != 0)
			ADD(interrupted, 1);
	}
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	uint64_t seed = random_seed();

	(void)unused;
	urge_gomaxprocs(2);
	for (int i = 0; i < LOOPS; i++)
		spawn(&done, loop, NULL);
	for (uintptr_t i = 0; i < SLEEPERS; i++)
		spawn(&done, sleeper, (void *)(seed + 2 * i));
	urge_waitgroup_wait(&done);
	return 0;
}

static void direct(void)
{
	uint64_t before = injected();

	WAIT_UNTIL(LOAD(calls) >= env_number("CALLS", 20000) && injected() > before + 1000);
	STORE(stop, 1);
}

int main(void)
{
	struct urge_stats before;

	begin((int64_t)env_number("SECONDS", 120));
	urge_set_time_slice(50 * URGE_US);
	urge_stats_read(&before);
	run_both(start, direct);
	printf("%u calls, %u interrupted\n", calls, interrupted);
	print_outcomes(&before);
	CHECK(interrupted == 0, "%u", interrupted);
	return finish();
}
