/* SPDX-License-Identifier: MIT */
/* Where startm gets threads from: see template.c. */
#ifndef URGE_SCHED_TEMPLATE_H
#define URGE_SCHED_TEMPLATE_H

#include "sched/runtime2.h"

/*
 * A thread that is ready to run goroutines and has no P, if possible one that was on this CPU last,
 * NULL if there is none left. THREAD_NO_CPU: the caller does not go to sleep.
 */
struct m *template_take_spare(uint32_t cpu);

/*
 * On g0 of an M that has handed its P to another: waits for a P as a spare thread, or as an idle
 * one if there are enough. False: the thread is to end.
 */
bool template_spare(struct m *mp);

/* ns between two looks at which free goroutines nobody has needed since; tests shorten it. */
extern int64_t reclaim_period;

/* Asks for a thread for pp. If none can be made, pp's goroutines go to the global queue. */
void template_want(struct p *pp, bool spinning);

/*
 * sysmon: Ps that wait for a thread go to goroutines that wait with threads of their own: the
 * template may be waiting for a lock that one of those holds.
 */
void template_serve_parked(void);

#endif
