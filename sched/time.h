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
 */
#ifndef URGE_SCHED_TIME_H
#define URGE_SCHED_TIME_H

#include "sched/runtime2.h"

/* Runs what has expired in any heap; what is left is covered by sysmon. For an M that leaves netpoll. */
void timers_after_netpoll(int64_t now);

/* Reserves the heap's address space. 0 or -ENOMEM. */
int timers_init(struct timerheap *ts);
void timers_forget(struct timerheap *ts);

/* Adds t to pp's heap. False when the heap is full. */
bool timer_add(struct p *pp, struct timer *t);

/* Runs the expired timers of pp; of all Ps. Returns how many. */
uint32_t timers_run(struct p *pp, int64_t now);
uint32_t timers_run_all(int64_t now);

/* The earliest time in any heap, INT64_MAX for none. */
int64_t timers_earliest(void);

/* A timer at when is in the heap of a P that no M looks after: makes a waiting point do so. */
void timers_cover(int64_t when);

/* Moves the timers of a dead P to one that lives. */
void timers_move(struct p *from);

#endif
