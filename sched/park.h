/* SPDX-License-Identifier: MIT */
/*
 * gopark, inline, for those who park often: see proc.h for what it does.
 *
 * A goroutine that is resumed returns through the calls that were on its stack, while the processor
 * predicts returns from the calls that were made last, which were another goroutine's. So the fewer
 * frames there are between the switch and the program's own code the better, and the last of them
 * leaves by an indirect jump: it is predicted from where it went before, and not from that stack of
 * returns. A function that is RETURNS_AFTER_SWITCH must be for waiting only, since for a caller
 * that did not switch an ordinary return is better; others end in a tail call of it.
 */
#ifndef URGE_SCHED_PARK_H
#define URGE_SCHED_PARK_H

#include "kernelshim/clock.h"
#include "sched/g.h"
#include "sched/proc.h"
#include "sched/stats.h"
#include "sched/switch.h"
#include "sched/sysmon.h"
#include "sched/trace.h"

#if defined(__x86_64__) && defined(__has_attribute)
#if __has_attribute(function_return)
#define RETURNS_AFTER_SWITCH __attribute__((__noinline__, function_return("thunk-extern")))
#endif
#endif
#ifndef RETURNS_AFTER_SWITCH
#define RETURNS_AFTER_SWITCH noinline
#endif

/* The new side of a park, first of all: from here on the goroutine counts as waiting. */
static inline void parked(struct m *mp, struct g *old)
{
	if (mp->curg) { /* a direct switch: somebody waited, so sysmon's time is at most a slice old */
		old->waitsince = load_rlx_i64(&sysmon_now);
	} else {
		old->waitsince = nanotime();
		trace(mp, TRACE_GO_BLOCK, old->goid, old->waitreason);
	}
	count(mp->p, parks, 1);
	casgstatus(old, Grunning, Gwaiting);
}

/* On the new side too: there is nothing to wait for, and nobody has found old. */
void park_called_off(struct m *mp, struct g *old);

/*
 * mp: the caller's M. after, on the new side, calls parked and then lets others find the goroutine,
 * or calls park_called_off; arg is mp->after.arg.
 */
static inline void gopark_inline(struct m *mp, void (*after)(struct m *mp, struct g *old),
				 void *arg, enum waitreason reason)
{
	struct g *gp = mp->curg;

	check_stack(gp);
	gp->waitreason = (uint8_t)reason;
	mp->after.arg = arg;
	switch_to(mp, gp, pick_next(mp), after);
}

#endif
