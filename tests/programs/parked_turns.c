/* SPDX-License-Identifier: MIT */
/*
 * Loops in libc take turns on one P, which one hands to the next in the signal handler, since nobody
 * else waits then. Each is a hog all the same: a goroutine that wakes does not wait for the end of a
 * slice. Slices are long, so that one that is not stopped shows in the CPU time that the process
 * uses until the goroutine runs: on a busy machine that is not more.
 */
#include "tests/programs/check.h"

enum { LOOPS = 3, TURNS = 6, SLICE_MS = 300 };

static uint32_t stop;
static urge_waitgroup done;
static char text[1 << 16];
static size_t (*volatile length_of)(const char *) = strlen; /* that of libc, each time */

static void loop(void *unused)
{
	(void)unused;
	while (!LOAD(stop))
		if (length_of(text) != sizeof(text) - 1)
			fail("strlen");
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	const int64_t slice = SLICE_MS * URGE_MS;
	int64_t worst = 0;

	(void)unused;
	urge_gomaxprocs(1);
	urge_set_time_slice(slice);
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < LOOPS; i++)
		spawn(&done, loop, NULL);
	urge_sleep((LOOPS + 2) * slice); /* hogs are those that have used up a slice */
	for (int i = 0; i < TURNS; i++) {
		/* the loops are alone until the second half of a slice that began by a hand-over */
		int64_t began = cpu_time(), used;

		urge_sleep(slice + slice / 4);
		used = cpu_time() - began - (slice + slice / 4);
		worst = used > worst ? used : worst;
	}
	printf("%d wake-ups, %lld ms of CPU time late at most\n", TURNS,
	       (long long)(worst / URGE_MS));
	CHECK(worst < slice / 2, "%lld ms", (long long)(worst / URGE_MS));
	STORE(stop, 1);
	urge_waitgroup_wait(&done);
	return 0;
}

int main(void)
{
	begin((int64_t)env_number("SECONDS", 120));
	run_both(start, NULL);
	return finish();
}
