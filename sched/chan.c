/* SPDX-License-Identifier: MIT */
/*
 * Channels.
 *
 * A channel is one piece of memory: the struct and the buffer behind it. Under its lock an
 * operation either finds its other side or waits for it:
 *
 *	send						receive
 *	closed: -EPIPE					somebody waits to send: take that element; with
 *	somebody waits to receive: copy to where	  a buffer, which is full then, the oldest of
 *	  it is wanted					  the buffer, and that one goes behind
 *	room in the buffer: copy into it		something in the buffer: take the oldest
 *	else wait					closed: zeros, -EPIPE; else wait
 *
 * So one of the two queues is empty unless one goroutine's select waits in both, receivers wait
 * only while the buffer is empty, senders only while it is full, and nobody waits on a closed
 * channel. Queues are first in, first out. Elements of waiting goroutines are copied from stack to
 * stack, with the lock held; the goroutine is readied when it is released.
 *
 *	receiver				sender
 *	lock
 *	entry into recvq
 *	switch to another goroutine
 *	unlock, on the new side			lock
 *						claim the entry's ticket (wait.h), or take the next entry
 *						copy the element, result into the entry
 *						unlock
 *	returns result				goready
 *
 * A receiver whose wait was ended by somebody else (deadline, context, another case of its select)
 * takes the lock once more and its entry out. A waker that has met the entry before that has taken
 * it out, failed to claim it, and gone on.
 *
 * tests/model/chan.pml is the model, with select and close.
 *
 * A wake-up that makes a receiver the next one of the P costs no search for a thread: the sender's
 * next wait switches straight to it.
 *
 * Goroutines that still waited when urge_main returned are no more, and neither are their entries:
 * a queue of a former run (c->world) counts as empty. Otherwise a channel outlives urge_main.
 *
 * Rejected: lists of free entries for each P, as Go has them, since stacks here don't move; a ring
 * without a lock for the buffer, since close, select and waiting need the lock all the same, and
 * a compare-and-swap for each element costs what the lock costs.
 */
#define URGE_KEEP_ERRNO
#include "sched/chan.h"

#include "sched/fatal.h"
#include "sched/park.h"

#include <errno.h>
#include <stdlib.h>

/* ---- elements ------------------------------------------------------------------------------ */

static inline void copy_elem(void *to, const void *from, size_t size)
{
	if (!to)
		return;
	if (!from)
		memset(to, 0, size);
	else if (size == sizeof(uint64_t))
		memcpy(to, from, sizeof(uint64_t));
	else
		memcpy(to, from, size);
}

static inline void *slot(struct urge_chan *c, size_t i)
{
	return c->buf + i * c->elem_size;
}

static inline void push(struct urge_chan *c, const void *elem)
{
	copy_elem(slot(c, c->sendx), elem, c->elem_size);
	if (++c->sendx == c->cap)
		c->sendx = 0;
}

static inline void pop(struct urge_chan *c, void *elem)
{
	copy_elem(elem, slot(c, c->recvx), c->elem_size);
	if (++c->recvx == c->cap)
		c->recvx = 0;
}

/* ---- queues -------------------------------------------------------------------------------- */

/* The goroutines in the queues are of a run of urge_main that is over: forgets them. */
static noinline void forget_waiters(struct urge_chan *c)
{
	store_rlx_ptr(&c->recvq.first, NULL);
	store_rlx_ptr(&c->sendq.first, NULL);
	c->world = sched.starttime;
}

static inline void enqueue(struct urge_chan *c, struct waitq *q, struct sudog *sg)
{
	struct sudog *last;

	if (unlikely(c->world != sched.starttime))
		forget_waiters(c);
	sg->queued = true;
	sg->result = WAITS;
	sg->next = NULL;
	if (load_rlx_ptr(&q->first)) {
		last = q->last;
		last->next = sg;
		sg->prev = last;
	} else {
		sg->prev = NULL;
		store_rlx_ptr(&q->first, sg);
	}
	q->last = sg;
}

void chan_enqueue(struct urge_chan *c, struct waitq *q, struct sudog *sg)
{
	enqueue(c, q, sg);
}

void chan_dequeue(struct waitq *q, struct sudog *sg)
{
	if (!sg->queued)
		return;
	sg->queued = false;
	if (sg->prev)
		sg->prev->next = sg->next;
	else
		store_rlx_ptr(&q->first, sg->next);
	if (sg->next)
		sg->next->prev = sg->prev;
	else
		q->last = sg->prev;
}

/* The first one whose wait nobody else has ended, claimed and out of q; NULL if there is none. */
static inline struct sudog *take_waiter(struct urge_chan *c, struct waitq *q)
{
	struct sudog *sg;

	while ((sg = load_rlx_ptr(&q->first)) != NULL) {
		if (unlikely(c->world != sched.starttime)) {
			forget_waiters(c);
			return NULL;
		}
		store_rlx_ptr(&q->first, sg->next);
		if (sg->next)
			sg->next->prev = NULL;
		sg->queued = false;
		if (wait_claim(sg->gp, sg->ticket))
			return sg;
	}
	return NULL;
}

