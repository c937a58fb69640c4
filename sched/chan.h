/* SPDX-License-Identifier: MIT */
/*
 * Channels inside the runtime: the struct, what select needs, and the calls that never block, which
 * timers, contexts and the poller make from any thread, with or without a goroutine or a P.
 */
#ifndef URGE_SCHED_CHAN_H
#define URGE_SCHED_CHAN_H

#include "sched/chanlock.h"
#include "sched/runtime2.h"
#include "sched/urge.h"
#include "sched/wait.h"

#include <string.h>

enum { ELEM_SIZE_MAX = 64 * 1024, WAITS = 1 /* sudog.result until a waker sets it */ };

/*
 * A goroutine in a channel's queue (Go: a pseudo-g). It lives on the goroutine's own stack, which
 * does not move, and stays there until the goroutine has been readied and has taken the channel's
 * lock, or has been readied by whoever took the entry out: so there is no pool, and no failure.
 */
struct sudog {
	/* constant while in a queue */
	struct g *gp;
	void *elem; /* where from, where to; NULL: zeros, or nowhere */
	uint32_t ticket;
	/* chan.lock */
	bool queued;
	int32_t result; /* WAITS; then 0 or -EPIPE, written by the one who has claimed the ticket */
	struct sudog *next, *prev;
};

struct waitq {
	struct atomic_ptr first; /* chan.lock writes; a look without the lock is a hint */
	struct sudog *last;      /* chan.lock */
};

struct urge_chan {
	struct chanlock lock;

	/* constant */
	uint32_t elem_size;
	size_t cap;

	/* lock writes, everybody may read */
	struct atomic_size count; /* elements in the buffer */
	struct atomic_u32 closed;

	/* lock */
	struct waitq recvq, sendq;
	size_t sendx, recvx; /* places in the buffer: where the next is put, where the oldest is */
	int64_t world;       /* sched.starttime of the run that the queues' goroutines belong to */

	struct chantimer *timer; /* constant: urge_after's and a ticker's, see chantimer.c */

	char buf[] __attribute__((aligned(16))); /* cap * elem_size bytes */
};

/* ---- under the lock ------------------------------------------------------------------------ */

/*
 * Sends or receives if that is possible at once: 0, -EPIPE (*elem is zeroed by chan_recv_locked),
 * -EAGAIN. With the lock; after its release the caller readies *ready if that is not NULL.
 */
int chan_send_locked(struct urge_chan *c, const void *elem, struct g **ready);
int chan_recv_locked(struct urge_chan *c, void *elem, struct g **ready);

/* Puts sg behind the queue. */
void chan_enqueue(struct urge_chan *c, struct waitq *q, struct sudog *sg);

/* Takes sg out of q if it is still there. */
void chan_dequeue(struct waitq *q, struct sudog *sg);

/* ---- without it ---------------------------------------------------------------------------- */

/*
 * Could a send, a receive go on? Without the lock. True is a hint: an entry whose wait has been
 * ended by another party makes it so. False was right at one instant: when the other word was read,
 * since a channel that is not closed by the last look was not closed then (so closed is read last),
 * and since with a buffer nobody waits for room that is there, nor for elements.
 */
static inline bool chan_may_send(const struct urge_chan *c)
{
	return load_acq_ptr(&c->recvq.first) || load_acq_size(&c->count) < c->cap ||
	       load_rlx_u32(&c->closed);
}

static inline bool chan_may_recv(const struct urge_chan *c)
{
	return load_acq_size(&c->count) > 0 || load_acq_ptr(&c->sendq.first) ||
	       load_rlx_u32(&c->closed);
}

/* urge_try_send, urge_try_recv, urge_close_chan for the runtime: any thread, in it or not. */
int chan_send_nb(struct urge_chan *c, const void *elem);
int chan_recv_nb(struct urge_chan *c, void *elem);
void chan_close(struct urge_chan *c);

/* Stops and frees the timer of a channel. */
void chantimer_free(struct chantimer *ct);

#endif
