/* SPDX-License-Identifier: MIT */
/* Goroutines: making, ending, reusing. */
#ifndef URGE_SCHED_G_H
#define URGE_SCHED_G_H

#include "sched/fatal.h"
#include "sched/runtime2.h"
#include "sched/urge.h"

/*
 * A runnable goroutine, in no queue yet. pp is the caller's P or NULL. NULL without memory; attr
 * has been checked.
 */
struct g *newproc1(struct p *pp, urge_fn fn, void *arg, const struct urge_attr *attr,
		   uintptr_t callerpc);

/* Ends the calling goroutine. */
_Noreturn void goexit(void);

/*
 * The calling goroutine calls defer->fn if it ends before it takes it back; a thread that is none
 * can't end so. Not between enter and leave. What is pushed later is taken back earlier.
 */
void godefer_push(struct godefer *defer, void (*fn)(struct godefer *defer));
void godefer_pop(const struct godefer *defer);

/* All goroutines, including those that have not started yet. */
uint64_t gcount(void);

/*
 * The dead goroutines of the global free lists that have not been needed since the last call go
 * back to their slabs. Returns whether there are others left to look at later.
 */
bool gfree_reclaim(void);

/* The free lists of pp go to the global ones. The owner of pp. */
void gfpurge(struct p *pp);

/* Forgets all free lists: their slabs are gone, and nobody else is there. */
void gfree_forget(void);

/* Changes the status; whoever may do so is the only one (see enum gstatus). */
static inline void casgstatus(struct g *gp, enum gstatus from, enum gstatus to)
{
	if (IS_ENABLED(CONFIG_DEBUG) && load_rlx_u32(&gp->status) != (uint32_t)from)
		throw_("casgstatus: the goroutine is not in the state it must be in");
	store_rel_u32(&gp->status, to); /* pairs with load_acq of dumps */
}

#endif
