/* SPDX-License-Identifier: MIT */
/*
 * Readiness is seen while every P runs a tight loop. Nobody else is runnable, so no slice ends
 * and no P comes by the scheduler: if sysmon did not look after the descriptors, the reader would
 * wait for ever. poll_under_loops [messages]
 */
#include "tests/programs/check.h"

enum { PS = 2 };

static uint32_t stop, reading;
static uint32_t got;
static int64_t worst, total;
static int fds[2];
static urge_waitgroup loops;

static void loop(void *unused)
{
	(void)unused;
	while (!LOAD(stop))
		;
	urge_waitgroup_done(&loops);
}

static void *writer(void *arg)
{
	int n = *(int *)arg;

	WAIT_UNTIL(LOAD(reading));
	for (int i = 0; i < n; i++) {
		int64_t now;

		doze(i % 10 * URGE_MS / 2);
		now = urge_now();
		if (write(fds[1], &now, sizeof(now)) != sizeof(now))
			fail("write");
		WAIT_UNTIL(LOAD(got) == (uint32_t)i + 1);
	}
	return NULL;
}

static int start(void *arg)
{
	int n = *(int *)arg;
	int64_t sent;
	pthread_t thread;

	urge_gomaxprocs(PS);
	urge_set_time_slice(URGE_MS);
	if (pipe(fds) != 0 || pthread_create(&thread, NULL, writer, arg) != 0)
		return 1;
	/* registered before the loops begin */
	CHECK(urge_read_until(fds[0], &sent, sizeof(sent), 0) == -EAGAIN, "nothing yet");
	for (int i = 0; i < PS; i++)
		spawn(&loops, loop, NULL);
	STORE(reading, 1);
	for (int i = 0; i < n; i++) {
		int64_t late;

		CHECK(urge_read(fds[0], &sent, sizeof(sent)) == sizeof(sent), "read");
		late = urge_now() - sent;
		total += late;
		worst = late > worst ? late : worst;
		STORE(got, i + 1);
	}
	STORE(stop, 1);
	urge_waitgroup_wait(&loops);
	pthread_join(thread, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 200;

	begin(60);
	CHECK(urge_main(start, &n) == 0, "urge_main");
	printf("%d messages: mean %lld us, worst %lld us\n", n, (long long)(total / n / 1000),
	       (long long)(worst / 1000));
	return finish();
}
