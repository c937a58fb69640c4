/* SPDX-License-Identifier: MIT */
/*
 * fork, then resize in the child, where snapshots of the Ps can't be freed: GOMAXPROCS changes
 * every 100 us under goroutines that compute, sleep and talk, all of them come to their end, and
 * there are no more snapshots than can be used again.
 *
 * FORKS (2), CHANGES (1000).
 */
#include "sched/allp.h"
#include "tests/programs/load.h"

#include <sys/wait.h>

enum { PROCS = 16, SLEEPERS = 50, SLEEPS = 20 };

static urge_waitgroup sleepers;
static uint64_t slept;

static void sleeper(void *unused)
{
	(void)unused;
	for (int i = 0; i < SLEEPS; i++)
		if (urge_sleep(URGE_MS) == 0)
			ADD(slept, 1);
	urge_waitgroup_done(&sleepers);
}

static void change(uint64_t changes, uint64_t seed)
{
	for (uint64_t i = 0; i < changes; i++) {
		int former = urge_gomaxprocs(1 + (int)(random_next(&seed) % PROCS));

		CHECK(former >= 1, "%d", former);
		urge_sleep(100 * URGE_US);
	}
}

static int child(uint64_t seed)
{
	alarm(120);
	load_begin();
	for (int i = 0; i < SLEEPERS; i++)
		spawn(&sleepers, sleeper, NULL);
	change(env_number("CHANGES", 1000), seed);
	urge_waitgroup_wait(&sleepers);
	load_end();
	urge_gomaxprocs(1);
	CHECK(LOAD(slept) == SLEEPERS * SLEEPS, "%llu", (unsigned long long)slept);
	/* for each number, and for more that were draining then */
	CHECK(procs_alive() <= PROCS * PROCS, "%u snapshots", procs_alive());
	printf("%u snapshots\n", procs_alive());
	while (urge_num_goroutine() > 1)
		urge_yield();
	return finish();
}

static int start(void *unused)
{
	uint64_t seed = random_seed();

	(void)unused;
	load_begin();
	for (uint64_t i = 0; i < env_number("FORKS", 2); i++) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0)
			_exit(child(seed + i));
		urge_entersyscall();
		waitpid(pid, &status, 0);
		urge_exitsyscall();
		CHECK(status == 0, "0x%x", (unsigned)status);
	}
	load_end();
	return 0;
}

int main(void)
{
	begin(200);
	run_both(start, NULL);
	return finish();
}
