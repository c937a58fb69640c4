/* SPDX-License-Identifier: MIT */
/*
 * The Ps, in two forms:
 *
 *	the snapshot	those that count now, as an immutable array under RCU: for looks at all Ps
 *			that come often, by threads of the runtime
 *	for_each_p	every P that was ever made, dead ones included: for the others
 *
 * See allp.c.
 */
#ifndef URGE_SCHED_ALLP_H
#define URGE_SCHED_ALLP_H

#include "kernelshim/rcu.h"
#include "sched/runtime2.h"

/* Constant from when it is published until nobody reads it; but count, in a fork's child: see allp.c. */
struct procs {
	uint32_t n; /* GOMAXPROCS when it was published */
	uint32_t
		count; /* p[n] to p[count - 1] are draining: they may hold work until they are dead */
	uint32_t room; /* how many of p are filled in: all that there were when it was made */
	size_t size;   /* of its mapping */
	struct procs
		*retired; /* the next one that waits for its end; written after it was replaced */
	struct p *p[];
};

/* The current snapshot, NULL while there are no Ps. procresize_lock writes. */
extern struct atomic_ptr allp;

/*
 * The read section around a look at the snapshot: on an M, sysmon or the template thread, in the
 * runtime, without a switch or a sleep in between, never in a signal handler. Nests.
 */
static inline const struct procs *procs_begin(void)
{
	rcu_lock();
	return (const struct procs *)load_acq_ptr(&allp); /* pairs with xchg in procs_publish */
}

static inline void procs_end(void)
{
	rcu_unlock();
}

/* For who keeps others from publishing. */
static inline const struct procs *procs_current(void)
{
	return (const struct procs *)load_rlx_ptr(&allp);
}

/*
 * A snapshot of the first Ps that were made, of which count are to be looked at. NULL without
 * memory. It belongs to the caller until it is published. With procresize_lock.
 */
struct procs *procs_new(uint32_t n, uint32_t count);

/* Makes it the current one; the one before is freed when its readers are through. */
void procs_publish(struct procs *procs);

/* The end of a world: frees the current one, those before it, and the spare ones. No reader is left. */
void procs_fini(void);

/*
 * sysmon: wakes the reclaimer when there has been something for it for a while; and when sysmon has
 * to look again, as of now: INT64_MAX if there is nothing.
 */
void procs_reclaim_tick(int64_t now);
int64_t procs_reclaim_due(int64_t now);

/*
 * How many there are that somebody may read: 1, after every change for a moment more; in a fork's
 * child for each number that there has been.
 */
uint32_t procs_alive(void);

/* In a fork's child. What the parent had retired is not freed. */
void procs_after_fork(void);

/* ---- all that were ever made --------------------------------------------------------------- */

/* P 0, which is alive whenever GOMAXPROCS is set. */
struct p *p_first(void);

/* How many; who appends, or keeps others from it. */
uint32_t p_made(void);

/* Appends a P that has been filled in; one at a time. */
void p_append(struct p *pp);

/* Any thread: Ps are type-stable, and next never changes once set. */
#define for_each_p(pp) for (struct p *pp = p_first(); pp; pp = (struct p *)load_acq_ptr(&pp->next))

/* ---- the reclaimer ------------------------------------------------------------------------- */

/*
 * A thread's function: frees snapshots, for the world whose number is arg (a counter, as a
 * pointer). It registers nothing and takes no lock of the runtime's.
 */
void *reclaimer_main(void *arg);

/* Before its start: returns arg for it. */
void *reclaimer_prepare(void);

/*
 * Lets it end. True: it is about to, join it; false: a reader of the program's keeps it waiting, it
 * ends by itself some time, detach it.
 */
bool reclaimer_stop(void);

#endif
