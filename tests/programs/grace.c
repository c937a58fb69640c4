/* SPDX-License-Identifier: MIT */
/*
 * Who blocks on a mutex whose holder waits in the signal handler, beside others that compute in
 * libc, on one P: each of those has a short run, in turn, until the holder has let go. So it takes
 * a small part of what their slices would. Measured is the CPU time that the process uses
 * meanwhile: on a busy machine it is not more.
 */
#include "tests/programs/check.h"

#include <pthread.h>
#include <string.h>

enum { OTHERS = 16, WAITS = 5, LONG = 100 * 1000 /* ns: it has had to wait */ };

static uint32_t stop, passes;
static urge_waitgroup done;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char text[1 << 16];
static size_t (*volatile length_of)(const char *) = strlen; /* that of libc, each time */

static void in_libc(int turns)
{
	for (int i = 0; i < turns; i++)
		if (length_of(text) != sizeof(text) - 1)
			fail("strlen");
}

static void other(void *unused)
{
	(void)unused;
	while (!LOAD(stop))
		in_libc(100);
	urge_waitgroup_done(&done);
}

static void holder(void *unused)
{
	(void)unused;
	while (!LOAD(stop)) {
		pthread_mutex_lock(&mutex);
		in_libc(100);
		pthread_mutex_unlock(&mutex);
		in_libc(100);
		ADD(passes, 1);
	}
	urge_waitgroup_done(&done);
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int start(void *unused)
{
	int64_t used[WAITS];

	(void)unused;
	urge_gomaxprocs(1);
	urge_set_time_slice(200 * URGE_MS);
	memset(text, 'x', sizeof(text) - 1);
	spawn(&done, holder, NULL);
	for (int i = 0; i < OTHERS; i++)
		spawn(&done, other, NULL);
	for (int waits = 0; waits < WAITS;) {
		int64_t began, cpu;

		urge_sleep(URGE_MS);
		began = urge_now();
		cpu = cpu_time();
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
		if (urge_now() - began > LONG)
			used[waits++] = cpu_time() - cpu;
	}
	qsort(used, WAITS, sizeof(used[0]), by_size);
	printf("%d waits for the mutex: %lld us of CPU time at least, half of them %lld, all %lld\n",
	       WAITS, (long long)(used[0] / URGE_US), (long long)(used[WAITS / 2] / URGE_US),
	       (long long)(used[WAITS - 1] / URGE_US));
	CHECK(used[WAITS / 2] < 150 * URGE_MS, "slices of 16 others are 3 s");
	STORE(stop, 1);
	urge_waitgroup_wait(&done);
	CHECK(LOAD(passes) > 0, "");
	return 0;
}

int main(void)
{
	begin((int64_t)env_number("SECONDS", 120));
	run_both(start, NULL);
	return finish();
}
