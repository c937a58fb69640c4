/* SPDX-License-Identifier: MIT */
/* Ms: the runtime's threads. See m.c. */
#ifndef URGE_SCHED_M_H
#define URGE_SCHED_M_H

#include "sched/runtime2.h"

/* An M struct without a thread: from the free list, or new. NULL at the limit or without memory. */
struct m *allocm(void);

/* On the thread that mp is to be: everything an M needs. 0 or -errno. minit_undo takes it back. */
int minit(struct m *mp, const char *name);
void minit_undo(struct m *mp);

/* Puts mp, whose thread is done with it, into the free list. */
void mfree(struct m *mp);

/*
 * Gets a thread to run pp, which the caller owns: an idle M, a spare one, or one that the template
 * thread makes. spinning: the M starts spinning, and the caller has counted it. Never blocks; may
 * be called by every thread.
 */
void startm(struct p *pp, bool spinning);

/*
 * Parks the calling M, which has no P, until somebody gives it one. False: the world ends, or this
 * idle thread is to end.
 */
bool stopm(struct m *mp);

/*
 * In a fork's child: all Ms but self, whose thread is the only one that is left, are without a
 * thread. NULL: that is no M.
 */
void m_after_fork(struct m *self);

/* One M less is running: if it was the last one, that may be a deadlock. */
void mrunning_less(void);

/* Wakes mp, which is or will be in mpark. mpark: waits for it; false at the deadline. */
void mwake(struct m *mp);
bool mpark(struct m *mp, int64_t deadline);

/* ---- the template thread ------------------------------------------------------------------- */

/* Starts it, sysmon and the reclaimer, and waits until all run. 0 or -errno. */
int template_start(void);

/* In a fork's child: there are none, and nobody waits for one. */
void template_after_fork(void);

/* Ends them; returns when they have ended, but for a reclaimer that has to wait for a reader. */
void template_stop(void);

/* Threads that have been made and have not come up yet. */
uint32_t template_starting(void);
/* Threads that have counted themselves out, but may be in destructors of the program's. */
uint32_t template_ending(void);

/* There are free goroutines to be given back some time. */
void template_reclaim(void);

/* All idle and spare Ms end. When the world ends. */
void mretire_all(void);

/* How many threads the runtime has, the caller of urge_main included. */
uint32_t mthreads(void);

/* Calls each for every M with a thread. */
void forEachM(void (*each)(struct m *mp, void *arg), void *arg);

/* A number by chance, of the calling thread's M: xorshift32, any number but 0 as a seed. */
static inline uint32_t mrand(struct m *mp)
{
	uint32_t x = mp->rand;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return mp->rand = x;
}

#endif
