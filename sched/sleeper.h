/* SPDX-License-Identifier: MIT */
/*
 * Somebody who waits in a queue until exactly one other wakes him: a goroutine, or a thread of the
 * program's own. It lives on the stack of who waits, which stays while he does: so no queue entry
 * is ever allocated, and none can leak. (Go takes sudogs from pools, because its stacks move.)
 *
 *	who waits				who wakes
 *	sleeper_open
 *	sleeper_sleep: join(), on the		take it out of the queue
 *	  new side of the switch, puts		sleeper_claim; false: it has given up,
 *	  it into a queue			  take the next one
 *	...					results into the entry
 *	(in vain: out of the queue)		sleeper_wake: the last touch
 *
 * The queue's lock, which both take, is not the sleeper's affair. A thread waits on a futex in its
 * entry, for ever: the calls that have a deadline are for goroutines.
 */
#ifndef URGE_SCHED_SLEEPER_H
#define URGE_SCHED_SLEEPER_H

#include "kernelshim/atomic.h"
#include "sched/proc.h"
#include "sched/wait.h"

struct sleeper {
	struct g *gp;           /* NULL: a thread */
	uint32_t ticket;        /* of the goroutine's wait, see wait.h */
	struct atomic_u32 over; /* futex of the thread */
};

/*
 * For the calling goroutine gp; NULL: for the calling thread, with no deadline. interruptible: the
 * deadline and the goroutine's context may end the wait, else only a waker does.
 */
static inline struct sleeper sleeper_open(struct g *gp, bool interruptible, int64_t deadline)
{
	return (struct sleeper){
		.gp = gp,
		.ticket = gp && interruptible ? wait_open(gp, false, deadline) : 0,
	};
}

/* True: the caller is the one who wakes it. Under the lock of the queue. */
static inline bool sleeper_claim(const struct sleeper *s)
{
	return !s->gp || wait_claim(s->gp, s->ticket);
}

/* After a claim that was granted. The sleeper may be gone when it returns. */
void sleeper_wake(struct sleeper *s);

/*
 * join(gp, arg) puts the sleeper into its queue; false: there is nothing to wait for. Returns 0,
 * also when join refused, or why the wait ended in vain, as gopark_until.
 */
int sleeper_sleep(struct sleeper *s, park_unlock_fn join, void *arg, enum waitreason reason,
		  int64_t deadline);

/*
 * How many threads of the program's own sleep so, in the lower half; the upper half counts changes.
 * They are counted when they are queued, and off by who wakes them: who is counted does nothing by
 * himself.
 */
uint64_t sleeping_threads(void);

/* In a fork's child: none is left. */
void sleeper_after_fork(void);

#endif
