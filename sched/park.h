/* SPDX-License-Identifier: MIT */
/*
 * gopark, inline, for those who park often: see proc.h for what it does.
 *
 * A goroutine that is resumed returns through the calls that were on its stack, while the processor
 * predicts returns from the calls that were made last, which were another goroutine's. So the fewer
 * frames there are between the switch and the program's own code the better, and the last of them
 * leaves by an indirect jump: it is predicted from where it went before, and not from that stack of
 * returns. A function that is RETURNS_AFTER_SWITCH must be for waiting only, since for a caller that
 * did not switch an ordinary return is better; others end in a tail call of it.
 */
#ifndef URGE_SCHED_PARK_H
#define URGE_SCHED_PARK_H

#include "sched/proc.h"
#include "sched/switch.h"

#if defined(__x86_64__) && defined(__has_attribute)
#if __has_attribute(function_return)
#define RETURNS_AFTER_SWITCH __attribute__((__noinline__, function_return("thunk-extern")))
#endif
#endif
#ifndef RETURNS_AFTER_SWITCH
#define RETURNS_AFTER_SWITCH noinline
#endif

/* The new side's part of a park: see proc.c. */
void park_after(struct m *mp, struct g *old);

static inline void gopark_inline(park_unlock_fn unlockf, void *arg, enum waitreason reason)
{
	struct m *mp = getm();
	struct g *gp = mp->curg;

	check_stack(gp);
	gp->waitreason = (uint8_t)reason;
	mp->after.unlockf = unlockf;
	mp->after.arg = arg;
	switch_to(mp, gp, pick_next(mp), park_after);
}

#endif
