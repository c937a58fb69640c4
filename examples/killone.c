/* SPDX-License-Identifier: MIT */
/*
 * How to end a thread: a goroutine that ends locked to its thread takes that with it, since nobody
 * knows what it has done to it. In Go this is the trick to get rid of threads that were made for
 * blocking calls; here those end by themselves (blocking1000.c), and this is for threads that were
 * changed: a namespace entered, a signal blocked, a capability dropped.
 *
 *	a thread was locked, and has ended
 */
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <urge.h>

static urge_waitgroup done;
static pid_t thread;

static void locked(void *unused)
{
	(void)unused;
	urge_lock_os_thread();
	thread = (pid_t)syscall(SYS_gettid);
	urge_waitgroup_done(&done);
}

/* Ends one of the program's threads, and returns which. */
static pid_t kill_one(void)
{
	do {
		urge_waitgroup_add(&done, 1);
		if (urge_go(locked, NULL) != 0)
			return -1;
		urge_waitgroup_wait(&done);
	} while (thread == getpid()); /* the first one stays, and the next try finds another */
	return thread;
}

static int start(void *unused)
{
	pid_t ended = kill_one();

	(void)unused;
	if (ended < 0)
		return 1;
	for (int ms = 0; syscall(SYS_tgkill, getpid(), ended, 0) == 0; ms++) {
		if (ms == 10000) {
			puts("the thread lives on");
			return 1;
		}
		urge_sleep(URGE_MS);
	}
	puts("a thread was locked, and has ended");
	return 0;
}

int main(void)
{
	return urge_main(start, NULL);
}
