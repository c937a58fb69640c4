/* SPDX-License-Identifier: MIT */
/*
 * A thousand goroutines call foreign code that blocks for a second, all at once. Each needs a
 * thread meanwhile, so that all take about a second; then the threads end by themselves. (Go keeps
 * them for ever: bench/blocking shows both.)
 *
 *	hello			a thousand times
 *	done after 1.1 s; 1004 threads
 *	0 s later: 1004 threads
 *	...
 *	10 s later: 4 threads
 *
 * Usage: blocking1000 [calls [seconds to watch]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <urge.h>

static urge_waitgroup done;

/* Stands for a library: it knows nothing of goroutines. */
static int foreign(void *unused)
{
	(void)unused;
	sleep(1);
	puts("hello");
	return 0;
}

static void call(void *unused)
{
	(void)unused;
	urge_blocking(foreign, NULL);
	urge_waitgroup_done(&done);
}

static unsigned long long threads(void)
{
	struct urge_stats stats;

	urge_stats_read(&stats);
	return stats.threads;
}

static int start(void *arg)
{
	char **argv = arg;
	int calls = argv[1] ? atoi(argv[1]) : 1000;
	int watch = argv[1] && argv[2] ? atoi(argv[2]) : 10;
	int64_t begin = urge_now();

	for (int i = 0; i < calls; i++) {
		urge_waitgroup_add(&done, 1);
		if (urge_go(call, NULL) != 0) {
			perror("urge_go");
			return 1;
		}
	}
	urge_waitgroup_wait(&done);
	printf("done after %.1f s; %llu threads\n", (double)(urge_now() - begin) / URGE_S,
	       threads());
	begin = urge_now();
	for (int s = 0; s <= watch; s += 2) {
		urge_sleep_until(begin + s * URGE_S);
		printf("%d s later: %llu threads\n", s, threads());
	}
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	return urge_main(start, argv);
}