/* ---- operations under the lock ------------------------------------------------------------- */

static inline __attribute__((always_inline)) int send_locked(struct urge_chan *c, const void *elem,
							     struct g **ready)
{
	struct sudog *sg;
	size_t n;

	if (unlikely(load_rlx_u32(&c->closed)))
		return -EPIPE;
	sg = take_waiter(c, &c->recvq);
	if (sg) {
		copy_elem(sg->elem, elem, c->elem_size);
		sg->result = 0;
		*ready = sg->gp;
		return 0;
	}
	n = load_rlx_size(&c->count);
	if (n == c->cap)
		return -EAGAIN;
	push(c, elem);
	store_rlx_size(&c->count, n + 1);
	return 0;
}

static inline __attribute__((always_inline)) int recv_locked(struct urge_chan *c, void *elem,
							     struct g **ready)
{
	struct sudog *sg = take_waiter(c, &c->sendq);
	size_t n = load_rlx_size(&c->count);

	if (n > 0) {
		pop(c, elem);
		if (sg)
			push(c, sg->elem); /* the buffer was full */
		else
			store_rlx_size(&c->count, n - 1);
	} else if (sg) {
		copy_elem(elem, sg->elem, c->elem_size);
	} else if (load_rlx_u32(&c->closed)) {
		copy_elem(elem, NULL, c->elem_size);
		return -EPIPE;
	} else {
		return -EAGAIN;
	}
	if (sg) {
		sg->result = 0;
		*ready = sg->gp;
	}
	return 0;
}

int chan_send_locked(struct urge_chan *c, const void *elem, struct g **ready)
{
	return send_locked(c, elem, ready);
}

