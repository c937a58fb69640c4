/* SPDX-License-Identifier: MIT */
/*
 * The global run queues.
 *
 * A P whose ring is never empty takes one from here at every 61st tick, so behind hundreds of
 * goroutines that only yield one more would wait for tens of milliseconds. So there are two lines:
 *
 *	woken	by somebody without a P: sysmon for a timer or a descriptor, a thread of the
 *		program's; and who comes back from a declared call and finds no P
 *	q	all others: who found no room in a P's ring, was preempted, or lost the P in a call that
 *		was not declared
 *
 * The two take turns, so that neither starves the other: the k-th in a line is taken after 2 k takes at the
 * latest, whoever comes to the other one meanwhile, and a P takes at least one in 2 * 61 ticks: 61
 * direct switches may go past the look.
 * (Go has one line, but a goroutine that yields goes to its end, so the rings run empty.)
 *
 * Whether somebody waits is asked without the lock, of size, which counts both lines: to the
 * parking protocol (proc.c) they are one queue.
 */
#define URGE_KEEP_ERRNO
#include "sched/globq.h"

#include "sched/gqueue.h"
#include "sched/lock.h"
#include "sched/node.h"
#include "sched/runq.h"
#include "sched/stats.h"

static struct globq *home(const struct g *gp)
{
	return &sched.globq[many_nodes() ? gp->node : 0];
}

static void grow(struct globq *gq, uint32_t n)
{
	store_rlx_u32(&gq->size, load_rlx_u32(&gq->size) + n);
}

void globrunqput(struct g *gp, bool woken)
{
	struct globq *gq = home(gp);

	assert_held(&sched.lock);
	gqueue_push(woken ? &gq->woken : &gq->q, gp);
	grow(gq, 1);
}

static void put_all(struct gqueue *q, uint32_t n, bool woken)
{
	struct globq *gq = &sched.globq[0];

	lock(&sched.lock);
	if (many_nodes()) {
		for (struct g *gp; (gp = gqueue_pop(q)) != NULL;)
			globrunqput(gp, woken);
	} else {
		gqueue_append(woken ? &gq->woken : &gq->q, q);
		grow(gq, n);
	}
	unlock(&sched.lock);
}

void globrunqputbatch(struct gqueue *q, uint32_t n)
{
	put_all(q, n, false);
}

void globrunqputwoken(struct gqueue *q, uint32_t n)
{
	put_all(q, n, true);
}

uint32_t globqsize(void)
{
	uint32_t n = 0;

	for (uint32_t node = 0; node < sched.nnodes; node++)
		n += load_rlx_u32(&sched.globq[node].size);
	return n;
}

/* How many Ps share a queue, if one on the node `from` asks: those of its node for its own queue. */
static uint32_t sharers(uint32_t from, uint32_t node)
{
	uint32_t procs = (uint32_t)load_rlx_i32(&sched.gomaxprocs), here = procs;

	if (many_nodes() && from == node)
		here = numa_procs_on(&placement, node, procs);
	return here ? here : 1; /* 0: it drains */
}

static struct g *pop(struct globq *gq)
{
	gq->woken_turn = gq->woken.head && (!gq->woken_turn || !gq->q.head);
	return gqueue_pop(gq->woken_turn ? &gq->woken : &gq->q);
}

struct g *globrunqget(struct p *pp, uint32_t node, uint32_t max)
{
	struct globq *gq = &sched.globq[node];
	uint32_t size = load_rlx_u32(&gq->size);
	uint32_t n = size / sharers(pp->node, node) + 1;
	struct g *first;

	assert_held(&sched.lock);
	n = n > size ? size : n;
	n = n > max ? max : n;
	n = n > RUNQ_SIZE / 2 ? RUNQ_SIZE / 2 : n;
	if (n == 0)
		return NULL;
	store_rlx_u32(&gq->size, size - n);
	if (pp->node != node) {
		count(pp, steals, n);
		count(pp, steals_remote, n);
	}
	first = pop(gq);
	while (--n > 0)
		runqput(pp, pop(gq));
	return first;
}
