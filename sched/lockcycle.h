/* SPDX-License-Identifier: MIT */
/*
 * Goroutines that wait for each other's mutexes in a circle, found while others run. (Go finds only
 * a program of which nobody can run.)
 *
 * A mutex names the goroutine that holds it: exactly, since lock writes the name when it has the
 * mutex, and unlock wipes it out before it lets go. A goroutine that waits names what it waits for
 * in its header, and has an entry in the queue. Who queues last closes the circle: so each one that
 * has queued follows the chain from the holder on, which mostly ends at the first one, who does not
 * wait for a mutex. Of two that close it at once, one has queued before the other, who sees it.
 *
 * The links are looked at one after the other, so what is found is a suspicion, and sysmon looks
 * twice more: an entry that has the same serial number both times was in its queue all the while,
 * hence its goroutine stood still; so a chain that reads the same twice was a circle at the time in
 * between, and nobody in it can ever get out. It is told once, on stderr.
 *
 * Links are read in entries, with their root locked: the mutex can't be freed while somebody queues
 * for it. Not followed: waits with a deadline, which end by themselves, and threads that are no Ms.
 * A mutex that is meant to be unlocked by another than who locked it counts as held by the latter.
 */
#ifndef URGE_SCHED_LOCKCYCLE_H
#define URGE_SCHED_LOCKCYCLE_H

#include "sched/sema.h"

/* Who holds m; NULL: nobody, a thread that is no M, or somebody since a moment ago. */
static inline struct g *mutex_holder(const urge_mutex *m)
{
	return (struct g *)__atomic_load_n(&m->owner_, __ATOMIC_RELAXED);
}

/* g.waitobj: the address that is waited for, and these. */
enum {
	WAITOBJ_MUTEX = 1,   /* in w->addr's queue, for who holds w->mutex */
	WAITOBJ_SUSPECT = 2, /* sysmon is to look whether it is in a circle */
	WAITOBJ_BITS = 3,
};

/* What gp, the caller, which is about to queue as w, waits for; and that it no longer waits. */
static inline void lockcycle_waits(struct g *gp, const struct semwaiter *w)
{
	uintptr_t obj = (uintptr_t)w->addr | (w->mutex ? WAITOBJ_MUTEX : 0);

	__atomic_store_n(&gp->waitobj, (void *)obj, __ATOMIC_RELAXED);
}

static inline void lockcycle_waited(struct g *gp)
{
	__atomic_store_n(&gp->waitobj, NULL, __ATOMIC_RELAXED);
}

void lockcycle_follow(struct g *gp);

/* gp has queued for a mutex that holder holds. No lock is held. */
static inline void lockcycle_queued(struct g *gp, const struct g *holder)
{
	uintptr_t obj = (uintptr_t)__atomic_load_n(&holder->waitobj, __ATOMIC_RELAXED);

	if (unlikely(obj & WAITOBJ_MUTEX))
		lockcycle_follow(gp);
}

/* sysmon: tells of what it finds to be true of the suspicions since the last call. */
void lockcycle_tell(void);

#endif
