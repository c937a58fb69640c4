/* SPDX-License-Identifier: MIT */
/*
 * A waiting point: where one thread at a time sleeps until a deadline, an event, or a kick, and
 * where others may bring the deadline forward. There are two: netpoll's and sysmon's.
 *
 *	sleeper					who has a new deadline
 *	until = the earliest deadline		publish the deadline
 *	barrier					barrier
 *	look for deadlines again		until later than ours? then arm the timerfd ourselves
 *	epoll_wait
 *	until = 0
 *
 * Either the sleeper's second look finds the new deadline, or its owner finds the until. While the
 * sleeper is awake until is 0, and nobody needs to do anything: it will look again. The owner of a
 * deadline arms the timer by itself instead of waking the sleeper to do so: one system call, no
 * switch. tests/model/sysmon_sleep.pml is the model.
 *
 * The deadline is a timerfd's, absolute, since epoll's own time-out is late by a thousandth.
 */
#ifndef URGE_SCHED_WAITPOINT_H
#define URGE_SCHED_WAITPOINT_H

#include "kernelshim/atomic.h"
#include "sched/lock.h"

#include <sys/epoll.h>

struct waitpoint {
	int epfd, timerfd, eventfd;
	struct mutex lock;
	struct atomic_i64 until; /* lock writes: 0: nobody sleeps here */
	int64_t armed;           /* lock: what the timerfd is set to; 0: it may have fired */
};

/* Makes the descriptors. 0 or -errno. */
int waitpoint_init(struct waitpoint *wp);
void waitpoint_fini(struct waitpoint *wp);

/*
 * Sleeps until the deadline, a kick, or an event; one thread at a time. earliest() is the second
 * look. Events of the point's own two descriptors are swallowed; returns the number of others.
 */
int waitpoint_sleep(struct waitpoint *wp, int64_t deadline, int64_t (*earliest)(void),
		    struct epoll_event *events, int n);

/* Sees to it that a sleeper is awake at when, if there is one. After the barrier described above. */
void waitpoint_lower_slow(struct waitpoint *wp, int64_t when);

static inline void waitpoint_lower(struct waitpoint *wp, int64_t when)
{
	if (unlikely(load_rlx_i64(&wp->until) > when))
		waitpoint_lower_slow(wp, when);
}

/* Wakes the sleeper, or keeps the next one from sleeping. Any thread, signal-safe. */
void waitpoint_kick(struct waitpoint *wp);

#endif
