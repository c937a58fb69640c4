/* SPDX-License-Identifier: MIT */
/*
 * The order in which the runtime's locks may be taken, as data: a thread that holds a lock takes
 * only locks of a later line. Checked at every lock in debug builds. Two locks of one rank are
 * never held together.
 */
#ifndef URGE_SCHED_LOCKRANK_H
#define URGE_SCHED_LOCKRANK_H

#define LOCK_RANKS(X)                                                                              \
	X(RANK_WORLD)      /* stop-the-world's queue of stoppers */                                \
	X(RANK_PROCRESIZE) /* one change of GOMAXPROCS at a time */                                \
	X(RANK_NOTIFY)     /* who wants which signals */                                           \
	X(RANK_CTX)        /* a tree of contexts */                                                \
	X(RANK_CHAN)       /* a channel; select holds several, see chanlock.h */                   \
	X(RANK_SEMROOT)    /* a root of the table of those who wait for locks */                   \
	X(RANK_URGE_TIMER) /* one reset of a urge_timer at a time */                               \
	X(RANK_TIMERS)     /* a P's timer heap */                                                  \
	X(RANK_TIMERS_P0)  /* that of the first P, into which timers move from others */           \
	X(RANK_SCHED)      /* sched.lock */                                                        \
	X(RANK_HOGS)       /* a queue of hogs */                                                   \
	X(RANK_PARKED)     /* a queue of those that wait in the handler */                         \
	X(RANK_TEMPLATE)   /* requests to the template thread */                                   \
	X(RANK_GFREE)      /* global free list of goroutines */                                    \
	X(RANK_SLABS)      /* stack slabs */                                                       \
	X(RANK_RESOLVER)   /* the queue of name lookups */                                         \
	X(RANK_POLLDESC)   /* a poll descriptor */                                                 \
	X(RANK_TEXT)       /* changes of what may be moved */                                      \
	X(RANK_WAITPOINT)  /* a waiting point's deadline */                                        \
	X(RANK_TRACE)      /* events of a trace by who has no P */

enum lockrank {
#define X(name) name,
	LOCK_RANKS(X)
#undef X
		LOCK_RANKS_N
};

#endif
