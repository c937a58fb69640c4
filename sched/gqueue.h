/* SPDX-License-Identifier: MIT */
/* A queue of goroutines, linked through g.schedlink: a g is in one queue or free list at a time. */
#ifndef URGE_SCHED_GQUEUE_H
#define URGE_SCHED_GQUEUE_H

#include "sched/runtime2.h"

static inline bool gqueue_empty(const struct gqueue *q)
{
	return !q->head;
}

static inline void gqueue_push(struct gqueue *q, struct g *gp)
{
	gp->schedlink = NULL;
	if (q->tail)
		q->tail->schedlink = gp;
	else
		q->head = gp;
	q->tail = gp;
}

/* Takes out the one behind prev, or the first one if that is NULL; NULL: there is none. */
static inline struct g *gqueue_take(struct gqueue *q, struct g *prev)
{
	struct g **at = prev ? &prev->schedlink : &q->head;
	struct g *gp = *at;

	if (gp) {
		*at = gp->schedlink;
		if (!*at)
			q->tail = prev;
		gp->schedlink = NULL;
	}
	return gp;
}

static inline struct g *gqueue_pop(struct gqueue *q)
{
	return gqueue_take(q, NULL);
}

/* Moves all of from behind the tail of to. */
static inline void gqueue_append(struct gqueue *to, struct gqueue *from)
{
	if (!from->head)
		return;
	if (to->tail)
		to->tail->schedlink = from->head;
	else
		to->head = from->head;
	to->tail = from->tail;
	from->head = from->tail = NULL;
}

#endif
