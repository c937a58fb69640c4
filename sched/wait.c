/* SPDX-License-Identifier: MIT */
/*
 * Waits with a deadline or a context. The protocol is told in wait.h; tests/model/wait.pml is the
 * model of it, of the timers below and of the contexts above.
 *
 * The deadline's timer is set before the goroutine parks, while it still runs: then a heap that is
 * full is found early, and whoever runs on this P next sees to the timer (start_running). So the
 * timer may fire at any point of what follows:
 *
 *	the goroutine, then the new side	deadline_over
 *	timer_add
 *	switch
 *	unlockf: wakers may find us
 *	cas OPENING -> PARKED			cas OPENING or PARKED -> ENDED
 *		fails on ENDED: call the park		was PARKED: goready
 *		off, by returning false
 *
 * One of the two compare-and-swaps comes first, and the goroutine is made runnable once. If a waker
 * has claimed the ticket before, the new side's fails too, on a word of the header that may belong
 * to another wait by now; the goroutine may have ended, so nothing else of it is touched there.
 *
 * A context ends a wait in the same way; how it finds the wait is told in ctx.c. If a wait was
 * ended and its context is cancelled, then that is the reason, though the deadline may have been
 * first.
 *
 * Rejected: to hold the heap's lock from before unlockf until after it, so that the timer can't
 * fire in between. It needs no state, but the same would have to be done with a lock of the
 * context, which all goroutines of a group would take at each wait.
 */
#define URGE_KEEP_ERRNO
#include "sched/wait.h"

#include "kernelshim/clock.h"
#include "sched/ctx.h"
#include "sched/time.h"

#include <errno.h>

static void deadline_over(void *gp, uintptr_t ticket)
{
	if (wait_end(gp, (uint32_t)ticket))
		goready(gp);
}

static int64_t deadline_expire(struct timer *t, int64_t when, int64_t now, struct due *due)
{
	const struct deadline *d = container_of(t, struct deadline, timer);

	(void)when;
	(void)now;
	*due = (struct due){ deadline_over, d->gp, d->ticket };
	return 0;
}

/* Sets the timer, or ends the wait before it begins. 0 or the error. */
static int set_deadline(struct m *mp, struct g *gp, uint32_t ticket, int64_t when)
{
	struct deadline *d = &gp->top->deadline;
	int err = -ETIMEDOUT;

	if (when > nanotime()) {
		d->timer.expire = deadline_expire;
		d->gp = gp;
		d->ticket = ticket;
		if (timer_add(mp->p, &d->timer, when))
			return 0;
		err = -ENOMEM;
	}
	wait_end(gp, ticket);
	return err;
}

struct park {
	park_unlock_fn unlockf;
	void *arg;
	uint32_t ticket;
};

/* unlockf has refused: nobody will wake the goroutine. True: somebody has. */
static bool refused(struct g *gp, uint32_t ticket)
{
	uint32_t now;

	while ((now = load_rlx_u32(&gp->waitticket)) != ticket + WAIT_WOKEN)
		if (cas_u32(&gp->waitticket, now, ticket + WAIT_WOKEN))
			return false;
	return true;
}

/* On the new side of the park. *arg is the goroutine's own, so it's gone when unlockf is through. */
static bool park_commit(struct g *gp, void *arg)
{
	const struct park park = *(const struct park *)arg;

	if (park.unlockf && !park.unlockf(gp, park.arg))
		return refused(gp, park.ticket);
	return cas_u32(&gp->waitticket, park.ticket + WAIT_OPENING, park.ticket + WAIT_PARKED) ||
	       load_rlx_u32(&gp->waitticket) != park.ticket + WAIT_ENDED;
}

int gopark_until(park_unlock_fn unlockf, void *arg, enum waitreason reason, uint32_t ticket,
		 int64_t deadline)
{
	struct park park = { unlockf, arg, ticket };
	struct m *mp = getm();
	struct g *gp = mp->curg;
	const struct urge_ctx *ctx;
	int err = 0;

	if (ticket == 0) {
		gopark(unlockf, arg, reason);
		return 0;
	}
	if (deadline != INT64_MAX)
		err = set_deadline(mp, gp, ticket, deadline);
	ctx = gp->top->ctx;
	if (ctx) {
		smp_mb(); /* pairs with smp_mb in cancel_one: the ticket is open */
		if (ctx_err(ctx) != 0)
			wait_end(gp, ticket);
	}
	gopark(park_commit, &park, reason);
	if (deadline != INT64_MAX)
		timer_remove(&gp->top->deadline.timer);
	if (load_rlx_u32(&gp->waitticket) != ticket + WAIT_ENDED)
		return 0;
	if (ctx && ctx_err(ctx) != 0)
		return ctx_err(ctx);
	return err ? err : -ETIMEDOUT;
}
