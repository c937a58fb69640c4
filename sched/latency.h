/* SPDX-License-Identifier: MIT */
/*
 * How long goroutines wait for a P, from runnable to running: /sched/latencies:seconds.
 *
 * A clock reading costs twice a switch, so one in 128 is measured: each M counts down those that it
 * makes runnable, and marks one in its header, in the first line of it, which the switch has at
 * hand anyway. While a trace runs the count stays at 0, and each gets a trace point. The steps are
 * of random length: two goroutines that take turns would have one of them measured only. (Go
 * measures one in 8 of each goroutine's.) The time stands where a waiting goroutine has the time
 * since when it waits.
 */
#ifndef URGE_SCHED_LATENCY_H
#define URGE_SCHED_LATENCY_H

#include "kernelshim/clock.h"
#include "sched/runtime2.h"
#include "sched/trace.h"

enum {
	LATENCY_PERIOD = 128, /* on average; a power of two */
	LATENCY_MARK = 0x80,  /* in g.waitreason */
};
_Static_assert((int)WAIT_REASONS_N <= (int)LATENCY_MARK, "the mark is no wait reason");

/* The one to be measured; while a trace runs, all come here. */
void latency_mark(struct m *mp, struct g *gp, enum trace_kind kind);

/*
 * gp has been made runnable, and nobody sees it yet; kind says how. mp: the caller's, NULL on a
 * foreign thread. Those without a P have a trace point of their own, in goqueue.
 */
static inline void latency_begin(struct m *mp, struct g *gp, enum trace_kind kind)
{
	if (mp && unlikely(mp->unmeasured-- == 0))
		latency_mark(mp, gp, kind);
}

/* gp is about to run on pp, which the caller owns. */
static inline void latency_end(struct p *pp, struct g *gp)
{
	if (unlikely(gp->waitreason & LATENCY_MARK)) {
		gp->waitreason &= (uint8_t)~LATENCY_MARK;
		timehist_record(&pp->latency, nanotime() - gp->waitsince);
	}
}

#endif
