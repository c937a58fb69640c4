/* SPDX-License-Identifier: MIT */
/*
 * urge_main returns while others compute: in a loop of their own, in malloc, in printf, or in any
 * of these. They are discarded where they hold no library's lock, so malloc, printf and another
 * urge_main work afterwards.
 *
 * Usage: return_among_others loop|malloc|printf|mixed ROUNDS GOMAXPROCS
 * Prints the longest time in ms from main's return to urge_main's, then "ok".
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urge.h>

enum { OTHERS = 4 };

static volatile uint64_t counter;
static int64_t returned;
static int procs;

static void in_loop(void *unused)
{
	(void)unused;
	for (;;)
		counter++;
}

static void in_malloc(void *unused)
{
	(void)unused;
	for (unsigned n = 1;; n++) {
		void *volatile p = malloc(n % 3000);

		free(p);
	}
}

static void in_printf(void *unused)
{
	(void)unused;
	for (;;)
		printf("%d %s %g\n", 42, "forty-two", 42.0);
}

static int start(void *how)
{
	static void (*const others[])(void *) = { in_loop, in_malloc, in_printf };
	static const char *const names[] = { "loop", "malloc", "printf" };

	urge_gomaxprocs(procs);
	for (unsigned i = 0; i < OTHERS; i++)
		for (unsigned k = 0; k < 3; k++)
			if (!strcmp(how, names[k]) || (!strcmp(how, "mixed") && i % 3 == k))
				if (urge_go(others[k], NULL))
					return 1;
	urge_sleep(5 * URGE_MS);
	returned = urge_now();
	return 7;
}

static int two(void *unused)
{
	(void)unused;
	free(malloc(100));
	return 2;
}

int main(int argc, char **argv)
{
	int to = dup(1);
	int64_t worst = 0;

	if (argc != 4 || !freopen("/dev/null", "w", stdout))
		return 1;
	procs = atoi(argv[3]);
	for (int round = atoi(argv[2]); round > 0; round--) {
		int64_t took;

		if (urge_main(start, argv[1]) != 7)
			return 2;
		took = urge_now() - returned;
		worst = took > worst ? took : worst;
		for (unsigned n = 1; n <= 1000; n++)
			free(malloc(n));
		printf("still works\n");
		if (urge_main(two, NULL) != 2)
			return 3;
	}
	dprintf(to, "%d\nok\n", (int)(worst / URGE_MS));
	return 0;
}
