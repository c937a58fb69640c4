/* SPDX-License-Identifier: MIT */
/*
 * Goroutines in every state that a dump shows: asleep, waiting for a waitgroup, in a system call,
 * and two loops, of which, on one P, at least one has been preempted and waits for its turn. Prints
 * "ready" when all of them are there, and then waits for SIGQUIT.
 *
 * Usage: dump_goroutines [GOMAXPROCS, default 1]
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <urge.h>

static volatile uint64_t turns[2];
static urge_waitgroup never;

static void sleeper(void *unused)
{
	(void)unused;
	urge_sleep(3600 * URGE_S);
}

static void waiter(void *unused)
{
	(void)unused;
	urge_waitgroup_wait(&never);
}

static void caller(void *unused)
{
	(void)unused;
	urge_entersyscall();
	for (;;)
		pause();
}

static void looper(void *arg)
{
	volatile uint64_t *mine = arg;

	for (;;)
		++*mine;
}

/* Says that they are there; main sleeps by then. */
static void herald(void *unused)
{
	(void)unused;
	for (int more = 10; more > 0; urge_sleep(URGE_MS))
		if (turns[0] && turns[1]) /* on one P: each has been preempted by then */
			more--;
	puts("ready");
	fflush(stdout);
}

static void start_one(const char *name, urge_fn fn, void *arg)
{
	struct urge_attr attr = URGE_ATTR_INIT;

	attr.name = name;
	if (urge_go_attr(&attr, fn, arg))
		_exit(1);
}

static int start(void *procs)
{
	urge_gomaxprocs(procs ? atoi(procs) : 1);
	urge_waitgroup_add(&never, 1);
	start_one("sleeper", sleeper, NULL);
	start_one("waiter", waiter, NULL);
	start_one("caller", caller, NULL);
	start_one("looper", looper, (void *)&turns[0]);
	start_one("looper", looper, (void *)&turns[1]);
	start_one("herald", herald, NULL);
	urge_sleep(3600 * URGE_S);
	return 0;
}

int main(int argc, char **argv)
{
	return urge_main(start, argc > 1 ? argv[1] : NULL);
}
