/* SPDX-License-Identifier: MIT */
/*
 * A P's run queue: runnext, then a ring of 256; and the way to the global queue.
 * The owner is the M that owns the P (or whoever holds the P still); thieves are other Ms.
 */
#ifndef URGE_SCHED_RUNQ_H
#define URGE_SCHED_RUNQ_H

#include "sched/runtime2.h"

/*
 * Owner. Makes gp runnable on pp: as the next one (a former next one moves to the tail), or at the
 * tail. A full ring gives half of it to the global queue.
 */
void runqput(struct p *pp, struct g *gp, bool next);

/*
 * Owner. The next goroutine, NULL if there is none. *inherit is set when it came from runnext: it
 * then runs in what is left of the time slice, so that two that ready each other cannot starve
 * the ring.
 */
struct g *runqget(struct p *pp, bool *inherit);

/* Thief, owner of pp: moves half of victim's ring to pp and returns one of them, NULL if none. */
struct g *runqsteal(struct p *pp, struct p *victim, bool runnext_too);

/* Anybody: nothing in the ring nor in runnext, at one instant during the call. */
bool runqempty(const struct p *pp);

/* Anybody: how many, about. */
uint32_t runqlen(const struct p *pp);

/* Owner: everything, in order, into q. */
void runqdrain(struct p *pp, struct gqueue *q);

#endif
