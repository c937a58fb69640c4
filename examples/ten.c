/* SPDX-License-Identifier: MIT */
/*
 * Ten goroutines on one processor: who runs first?
 *
 * A new goroutine is the next to run on its creator's P, and pushes the former next one to the tail
 * of the queue. So the last one comes first, then the others in the order of their creation. Two
 * spaces after the colon, since Go's Println puts one between its arguments:
 *
 *	A:  9
 *	A:  0
 *	A:  1
 *	...
 *	A:  8
 *
 * Usage: ten [sleep | block]
 *   sleep	(default) goroutine 1 sleeps while they run. The Go original sleeps for an hour; here a
 *		goroutine that starts as soon as the tenth has printed ends the program. Exit status 0
 *   block	goroutine 1 waits for what nobody will do: the runtime finds out that all goroutines
 *		are asleep, says so on stderr with a dump, and ends the process with status 2
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urge.h>

enum { GOROUTINES = 10 };

static urge_waitgroup printed;

static void print(void *arg)
{
	printf("A:  %d\n", (int)(intptr_t)arg);
	urge_waitgroup_done(&printed);
}

/* What a watchdog does to a program whose work is done. */
static void cut_short(void *unused)
{
	(void)unused;
	urge_waitgroup_wait(&printed);
	exit(0);
}

static void block_for_ever(void)
{
	urge_waitgroup never = { 0 };

	urge_waitgroup_add(&never, 1);
	urge_waitgroup_wait(&never);
}

static int start(void *mode)
{
	urge_gomaxprocs(1);
	urge_waitgroup_add(&printed, GOROUTINES);
	if (strcmp(mode, "sleep") == 0)
		urge_go(cut_short, NULL);
	for (intptr_t i = 0; i < GOROUTINES; i++)
		urge_go(print, (void *)i);
	if (strcmp(mode, "sleep") == 0)
		urge_sleep(3600 * URGE_S);
	block_for_ever();
	return 0;
}

int main(int argc, char **argv)
{
	char *mode = argc > 1 ? argv[1] : "sleep";

	if (argc > 2 || (strcmp(mode, "sleep") != 0 && strcmp(mode, "block") != 0)) {
		fprintf(stderr, "usage: %s [sleep | block]\n", argv[0]);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF,
		0); /* the deadlock verdict ends the process without a flush */
	return urge_main(start, mode);
}