int chan_recv_locked(struct urge_chan *c, void *elem, struct g **ready)
{
	return recv_locked(c, elem, ready);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static bool unlock_after(struct g *gp, void *arg)
{
	struct urge_chan *c = arg;

	(void)gp;
	chanunlock(&c->lock, getm());
	return true;
}

/* The same for gopark_inline. */
static void parked_unlock(struct m *mp, struct g *old)
{
	struct urge_chan *c = mp->after.arg;

	parked(mp, old);
	chanunlock(&c->lock, mp);
}

/* The calling goroutine waits in q, with the lock, which is released, and leaves the runtime. */
static RETURNS_AFTER_SWITCH int chan_wait_and_leave(struct m *mp, struct urge_chan *c,
						    struct waitq *q, void *elem,
						    enum waitreason reason, int64_t deadline)
{
	struct g *gp = mp->curg;
	struct sudog sg; /* enqueue sets the rest: clearing it first would take as long again */
	int err;

	sg.gp = gp;
	sg.elem = elem;
	sg.ticket = wait_open(gp, false, deadline);
	enqueue(c, q, &sg);
	gp->waitobj = c;
	if (likely(sg.ticket == 0)) {
		gopark_inline(mp, parked_unlock, c, reason);
		leave();
		return sg.result;
	}
	err = gopark_until(unlock_after, c, reason, sg.ticket, deadline);
	if (err) {
		mp = getm();
		chanlock(&c->lock, mp);
		chan_dequeue(q, &sg);
		chanunlock(&c->lock, mp);
	}
	leave();
	return err ? err : sg.result;
}

/* A nil channel: nobody can end the wait but a deadline or a context. Leaves the runtime. */
static noinline int wait_on_nil_and_leave(enum waitreason reason, int64_t deadline)
{
	struct g *gp = getm()->curg;
	int err;

	gp->waitobj = NULL;
	err = gopark_until(NULL, NULL, reason, wait_open(gp, false, deadline), deadline);
	leave();
	return err;
}

/* ---- send and receive ---------------------------------------------------------------------- */

int chan_send_nb(struct urge_chan *c, const void *elem)
{
	const struct m *mp = getm();
	struct g *ready = NULL;
	int err;

	if (!c || !chan_may_send(c))
		return -EAGAIN;
	chanlock(&c->lock, mp);
	err = send_locked(c, elem, &ready);
	chanunlock(&c->lock, mp);
	if (ready)
		goready(ready);
	return err;
}

int chan_recv_nb(struct urge_chan *c, void *elem)
{
	const struct m *mp = getm();
	struct g *ready = NULL;
	int err;

	if (!c || !chan_may_recv(c))
		return -EAGAIN;
	chanlock(&c->lock, mp);
	err = recv_locked(c, elem, &ready);
	chanunlock(&c->lock, mp);
	if (ready)
		goready(ready);
	return err;
}

static inline __attribute__((always_inline)) int chansend(struct urge_chan *c, const void *elem,
							  int64_t deadline)
{
	struct m *mp = enter();
	struct g *ready = NULL;
	int err;

	if (!mp)
		return -EPERM;
	if (unlikely(!c))
		return wait_on_nil_and_leave(WAIT_CHANSENDNIL, deadline);
	chanlock(&c->lock, mp);
	err = send_locked(c, elem, &ready);
	if (err == -EAGAIN)
		return chan_wait_and_leave(mp, c, &c->sendq, (void *)elem, WAIT_CHANSEND, deadline);
	chanunlock(&c->lock, mp);
	if (ready)
		goready_by(mp, ready);
	leave_by(mp);
	return err;
}

static inline __attribute__((always_inline)) int chanrecv(struct urge_chan *c, void *elem,
							  int64_t deadline)
{
	struct m *mp = enter();
	struct g *ready = NULL;
	int err;

	if (!mp)
		return -EPERM;
	if (unlikely(!c))
		return wait_on_nil_and_leave(WAIT_CHANRECVNIL, deadline);
	chanlock(&c->lock, mp);
	err = recv_locked(c, elem, &ready);
	if (err == -EAGAIN)
		return chan_wait_and_leave(mp, c, &c->recvq, elem, WAIT_CHANRECV, deadline);
	chanunlock(&c->lock, mp);
	if (ready)
		goready_by(mp, ready);
	leave_by(mp);
	return err;
}

int urge_send(urge_chan *c, const void *elem)
{
	return chansend(c, elem, URGE_FOREVER);
}

int urge_recv(urge_chan *c, void *elem)
{
	return chanrecv(c, elem, URGE_FOREVER);
}

int urge_try_send(urge_chan *c, const void *elem)
{
	const struct m *mp = enter();
	int err = chan_send_nb(c, elem);

	if (mp)
		leave();
	return err;
}

int urge_try_recv(urge_chan *c, void *elem)
{
	const struct m *mp = enter();
	int err = chan_recv_nb(c, elem);

	if (mp)
		leave();
	return err;
}

int urge_send_until(urge_chan *c, const void *elem, int64_t deadline)
{
	return deadline == 0 ? urge_try_send(c, elem) : chansend(c, elem, deadline);
}

int urge_recv_until(urge_chan *c, void *elem, int64_t deadline)
{
	return deadline == 0 ? urge_try_recv(c, elem) : chanrecv(c, elem, deadline);
}

/* ---- making, closing, freeing -------------------------------------------------------------- */

urge_chan *urge_chan_make(size_t elem_size, size_t capacity)
{
	const struct m *mp = getm();
	struct urge_chan *c;
	size_t bytes;

	if (elem_size > ELEM_SIZE_MAX || __builtin_mul_overflow(elem_size, capacity, &bytes) ||
	    bytes > PTRDIFF_MAX - sizeof(*c))
		fatal("makechan: size out of range");
	c = malloc(sizeof(*c) + bytes);
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->elem_size = (uint32_t)elem_size;
	c->cap = capacity;
	chanlock_adopt(&c->lock, mp);
	return c;
}

void chan_close(struct urge_chan *c)
{
	struct sudog *list = NULL, **end = &list, *sg;
	const struct m *mp = getm();

	if (!c)
		fatal("close of nil channel");
	chanlock(&c->lock, mp);
	if (load_rlx_u32(&c->closed))
		fatal("close of closed channel");
	store_rlx_u32(&c->closed, 1);
	while ((sg = take_waiter(c, &c->recvq)) != NULL) {
		copy_elem(sg->elem, NULL, c->elem_size);
		*end = sg;
		end = &sg->next;
	}
	while ((sg = take_waiter(c, &c->sendq)) != NULL) {
		*end = sg;
		end = &sg->next;
	}
	*end = NULL;
	for (sg = list; sg; sg = sg->next)
		sg->result = -EPIPE;
	chanunlock(&c->lock, mp);
	while (list) {
		sg = list;
		list = sg->next; /* before: its goroutine may be gone with it */
		goready(sg->gp);
	}
}

void urge_close_chan(urge_chan *c)
{
	const struct m *mp = enter();

	chan_close(c);
	if (mp)
		leave();
}

void urge_chan_free(urge_chan *c)
{
	if (!c)
		return;
	if (c->world == sched.starttime &&
	    (load_rlx_ptr(&c->recvq.first) || load_rlx_ptr(&c->sendq.first)))
		fatal("urge: free of a channel on which goroutines wait");
	if (c->timer)
		chantimer_free(c->timer);
	free(c);
}

size_t urge_chan_len(const urge_chan *c)
{
	return c ? load_rlx_size(&c->count) : 0;
}

size_t urge_chan_cap(const urge_chan *c)
{
	return c ? c->cap : 0;
}
