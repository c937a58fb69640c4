/* SPDX-License-Identifier: MIT */
/*
 * A program whose goroutines are known writes its goroutine profile to stdout: see profile.sh,
 * which reads it.
 */
#include "tests/programs/check.h"

#include <urge.h>

enum { SLEEPERS = 300, WAITERS = 20, CALLERS = 3, FRESH = 5 };

static urge_waitgroup there, never;
static volatile uint64_t turns;
static int pipe_of_calls[2];

/* Behind a call: the caller's frame stays. */
static inline void no_tail_call(void)
{
	__asm__ volatile("" ::: "memory");
}

static void sleeper(void *unused)
{
	(void)unused;
	urge_waitgroup_done(&there);
	urge_sleep(3600 * URGE_S);
	no_tail_call();
}

static __attribute__((noinline)) void waits_deep(int depth)
{
	if (depth > 0)
		waits_deep(depth - 1);
	else
		urge_waitgroup_wait(&never);
	no_tail_call();
}

static void waiter(void *unused)
{
	(void)unused;
	urge_waitgroup_done(&there);
	waits_deep(3);
	no_tail_call();
}

static void caller(void *unused)
{
	char c;

	(void)unused;
	urge_waitgroup_done(&there);
	urge_entersyscall();
	if (read(pipe_of_calls[0], &c, 1) < 0)
		_exit(1);
	urge_exitsyscall();
}

static void looper(void *unused)
{
	(void)unused;
	urge_waitgroup_done(&there);
	for (;;)
		turns++;
}

static void fresh(void *unused)
{
	(void)unused;
	urge_sleep(3600 * URGE_S);
}

static uint64_t runnable(void)
{
	struct urge_metric metric = { .name = "/sched/goroutines/runnable:goroutines" };

	CHECK(urge_metrics_read(&metric, 1) == 1, "the metric");
	return metric.value.u;
}

static int start(void *unused)
{
	(void)unused;
	if (pipe(pipe_of_calls) != 0)
		return 1;
	urge_gomaxprocs(2);
	urge_waitgroup_add(&never, 1);
	urge_waitgroup_add(&there, SLEEPERS + WAITERS + CALLERS + 1);
	for (int i = 0; i < SLEEPERS; i++)
		urge_go(sleeper, NULL);
	for (int i = 0; i < WAITERS; i++)
		urge_go(waiter, NULL);
	for (int i = 0; i < CALLERS; i++)
		urge_go(caller, NULL);
	urge_go(looper, NULL);
	urge_waitgroup_wait(&there);
	do /* they have said so before they wait; the loop is on the other P now */
		urge_sleep(URGE_MS);
	while (runnable() > 0);
	urge_gomaxprocs(1);
	CHECK(urge_stop_the_world("so that none of them runs") == 0, "stop");
	urge_start_the_world();
	urge_nopreempt_begin();
	for (int i = 0; i < FRESH; i++)
		urge_go(fresh, NULL);
	CHECK(urge_profile_write("goroutine", 1) == 0, "to stdout");
	urge_nopreempt_end();
	CHECK(urge_profile_write("cpu", 1) == -EINVAL, "an unknown kind");
	CHECK(urge_profile_write(NULL, 1) == -EINVAL, "none");
	CHECK(urge_profile_write("goroutine", -1) == -EBADF, "no descriptor");
	return 0;
}

int main(void)
{
	begin(60);
	CHECK(urge_profile_write("goroutine", 1) == -EPERM, "before urge_main");
	CHECK(urge_main(start, NULL) == 0, "urge_main");
	return finish();
}
