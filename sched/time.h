/* SPDX-License-Identifier: MIT */
/*
 * Timers: a 4-ary heap per P.
 *
 * Whoever holds timers.lock may change a heap; the owner of the P adds to it, and whoever finds an
 * expired timer runs it: the owner in findrunnable, a thief, the M that wakes in netpoll, sysmon.
 *
 * Who wakes at a timer's time? Always one of these:
 *	1. an M that sleeps in netpoll, until no later than the time;
 *	2. sysmon, the same;
 *	3. an M that is in findrunnable with a P: it becomes 1 when it finds nothing, and when it runs
 *	   something it sees to 2 (timers_cover, in start_running).
 *
 * A timer may be removed by whoever owns its memory, while others find it expired:
 *
 *	owner				who runs expired timers
 *	heap NULL? then it has expired	lock
 *	lock, heap still the same?	t->expire: copies what is needed
 *	out of the heap			out of the heap, t->heap = NULL
 *	unlock				unlock
 *					due.fn, of which t is no part
 *
 * So when timer_remove has returned, the timer's memory is the owner's again, whatever it returned.
 * A due.fn that does use what the timer is part of says so (timer_hold, in t->expire), and the
 * owner waits for it, blocking the thread: for a few instructions, as for a lock.
 *
 * The timer knows its place in the heap: removal costs O(log n) at once. Rejected: to mark it and
 * leave its entry in the heap until its time, as Go does. Entries of waits that have ended would
 * outlive goroutines and their stacks, fill the heap (a million waits a second, each with a
 * deadline of a minute), and put off the verdict of a deadlock. What the place costs, a store into
 * each timer that a sift moves, sleeping goroutines need not pay: a sleep ends by its time only, so
 * its entry has no timer.
 */
#ifndef URGE_SCHED_TIME_H
#define URGE_SCHED_TIME_H

#include "sched/runtime2.h"

/* How many timers a heap holds. For tests. */
extern uint32_t timers_max;

/* Runs what has expired in any heap; what is left is covered by sysmon. For an M that leaves netpoll. */
void timers_after_netpoll(int64_t now);

/* Reserves the heap's address space. 0 or -ENOMEM. */
int timers_init(struct timerheap *ts, enum lockrank rank);

/*
 * Empties the heap at the end of a world. Its timers are not touched, since their memory may be
 * gone: those whose epoch is not the heap's are in no heap.
 */
void timers_forget(struct timerheap *ts);

/*
 * Sets t, which is in no heap, to when: in pp's heap, or the first P's if that is full. False if
 * both are. The caller sees to it that somebody wakes then: by parking on pp, or by timers_cover.
 */
bool timer_add(struct p *pp, struct timer *t, int64_t when);

/*
 * The same for a caller who goes on running: mp is what enter returned, NULL on a thread that is no
 * goroutine. False also when the runtime does not run.
 */
bool timer_set(const struct m *mp, struct timer *t, int64_t when);

/* Sets t anew in the heap that it is in, which needs no room. False: it is in none. Any thread. */
bool timer_reset(struct timer *t, int64_t when);

/* Takes t out of its heap. False: it was in none: it has expired, or was never set. Any thread. */
bool timer_remove(struct timer *t);

/*
 * For timers whose due.fn uses what they are part of. expire calls timer_hold; false: due.fn is
 * still at it since the last time. The end of due.fn is timer_drop. timer_remove_held is
 * timer_remove that waits until nobody holds t; not for due.fn itself.
 */
bool timer_hold(struct timer *t);
void timer_drop(struct timer *t);
bool timer_remove_held(struct timer *t);

/* Runs the expired timers of pp; of all Ps. Returns how many. */
uint32_t timers_run(struct p *pp, int64_t now);
uint32_t timers_run_all(int64_t now);

/* The time that is ns from now, now for what is past, before INT64_MAX. */
int64_t time_after(int64_t ns);

/* The earliest time in any heap, INT64_MAX for none. */
int64_t timers_earliest(void);

/* A timer at when is in the heap of a P that no M looks after: makes a waiting point do so. */
void timers_cover(int64_t when);

/*
 * Moves the timers of a dead P to the first. Those that find no room stay, and the P stays in the
 * snapshot.
 */
void timers_move(struct p *from);

#endif
