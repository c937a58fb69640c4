/* SPDX-License-Identifier: MIT */
/*
 * Pins: the goroutine holds what belongs to its thread, a lock for instance, and stays there until
 * it lets go. It may be preempted together with the thread. If it blocks by itself the thread runs
 * nobody else meanwhile: a second goroutine there would walk through a recursive mutex.
 *
 * The count belongs to the M. Neither function enters the runtime: they are called at every lock of
 * libc's, also by code that runs inside of it. What keeps the goroutine on its thread between
 * getm and the store is that this text is the runtime's, where nobody is moved.
 *
 * A lock that is released by another thread than took it, as a plain mutex may be, leaves counts
 * behind: a pin too much, which costs moves, or one too few, which is not counted below zero.
 */
#define URGE_KEEP_ERRNO
#include "preempt/preempt.h"
#include "sched/tls.h"
#include "sched/urge.h"

void urge_pin_begin(void)
{
	struct m *mp = getm();

	if (!mp || !mp->curg)
		return;
	if (mp->pins++ == 0) {
		mp->curg->bound |= BOUND_PINNED;
		mp->lockedg = mp->curg;
	}
}

void pins_clear(struct m *mp, struct g *gp)
{
	mp->pins = 0;
	gp->bound &= (uint8_t)~BOUND_PINNED;
	if (!(gp->bound & BOUND_LOCKED))
		mp->lockedg = NULL;
}

void urge_pin_end(void)
{
	struct m *mp = getm();

	if (mp && mp->curg && mp->pins > 0 && --mp->pins == 0)
		pins_clear(mp, mp->curg);
}
