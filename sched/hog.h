/* SPDX-License-Identifier: MIT */
/*
 * Hogs: goroutines that used up a whole time slice, until they block or yield by themselves. They
 * run when nobody else wants to, so that one woken by a timer or by I/O does not wait behind loops
 * for whole slices, as it does in Go. No goroutine has to say what it is. See hog.c.
 */
#ifndef URGE_SCHED_HOG_H
#define URGE_SCHED_HOG_H

#include "sched/hogq.h"
#include "sched/runtime2.h"

/*
 * p.hogwhen, from the signal handler, which does not read clocks: a hog has run here until now.
 * (With the time at which it began, one that is stopped late would be followed by the next for
 * ever, and those in the queues of the P would starve.)
 */
#define HOG_STOPPED INT64_MAX

enum { HOG_MARK = 0x40 }; /* in g.waitreason, which has no meaning while it is not parked */
_Static_assert((int)WAIT_REASONS_N <= (int)HOG_MARK, "the mark is no wait reason");

/* gp, the caller, goes on by itself: no hog any more. (gopark does it, too.) */
static inline void hog_no_more(struct g *gp)
{
	if (unlikely(gp->waitreason & HOG_MARK))
		gp->waitreason &= (uint8_t)~HOG_MARK;
}

/* gp gets a slice on pp, which the caller owns, from now on. */
static inline void slice_begins(struct p *pp, const struct g *gp, int64_t now)
{
	store_rlx_u32(&pp->runshog, gp->waitreason & HOG_MARK);
	store_rlx_i64(&pp->slicestart, now);
	store_rlx_u64(&pp->sliceinherits, load_rlx_u64(&pp->inherits));
	store_rlx_u64(&pp->slicetick, load_rlx_u64(&pp->schedtick));
}

/* The goroutine that mp runs is being preempted: does that make it a hog? On its stack. */
void hog_judge(const struct m *mp);

/* Whether a hog runs on pp, or one that would be judged so now. Any thread; a guess. */
bool hog_runs(const struct p *pp, int64_t now);

/* Whether one runs anywhere. Any thread. */
bool hogs_run(void);

/* Queues gp, which was preempted on pp, or is new (NULL), behind the other hogs of its node. */
void hog_put(struct p *pp, struct g *gp);

/* A hog for pp, in turn with goroutines that wait in the signal handler. NULL if none waits. */
struct g *hog_get(struct p *pp);

/* One whose turn it is although others wait: hogs have a tenth of each P. now: the time. */
struct g *hog_due(struct p *pp, int64_t now);

/* How many wait, without those in the handler. */
static inline uint32_t hogs_waiting(void)
{
	return hogq_size(sched.hogs);
}

/*
 * sysmon: the earliest time at which the hog on pp may be stopped for somebody who waits; and that
 * it has been.
 */
int64_t hog_stop_time(const struct p *pp, int64_t since);
void hog_stopped(struct p *pp, int64_t now);

#endif
