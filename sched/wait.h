/* SPDX-License-Identifier: MIT */
/*
 * Waits that more than one party may end: a channel's other side, a deadline, a context that is
 * cancelled, another case of a select. Exactly one of them may ready the goroutine.
 *
 * Each wait of that kind has a number, its *ticket*, in the goroutine's header. Whoever wants to
 * end it claims the ticket; the one whose compare-and-swap succeeds readies the goroutine, the
 * others go on to the next waiter. A ticket is never used twice (32 bits, four a wait: a claimer
 * would have to sleep through 2^29 waits of one goroutine), so a timer that fires late, or a waker
 * that still holds an entry of a former wait, claims nothing. Headers are type-stable, so a late
 * claim reads valid memory.
 *
 *	goroutine			waker			deadline, context
 *	ticket = wait_open(gp)
 *	entry into a queue
 *	gopark_until
 *					wait_claim: true
 *					result into entry	wait_end: false
 *					goready
 *	entry out of the queue, if it is still there
 *
 * The two kinds of claim differ. A waker finds the goroutine in a queue that is locked until
 * unlockf opens it, so it can't be early. A deadline may pass, and a context be cancelled, before
 * the goroutine is parked and unlockf has done its work, and then must not ready it. So the
 * header's word also says how far the wait has come:
 *
 *	ticket		WAIT_OPENING	open; unlockf is not through
 *	ticket + 1	WAIT_PARKED	who claims it from here on readies the goroutine
 *	ticket + 2	WAIT_WOKEN	a waker has claimed it
 *	ticket + 3	WAIT_ENDED	a deadline or a context has; if that was before WAIT_PARKED, the
 *					park is called off instead
 *
 * A wait that only one party can end (no deadline, no context, no select) has ticket 0, which
 * wait_claim always grants: it costs nothing.
 */
#ifndef URGE_SCHED_WAIT_H
#define URGE_SCHED_WAIT_H

#include "sched/proc.h"
#include "sched/runtime2.h"

enum { WAIT_OPENING, WAIT_PARKED, WAIT_WOKEN, WAIT_ENDED };

/*
 * Opens a wait of gp, the calling goroutine: its ticket, or 0 if only one party can end it: if
 * shared is false, the deadline INT64_MAX, and gp bound to no context. A wait that is opened and
 * not parked on needs no end, if nobody can find its entries any more. Calls that can't fail, such
 * as urge_mutex_lock, don't ask for a ticket: no context may end them.
 */
static inline uint32_t wait_open(struct g *gp, bool shared, int64_t deadline)
{
	uint32_t ticket;

	if (likely(!shared && deadline == INT64_MAX && !gp->top->ctx))
		return 0;
	/* the next number of the form 4k + 1, whatever came of the last wait: never 0 */
	ticket = (load_rlx_u32(&gp->waitticket) | 3) + 2;
	store_rlx_u32(&gp->waitticket, ticket + WAIT_OPENING);
	return ticket;
}

/*
 * For wakers. True: the caller is the one who ends the wait, and must goready(gp). Any thread. Only
 * who holds a lock that unlockf releases, or took it after that, may call this.
 */
static inline bool wait_claim(struct g *gp, uint32_t ticket)
{
	uint32_t now;

	if (ticket == 0)
		return true;
	while ((now = load_rlx_u32(&gp->waitticket)) - ticket <= WAIT_PARKED)
		if (cas_u32(&gp->waitticket, now, ticket + WAIT_WOKEN))
			return true;
	return false;
}

/*
 * For deadlines and contexts. True: the caller has ended the wait, and must goready(gp); false: it
 * is over already, or will not begin. Any thread.
 */
static inline bool wait_end(struct g *gp, uint32_t ticket)
{
	uint32_t now;

	while ((now = load_rlx_u32(&gp->waitticket)) - ticket <= WAIT_PARKED)
		if (cas_u32(&gp->waitticket, now, ticket + WAIT_ENDED))
			return now == ticket + WAIT_PARKED;
	return false;
}

/*
 * gopark, for the wait that wait_open has opened. 0: a waker ended it, or unlockf returned false;
 * -ETIMEDOUT: the deadline (absolute ns; INT64_MAX for none) did; else the error of the context. In
 * the last two cases the goroutine's entries may still be in their queues: the caller takes them
 * out. -ENOMEM, treated like these: there was no room for the timer, and the goroutine did not
 * wait. A deadline that is past already, and a context that is cancelled, end the wait at once;
 * callers handle deadline 0 before. unlockf has run once in every case, and its last act must be
 * what lets wakers find the goroutine.
 */
int gopark_until(park_unlock_fn unlockf, void *arg, enum waitreason reason, uint32_t ticket,
		 int64_t deadline);

#endif
