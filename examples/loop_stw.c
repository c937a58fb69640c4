/* SPDX-License-Identifier: MIT */
/*
 * An endless loop beside a request to stop the world.
 *
 * Before Go 1.14 such a loop, which calls nothing, made the whole program hang as soon as the
 * garbage collector wanted everybody to stop. Here, as in Go since, a signal stops it wherever it
 * is.
 *
 * Expected output, exit status 0:
 *
 *	the loop runs
 *	the world has stopped: the loop stands still
 *	the world goes on: the loop runs again
 */
#include <stdio.h>
#include <urge.h>

static volatile uint64_t i;

static void loop(void *unused)
{
	(void)unused;
	for (;;)
		i++;
}

static void wait_until_it_moves(void)
{
	for (uint64_t seen = i; i == seen;)
		urge_sleep(URGE_MS);
}

static int start(void *unused)
{
	uint64_t before, after;
	int64_t end;
	int err;

	(void)unused;
	urge_gomaxprocs(2);
	err = urge_go(loop, NULL);
	if (err)
		return 1;
	wait_until_it_moves();
	puts("the loop runs");

	err = urge_stop_the_world("example");
	if (err)
		return 1;
	before = i; /* no printf while the world stands: a stopped goroutine may be inside one */
	for (end = urge_now() + 10 * URGE_MS; urge_now() < end;)
		;
	after = i;
	urge_start_the_world();
	printf("the world has stopped: the loop %s\n", before == after ? "stands still" : "RUNS");

	wait_until_it_moves();
	puts("the world goes on: the loop runs again");
	return 0;
}

int main(void)
{
	return urge_main(start, NULL);
}
