/* SPDX-License-Identifier: MIT */
#include "sched/sleeper.h"

#include "kernelshim/futex.h"

#define CHANGE (UINT64_C(1) << 32)

static struct atomic_u64 threads;

uint64_t sleeping_threads(void)
{
	return load_acq_u64(&threads);
}

void sleeper_wake(struct sleeper *s)
{
	if (s->gp) {
		goready(s->gp);
		return;
	}
	add_u64(&threads, CHANGE - 1);
	store_rel_u32(&s->over, 1); /* pairs with load_acq in thread_sleep */
	futex_wake(&s->over.v, 1);  /* its memory may be another's by now: a spurious wake-up */
}

static void thread_sleep(struct sleeper *s, park_unlock_fn join, void *arg)
{
	if (!join(NULL, arg))
		return;
	add_u64(&threads, CHANGE + 1); /* its waker's may have come before: too few are no harm */
	while (load_acq_u32(&s->over) == 0) /* pairs with store_rel in sleeper_wake */
		futex_wait(&s->over.v, 0, -1);
}

int sleeper_sleep(struct sleeper *s, park_unlock_fn join, void *arg, enum waitreason reason,
		  int64_t deadline)
{
	if (!s->gp)
		thread_sleep(s, join, arg);
	else if (s->ticket)
		return gopark_until(join, arg, reason, s->ticket, deadline);
	else
		gopark(join, arg, reason);
	return 0;
}

void sleeper_after_fork(void)
{
	store_rlx_u64(&threads, 0);
}
