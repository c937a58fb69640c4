/* SPDX-License-Identifier: MIT */
/*
 * The table of those who wait for a lock, by the lock's address.
 *
 * A mutex is two words and has no room for a queue. Who must wait for it queues here: the address
 * selects a root, each with a lock of its own, and a root holds a treap of the addresses that
 * somebody waits for; those who wait for the same one form a list behind the first of them. So
 * finding a queue takes O(log n) in the number of addresses, and all else is O(1).
 *
 * Unlike Go's table this one has no counters, only queues: what a word means is the business of the
 * lock it belongs to, which keeps a bit "somebody is queued" that changes under the root's lock. So
 * a waiter's deadline needs no care but taking the entry out, where with Go's semaphores it would
 * race with a unit that has been released for it. And who unlocks makes its last access to the
 * lock's memory before it wakes anybody: the next one may free it.
 *
 *	who waits			who unlocks
 *	lock root			lock root
 *	word: still held? bit on	sempop; word: free, or handed over; bit off if none is left
 *	into the queue			unlock root
 *	unlock root			sleeper_wake
 *
 * Threads that are no Ms queue in the same order; see sleeper.h.
 */
#ifndef URGE_SCHED_SEMA_H
#define URGE_SCHED_SEMA_H

#include "sched/chanlock.h"
#include "sched/sleeper.h"
#include "sched/urge.h"

struct semroot {
	struct chanlock lock;
	uint32_t rand;           /* lock: for priorities */
	uint64_t serial;         /* lock: counts entries */
	struct semwaiter *treap; /* lock */
} cacheline_aligned;

/* What a waker tells. */
enum semwoken {
	SEM_NOT_WOKEN, /* there was nothing to wait for, or the wait was in vain */
	SEM_WOKEN,     /* to try again */
	SEM_GRANTED,   /* what it waits for is its own now */
};

struct semwaiter {
	/* constant while it is queued; set by who waits */
	struct sleeper sleeper;
	const void *addr;
	/* With the root locked: whether to wait. The bit in the word is set in here. */
	bool (*join)(struct semwaiter *w);
	urge_mutex *mutex;   /* whoever holds it is waited for, see lockcycle.h; NULL: unknown */
	int64_t since;       /* when its owner came to the lock, ns */
	bool lifo;           /* goes in front of the queue */
	urge_mutex *unlocks; /* unlocked as soon as it is queued; NULL: none */

	/* the waker writes, before it wakes */
	enum semwoken woken;

	/* the root's lock */
	bool joined;                   /* has been queued */
	bool queued;                   /* is */
	bool told;                     /* of a circle, see lockcycle.h */
	uint64_t serial;               /* no two waits in a root have the same */
	struct semwaiter *prev, *next; /* the list of its address */
	struct semwaiter *tail;        /* of the first one of a list: the last one */
	struct semwaiter *parent;      /* and these: its place in the treap */
	struct semwaiter *child[2];    /* lower and higher addresses */
	uint32_t priority;             /* lower ones are nearer to the treap's root */
};

/* What who waits sets; the rest is semwait's. (Zeroing it all takes longer than all of that.) */
static inline void semwaiter_init(struct semwaiter *w, const void *addr,
				  bool (*join)(struct semwaiter *), urge_mutex *mutex)
{
	w->addr = addr;
	w->join = join;
	w->mutex = mutex;
	w->since = 0;
	w->lifo = false;
	w->unlocks = NULL;
}

enum { SEMROOTS_LOG = 8, SEMROOTS = 1 << SEMROOTS_LOG };

extern struct semroot semtable[SEMROOTS];

/*
 * The M that semlock and semunlock are called by, if it is in the runtime: only then it keeps its P
 * until it has unlocked the root.
 */
static inline const struct m *sem_m(void)
{
	const struct m *mp = getm();

	return mp && (mp->locks > 0 || !mp->curg) ? mp : NULL;
}

/* The root of an address, locked. */
static inline struct semroot *semlock(const void *addr)
{
	/* Fibonacci hashing: no pattern in a program's addresses selects few roots */
	uint64_t hash = (uintptr_t)addr * UINT64_C(0x9e3779b97f4a7c15);
	struct semroot *root = &semtable[hash >> (64 - SEMROOTS_LOG)];
	const struct m *mp = sem_m();

	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_acquire(RANK_SEMROOT);
	chanlock_take(&root->lock, mp);
	if (unlikely(!load_rlx_ptr(&root->lock.owner)))
		chanlock_adopt(&root->lock, mp);
	return root;
}

static inline void semunlock(struct semroot *root)
{
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_release(RANK_SEMROOT);
	chanlock_release(&root->lock, sem_m());
}

/* Root locked: the first one that waits for addr, claimed and out of the queue; NULL if none does. */
struct semwaiter *sempop(struct semroot *root, const void *addr);

/*
 * The world ends: goroutines that wait are no more, their entries leave the table. Before their
 * stacks are unmapped. Threads of the program's go on waiting.
 */
void semforget(void);

/* In a fork's child: nobody waits, no thread either. */
void sem_after_fork(void);

/* Root locked: somebody is queued for addr. */
bool semqueued(const struct semroot *root, const void *addr);

/* Root locked: the entry of gp in the queue of addr, NULL if it has none. */
struct semwaiter *semfind(const struct semroot *root, const void *addr, const struct g *gp);

/*
 * Waits in the queue of w->addr: for who has entered the runtime, or for a thread. 0: somebody woke
 * it, or join refused. Else the error of the wait, and w is in no queue; leave(w), if it was queued
 * still, has been called with the root locked, so that the bit in the word can be set right.
 */
int semwait(struct semwaiter *w, enum waitreason reason, int64_t deadline,
	    void (*leave_queue)(struct semwaiter *w, bool others));

#endif
