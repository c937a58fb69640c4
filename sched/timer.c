/* SPDX-License-Identifier: MIT */
/*
 * Timers that start a goroutine: urge_timer.
 *
 * The goroutine is made while the heap's lock is held, at the moment when the timer leaves the
 * heap: from then on a stop comes too late, and the timer's memory is not needed any more, so it
 * may be freed after any stop. If there is no memory for a goroutine, the timer stays in the heap
 * and is tried again a little later; a stop still stops it.
 *
 * Rejected: a reference count, so that who runs the timer may look at it later. The last reference
 * may be given up on g0 or by sysmon, where nothing may call free().
 */
#define URGE_KEEP_ERRNO
#include "sched/g.h"
#include "sched/lock.h"
#include "sched/proc.h"
#include "sched/time.h"
#include "sched/trace.h"
#include "sched/urge.h"

#include <stdlib.h>

#define RETRY_NS INT64_C(1000000)

struct urge_timer {
	struct timer timer;
	struct mutex lock; /* one reset at a time */
	urge_fn fn;
	void *arg;
	uintptr_t gopc; /* who made it */
};

/* ---- expiry -------------------------------------------------------------------------------- */

static void start_goroutine(void *gp, uintptr_t unused)
{
	(void)unused;
	goqueue(gp);
}

static int64_t timer_expire(struct timer *t, int64_t when, int64_t now, struct due *due)
{
	const struct urge_timer *ut = container_of(t, struct urge_timer, timer);
	const struct m *mp = getm();
	struct g *gp = newproc1(mp->p, ut->fn, ut->arg, NULL, ut->gopc);

	(void)when;
	if (!gp)
		return now + RETRY_NS;
	gp->top->parentgoid = 0;
	trace_runnable(mp, gp, TRACE_GO_CREATE);
	*due = (struct due){ start_goroutine, gp, 0 };
	return 0;
}

/* ---- the calls ----------------------------------------------------------------------------- */

urge_timer *urge_timer_after(int64_t ns, urge_fn fn, void *arg)
{
	struct urge_timer *ut;
	struct m *mp;
	bool ok;

	if (!fn)
		return NULL;
	ut = malloc(sizeof(*ut));
	if (!ut)
		return NULL;
	*ut = (struct urge_timer){ .timer.expire = timer_expire, .fn = fn, .arg = arg };
	ut->gopc = (uintptr_t)__builtin_return_address(0);
	mutex_init(&ut->lock, RANK_URGE_TIMER);
	mp = enter();
	ok = timer_set(mp, &ut->timer, time_after(ns));
	if (mp)
		leave();
	if (ok)
		return ut;
	free(ut);
	return NULL;
}

bool urge_timer_stop(urge_timer *ut)
{
	struct m *mp = enter();
	bool was_set = timer_remove(&ut->timer);

	if (mp)
		leave();
	return was_set;
}

bool urge_timer_reset(urge_timer *ut, int64_t ns)
{
	int64_t when = time_after(ns);
	struct m *mp = enter();
	bool was_set;

	lock(&ut->lock);
	was_set = timer_reset(&ut->timer, when);
	if (!was_set)
		timer_set(mp, &ut->timer, when);
	unlock(&ut->lock);
	if (mp)
		leave();
	return was_set;
}

void urge_timer_free(urge_timer *ut)
{
	if (!ut)
		return;
	urge_timer_stop(ut);
	free(ut);
}
