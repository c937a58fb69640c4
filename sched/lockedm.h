/* SPDX-License-Identifier: MIT */
/*
 * Goroutines that can run on one M only. See lockedm.c.
 *
 * g.bound says why, g.m which M. Such a goroutine waits in the queues like every other; the M that
 * takes it out hands over its P instead of running it, and becomes a spare thread.
 *
 * To lock the calling goroutine to its thread (urge_lock_os_thread, or because it holds locks that
 * belong to the thread), between enter and leave:
 *
 *	gp->bound |= BOUND_LOCKED; mp->lockedg = gp;
 *
 * and to undo it: clear both. From then on the M runs nothing else: whenever the goroutine stops,
 * it goes to g0 (pick_next sees to that), gives its P away, and waits to be handed one with it.
 */
#ifndef URGE_SCHED_LOCKEDM_H
#define URGE_SCHED_LOCKEDM_H

#include "kernelshim/thread.h"
#include "sched/hogq.h"
#include "sched/runtime2.h"

/*
 * On g0, with a P: gp, which the caller has taken out of its queue, is bound to another M, which
 * gets the P. The caller has none then.
 */
void startlockedm(struct m *mp, struct g *gp);

/*
 * On g0 of an M with a lockedg: gives its P away, if it has one, and waits until it is handed one.
 * False: the world ends.
 */
bool stoplockedm(struct m *mp);

/* ---- goroutines that wait in the handler --------------------------------------------------- */

/*
 * Gives pp, which the caller owns, to one that has waited long. False: nobody waits. For a P that
 * finds no thread: the template thread, which would make one, may be waiting for a lock that one of
 * them holds.
 */
bool parked_runs(struct p *pp);

#define GRACE INT64_C(100000) /* ns: a grace run, see lockedm.c */
enum { GRACES = 3 };          /* for each: the kernel may have stopped the holder during one */

/* When the slice begins, for sysmon, of one that has been taken out of the queue at `now`. */
int64_t parked_begins(int64_t now);

/* How many there are. */
static inline uint32_t parkedsize(void)
{
	return hogq_size(sched.parked);
}

/*
 * One for pp, which the caller owns and hands to its M; NULL: nobody waits. During grace runs
 * whoever has waited longest, else whoever holds the lock might not be among them. Signal-safe.
 */
static inline struct g *parked_take(const struct p *pp)
{
	if (parkedsize() == 0)
		return NULL;
	return hogq_take(sched.parked, pp->node,
			 load_rlx_u32(&sched.graces) > 0 ? THREAD_NO_CPU : thread_cpu());
}

/*
 * sysmon, while the world ends: those that wait in the handler go on, without a P, and Ms that wait
 * for their goroutine end.
 */
void lockedm_release_all(void);

#endif
