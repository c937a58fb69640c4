/* SPDX-License-Identifier: MIT */
/*
 * Five ways to block, of which none holds a thread: a hundred goroutines wait for a channel, a
 * time, a socket, a select, a lock, while a handful of threads sleeps.
 *
 *	channel: 100 goroutines wait, 7 threads
 *	sleep: 100 goroutines wait, 7 threads
 *	...
 *
 * On stderr the scheduler tells the same: a line every 50 ms with threads= and idleprocs=, which is
 * gomaxprocs= when nobody runs (URGEDEBUG=schedtrace=50, unless the environment has it).
 *
 * Exit status 1 if waiting goroutines have made threads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <urge.h>

enum { GOROUTINES = 100 };

static urge_waitgroup over;
static urge_chan *gate, *never;
static urge_mutex mutex;
static int64_t wake_time;
static int sockets[GOROUTINES][2];

static void wait_for_channel(void *unused)
{
	(void)unused;
	urge_recv(gate, NULL);
	urge_waitgroup_done(&over);
}

static void wait_for_time(void *unused)
{
	(void)unused;
	urge_sleep_until(wake_time);
	urge_waitgroup_done(&over);
}

static void wait_for_socket(void *arg)
{
	char c;

	urge_read(*(int *)arg, &c, 1);
	urge_waitgroup_done(&over);
}

static void wait_for_select(void *unused)
{
	struct urge_case cases[] = {
		{ never, URGE_RECV, NULL, 0 },
		{ gate, URGE_RECV, NULL, 0 },
	};

	(void)unused;
	urge_select(cases, 2);
	urge_waitgroup_done(&over);
}

static void wait_for_lock(void *unused)
{
	(void)unused;
	urge_mutex_lock(&mutex);
	urge_mutex_unlock(&mutex);
	urge_waitgroup_done(&over);
}

static uint64_t threads(void)
{
	struct urge_stats stats;

	urge_stats_read(&stats);
	return stats.threads;
}

static void start(urge_fn fn, void *arg)
{
	urge_waitgroup_add(&over, 1);
	if (urge_go(fn, arg) != 0)
		exit(1);
}

/* They have all parked, and a line of schedtrace has told about it. */
static void look(const char *what)
{
	static uint64_t before;

	urge_sleep(120 * URGE_MS);
	printf("%s: %zu goroutines wait, %llu threads\n", what, urge_num_goroutine() - 1,
	       (unsigned long long)threads());
	if (before == 0)
		before = threads();
	if (threads() > before + GOROUTINES / 10)
		exit(1);
}

static void channel(void)
{
	gate = urge_chan_make(0, 0);
	for (int i = 0; i < GOROUTINES; i++)
		start(wait_for_channel, NULL);
	look("channel");
	urge_close_chan(gate);
	urge_waitgroup_wait(&over);
	urge_chan_free(gate);
}

static void sleeping(void)
{
	wake_time = urge_now() + 200 * URGE_MS;
	for (int i = 0; i < GOROUTINES; i++)
		start(wait_for_time, NULL);
	look("sleep");
	urge_waitgroup_wait(&over);
}

static void network(void)
{
	for (int i = 0; i < GOROUTINES; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets[i]) != 0)
			exit(1);
		start(wait_for_socket, &sockets[i][0]);
	}
	look("network");
	for (int i = 0; i < GOROUTINES; i++)
		urge_write(sockets[i][1], "x", 1);
	urge_waitgroup_wait(&over);
	for (int i = 0; i < GOROUTINES; i++) {
		urge_close(sockets[i][0]);
		urge_close(sockets[i][1]);
	}
}

static void selecting(void)
{
	gate = urge_chan_make(0, 0);
	never = urge_chan_make(0, 0);
	for (int i = 0; i < GOROUTINES; i++)
		start(wait_for_select, NULL);
	look("select");
	urge_close_chan(gate);
	urge_waitgroup_wait(&over);
	urge_chan_free(gate);
	urge_chan_free(never);
}

static void locking(void)
{
	urge_mutex_lock(&mutex);
	for (int i = 0; i < GOROUTINES; i++)
		start(wait_for_lock, NULL);
	look("lock");
	urge_mutex_unlock(&mutex);
	urge_waitgroup_wait(&over);
}

static int run(void *unused)
{
	(void)unused;
	channel();
	sleeping();
	network();
	selecting();
	locking();
	return 0;
}

int main(void)
{
	setenv("URGEDEBUG", "schedtrace=50", 0);
	return urge_main(run, NULL);
}
