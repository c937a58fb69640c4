/* SPDX-License-Identifier: MIT */
/*
 * Where an M without work waits, one at a time: for timers, and for descriptors.
 */
#ifndef URGE_SCHED_NETPOLL_H
#define URGE_SCHED_NETPOLL_H

#include "sched/waitpoint.h"

extern struct waitpoint netpoll_point;

/* 0 or -errno. */
int netpollinit(void);
void netpollfini(void);

/* Becomes the M that waits; false when there is one already. */
bool netpoll_claim(void);

/* Sleeps until the deadline or an event. Having claimed; gives the claim back. */
void netpoll_sleep(int64_t deadline);

/* An M has claimed the sleep, or sleeps. */
bool netpoll_sleeps(void);

#endif
