/* SPDX-License-Identifier: MIT */
/*
 * Waits that more than one party may end: a channel's other side, a deadline, a context that is
 * cancelled, another case of a select. Exactly one of them may ready the goroutine.
 *
 * Each wait of that kind has a number, its *ticket*, in the goroutine's header. Whoever wants to end
 * it claims the ticket; the one whose compare-and-swap succeeds readies the goroutine, the others
 * go on to the next waiter. A ticket is never used twice (32 bits: a claimer would have to sleep
 * through 2^31 waits of one goroutine), so a timer that fires late, or a waker that still holds an
 * entry of a former wait, claims nothing. Headers are type-stable, so a late claim reads valid memory.
 *
 *	goroutine			waker			deadline
 *	ticket = wait_open(gp)
 *	entry into a queue
 *	gopark_until
 *					wait_claim: true
 *					result into entry	wait_claim: false
 *					goready
 *	entry out of the queue, if it is still there
 *
 * A wait that only one party can end (no deadline, no context, no select) has ticket 0, which
 * wait_claim always grants: it costs nothing.
 */
#ifndef URGE_SCHED_WAIT_H
#define URGE_SCHED_WAIT_H

#include "sched/proc.h"
#include "sched/runtime2.h"

/* The context that the goroutine is bound to, NULL for none. */
struct urge_ctx;

/*
 * Opens a wait of gp, the calling goroutine: its ticket, or 0 if only one party can end it: if
 * shared is false, the deadline INT64_MAX, and gp bound to no context.
 */
uint32_t wait_open(struct g *gp, bool shared, int64_t deadline);

/* True: the caller is the one who ends the wait, and must goready(gp). Any thread. */
static inline bool wait_claim(struct g *gp, uint32_t ticket)
{
	return ticket == 0 || cas_u32(&gp->waitticket, ticket, ticket + 1);
}

/*
 * gopark, for the wait that wait_open has opened. 0: a waker ended it; -ETIMEDOUT: the deadline
 * (absolute ns; INT64_MAX for none) did; else the error of the context. In the last two cases the
 * goroutine's entries may still be in their queues: the caller takes them out. -ENOMEM: there was
 * no room for the timer, and the goroutine did not wait (its ticket is claimed).
 * A deadline that is past already ends the wait at once; callers handle deadline 0 before.
 */
int gopark_until(park_unlock_fn unlockf, void *arg, enum waitreason reason, uint32_t ticket,
		 int64_t deadline);

#endif
