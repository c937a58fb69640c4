/* SPDX-License-Identifier: MIT */
/*
 * What preempt.lat would be if the runtime took no time: bare threads, and nothing but the calls to
 * the kernel that a preemption can't do without.
 *
 *	injected	a signal to a thread that loops, until its handler runs
 *	parked		until a thread runs that the handler has woken before it waits itself
 */
#include "bench/preempt_floor.h"

#include "kernelshim/clock.h"
#include "kernelshim/futex.h"
#include "kernelshim/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define STORE(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELEASE)

enum { PAUSE = 50000 /* ns between two requests from another CPU */ };

static struct preempt_floor *floor_;
static int64_t asked;
static uint32_t looping; /* the tid of the loop, while it may be asked */
static uint32_t turn;    /* futex: whom the handler has woken may run */
static uint32_t back;    /* futex: the handler may return */
static uint32_t taken, stop;

static void ask(uint32_t tid)
{
	asked = nanotime();
	thread_sigqueue((int)tid, SIGURG, 0);
}

void *preempt_floor_asks(void *unused)
{
	(void)unused;
	thread_set_short_slice(100000); /* both as sysmon has */
	thread_lower_nice(10);
	while (!LOAD(stop)) {
		struct timespec pause = { .tv_nsec = PAUSE };
		uint32_t tid;

		nanosleep(&pause, NULL);
		tid = __atomic_exchange_n(&looping, 0, __ATOMIC_ACQ_REL);
		if (tid)
			ask(tid);
	}
	return NULL;
}

static void take(void)
{
	samples_add(floor_->samples, (double)(nanotime() - asked));
	STORE(taken, taken + 1);
}

static void pass(uint32_t *word)
{
	STORE(*word, 1);
	futex_wake(word, 1);
}

static void await(uint32_t *word)
{
	while (!LOAD(*word))
		futex_wait(word, 0, INT64_MAX);
	STORE(*word, 0);
}

static void handler(int sig)
{
	(void)sig;
	if (!floor_->parked) {
		take();
		return;
	}
	pass(&turn);
	await(&back);
}

static void *runs_next(void *unused)
{
	(void)unused;
	for (;;) {
		await(&turn);
		if (LOAD(stop))
			return NULL;
		take();
		pass(&back);
	}
}

int preempt_floor(struct preempt_floor *floor)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	const uint32_t tid = (uint32_t)thread_gettid();
	pthread_t next;

	floor_ = floor;
	if (sigaction(SIGURG, &action, NULL) < 0)
		return -errno;
	if (pthread_create(&next, NULL, runs_next, NULL))
		return -EAGAIN;
	for (uint32_t n = 0; n < floor->requests; n++) {
		if (floor->cross)
			STORE(looping, tid);
		else
			ask(tid);
		while (LOAD(taken) == n)
			;
	}
	STORE(stop, 1);
	pass(&turn);
	pthread_join(next, NULL);
	return 0;
}
