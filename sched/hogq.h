/* SPDX-License-Identifier: MIT */
/*
 * The queues of those that used up their slices: one for each memory node, so that a loop goes on
 * where its caches are. (Its memory is probably there as well, but for what it brought along when
 * it was stolen: so it is the P's node that counts, not the home of its stack.)
 *
 * Nobody may wait for ever because his node has no Ps any more, or fewer for each loop than others.
 * So a P does not simply prefer its own node: it takes the one whose first in line has waited
 * longest, where a handicap is added for other nodes: PATIENCE for the nearest one, twice as much
 * for the next two, three times for the next four. Hence: who is first on any node waits at most so
 * much longer than whoever is taken instead, on 64 nodes 60 ms; loops move only when what they wait
 * for differs by as much, and towards the shorter queue; a P that finds its own queue empty takes
 * from near ones first.
 *
 * Who waits in the signal handler resumes on a thread of its own, and the kernel wakes a thread on
 * the CPU where it was last, be it busy. The CPU of who hands over the P, and goes to sleep, is then
 * idle until the kernel's next tick finds that out, up to 4 ms, while two loops share the other CPU
 * and signals wait for the one that does not run: of sleepers beside loops in libc one in twenty was
 * late by 1 ms or more. So the first goroutine is taken that stopped on the taker's own CPU, if
 * another one did not come PATIENCE before it, which is how much longer others wait for that. Spare
 * threads are chosen likewise (template.c).
 *
 * Rejected: one queue for the machine (a loop went to whichever node had a P first: every slice);
 * own node first and a random one now and then (no bound on the waiting); to balance by lengths
 * (says nothing about a node without Ps).
 *
 * All of this is used in the signal handler as well: nothing here may call out but into lock.h.
 */
#ifndef URGE_SCHED_HOGQ_H
#define URGE_SCHED_HOGQ_H

#include "kernelshim/thread.h"
#include "sched/gqueue.h"
#include "sched/lock.h"
#include "sched/node.h"
#include "sched/runtime2.h"

#define HOGQ_PATIENCE INT64_C(10000000) /* ns */

enum { HOGQ_LOOKS = 8 }; /* so many are asked for their CPU */

/* Which node's queue gp goes into, that was stopped on pp, or on no P at all. */
static inline uint32_t hogq_node(const struct p *pp, const struct g *gp)
{
	if (!many_nodes())
		return 0;
	return pp && !(gp->attr & GATTR_NODE) ? pp->node : gp->node;
}

/* Behind the others. now: about the time. */
static inline void hogq_put(struct hogq *hogs, struct g *gp, int64_t now)
{
	lock(&hogs->lock);
	gp->waitsince = now;
	gqueue_push(&hogs->q, gp);
	store_rlx_i64(&hogs->since, hogs->q.head->waitsince);
	store_rlx_u32(&hogs->size, load_rlx_u32(&hogs->size) + 1);
	unlock(&hogs->lock);
}

/* Whom to take is behind this one; NULL: it is the first. */
static inline struct g *hogq_before_next(const struct hogq *hogs, uint32_t cpu)
{
	struct g *first = hogs->q.head, *prev = NULL, *at = first;

	if (cpu == THREAD_NO_CPU)
		return NULL;
	for (int i = 0; i < HOGQ_LOOKS && at && at->waitsince - first->waitsince < HOGQ_PATIENCE;
	     i++) {
		const struct m *mp = (const struct m *)load_rlx_ptr(&at->m);

		if (load_rlx_u32(&mp->cpu) == cpu)
			return prev;
		prev = at;
		at = at->schedlink;
	}
	return NULL;
}

/* The next one for a P on this CPU, NULL if there is none. */
static inline struct g *hogq_get(struct hogq *hogs, uint32_t cpu)
{
	struct g *gp;

	lock(&hogs->lock);
	gp = gqueue_take(&hogs->q, hogq_before_next(hogs, cpu));
	if (gp) {
		store_rlx_i64(&hogs->since, hogs->q.head ? hogs->q.head->waitsince : 0);
		store_rlx_u32(&hogs->size, load_rlx_u32(&hogs->size) - 1);
	}
	unlock(&hogs->lock);
	return gp;
}

/* Of the i-th nearest node, 0 being the own one. */
static inline int64_t hogq_handicap(uint32_t i)
{
	return i > 0 ? (32 - __builtin_clz(i)) * HOGQ_PATIENCE : 0;
}

/* The queue that a P of the node is to take from; NULL: all are empty. A guess: no lock is held. */
static inline struct hogq *hogq_next(struct hogq *queues, uint32_t node)
{
	struct hogq *best = NULL;
	int64_t earliest = INT64_MAX;

	if (!many_nodes())
		return load_rlx_u32(&queues[0].size) > 0 ? &queues[0] : NULL;
	for (uint32_t i = 0; i < sched.nnodes; i++) {
		struct hogq *hogs = &queues[topology.node[node].near[i]];
		int64_t since = load_rlx_i64(&hogs->since) + hogq_handicap(i);

		if (load_rlx_u32(&hogs->size) > 0 && since < earliest) {
			best = hogs;
			earliest = since;
		}
	}
	return best;
}

/*
 * For a P of the node; NULL: nobody waits. cpu: where its taker is, if those in the queues have
 * threads of their own, else THREAD_NO_CPU.
 */
static inline struct g *hogq_take(struct hogq *queues, uint32_t node, uint32_t cpu)
{
	struct hogq *hogs;
	struct g *gp = NULL;

	while (!gp && (hogs = hogq_next(queues, node)) != NULL)
		gp = hogq_get(hogs, cpu);
	return gp;
}

/* How many wait. */
static inline uint32_t hogq_size(const struct hogq *queues)
{
	uint32_t n = load_rlx_u32(&queues[0].size);

	for (uint32_t node = 1; many_nodes() && node < sched.nnodes; node++)
		n += load_rlx_u32(&queues[node].size);
	return n;
}

#endif
