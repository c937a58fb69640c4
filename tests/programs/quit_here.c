/* SPDX-License-Identifier: MIT */
/*
 * SIGQUIT comes to the thread that runs goroutine 1: in a loop, or, with an argument, in
 * urge_blocking.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urge.h>

static volatile uint64_t turns;
static pthread_t here;

static void *quit_there(void *unused)
{
	uint64_t before = turns;

	while (turns == before) /* until it spins */
		;
	pthread_kill(here, SIGQUIT);
	return unused;
}

static __attribute__((noinline)) void spin_here(void)
{
	pthread_t thread;

	here = pthread_self();
	if (pthread_create(&thread, NULL, quit_there, NULL) != 0)
		return;
	for (;;)
		turns++;
}

static int block_here(void *unused)
{
	(void)unused;
	spin_here();
	return 0;
}

static __attribute__((noinline)) int call_here(bool blocking)
{
	int result = 0;

	if (blocking)
		result = urge_blocking(block_here, NULL);
	else
		spin_here();
	return result + 1; /* no tail call */
}

static int start(void *blocking)
{
	return call_here(blocking != NULL) + 1;
}

int main(int argc, char **argv)
{
	return urge_main(start, argc > 1 ? argv[1] : NULL);
}
