/* SPDX-License-Identifier: MIT */
/*
 * A goroutine and a thread that belong together: urge_lock_os_thread. How such a goroutine is
 * scheduled is told in lockedm.c. If it ends locked, its thread may be in any state (a namespace, a
 * signal mask, capabilities), so the thread ends with it, as in Go; all but the first of the
 * process, whose end would be the process's.
 */
#define URGE_KEEP_ERRNO
#include "sched/osthread.h"

#include "sched/proc.h"
#include "sched/urge.h"

void urge_lock_os_thread(void)
{
	struct m *mp = enter();

	if (!mp)
		return;
	mp->curg->top->threadlocks++;
	mp->curg->bound |= BOUND_LOCKED;
	mp->lockedg = mp->curg;
	leave();
}

/* The M is free for others, unless it is pinned. */
static void unlock_thread(struct m *mp, struct g *gp)
{
	gp->bound &= (uint8_t)~BOUND_LOCKED;
	if (mp->pins == 0)
		mp->lockedg = NULL;
}

void urge_unlock_os_thread(void)
{
	struct m *mp = enter();

	if (!mp)
		return;
	if (mp->curg->top->threadlocks > 0 && --mp->curg->top->threadlocks == 0)
		unlock_thread(mp, mp->curg);
	leave();
}

void osthread_goexit(struct m *mp, struct g *gp)
{
	gp->top->threadlocks = 0;
	unlock_thread(mp, gp);
	mp->ends = mp != sched.m0;
}
