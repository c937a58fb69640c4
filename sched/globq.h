/* SPDX-License-Identifier: MIT */
/* The global run queues, one for each memory node. See globq.c. */
#ifndef URGE_SCHED_GLOBQ_H
#define URGE_SCHED_GLOBQ_H

#include "sched/runtime2.h"

enum { GLOBAL_TICK = 61 }; /* a P takes its next one from here after so many ticks */

/* Puts gp into its node's queue: behind the others, or behind those that were woken. With sched.lock. */
void globrunqput(struct g *gp, bool woken);

/* Puts q (n goroutines) into the queues of their nodes; takes sched.lock. */
void globrunqputbatch(struct gqueue *q, uint32_t n);
void globrunqputwoken(struct gqueue *q, uint32_t n);

/* One goroutine of a node's queue for pp, and up to max - 1 more into its ring. With sched.lock. */
struct g *globrunqget(struct p *pp, uint32_t node, uint32_t max);

/* How many are in all of them, about. */
uint32_t globqsize(void);

#endif
