/* SPDX-License-Identifier: MIT */
/*
 * Where Ms without work wait, one at a time, for timers and for descriptors; and how those who have
 * work, and sysmon, look after the descriptors meanwhile. See netpoll.c.
 */
#ifndef URGE_SCHED_NETPOLL_H
#define URGE_SCHED_NETPOLL_H

#include "sched/runtime2.h"
#include "sched/waitpoint.h"

extern struct waitpoint netpoll_point;

/* 0 or -errno. */
int netpollinit(void);
void netpollfini(void);

/* Becomes the M that waits; false when there is one already. */
bool netpoll_claim(void);

/*
 * Sleeps until the deadline or an event. Having claimed; gives the claim back. Those whom an event
 * readies go into q; returns how many.
 */
uint32_t netpoll_sleep(int64_t deadline, struct gqueue *q);

/* An M has claimed the sleep, or sleeps. */
bool netpoll_sleeps(void);

/* There are descriptors, and nobody sleeps there: a look may find something. */
bool netpoll_wanted(void);

/* The same, and the last look was a while ago. */
bool netpoll_due(int64_t now);

/* A look that does not wait. Those whom an event readies go into q; returns how many. */
uint32_t netpoll_look(int64_t now, struct gqueue *q);

/* ---- sysmon -------------------------------------------------------------------------------- */

/*
 * At each wake-up, after an event of its own waiting point or not: looks after the descriptors when
 * nobody else does. When it wants to be called again.
 */
int64_t netpoll_sysmon(int64_t now, bool event);

/* The second look: when it would want to be called, given what has changed. */
int64_t netpoll_sysmon_until(int64_t now);

/* ---- descriptors --------------------------------------------------------------------------- */

/*
 * Puts fd into the set, edge-triggered, for everything. data is the poll descriptor's, or
 * NETPOLL_SIGNALS. 0 or -errno; -EPERM: it can't be polled.
 */
enum {
	NETPOLL_SIGNALS = 4
}; /* the waiting point itself has 1 and 2, a poll descriptor more than 32 bits */
int netpollopen(int fd, uint64_t data);
void netpollclose(int fd);

/* One that was put in is gone already. */
void netpollforget(void);

#endif
