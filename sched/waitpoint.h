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
 * The deadline is a timerfd's, absolute, since epoll's own time-out is late by a thousandth. A
 * sleep that is so short that this does not matter takes the time-out, and spares two system calls.
 *
 * At sysmon's point the sleeper's barrier is a membarrier (mb_rare): it interrupts every CPU that
 * runs a thread of ours. Where slices are as short as the sleep it is left out: what is published
 * within the nanoseconds that a store takes to get out of its CPU is then late by that sleep at
 * most. At netpoll's point all deadlines are timers, published by the unlock of a heap, which is a
 * full barrier; there the sleeper needs no more than that either.
 */
#ifndef URGE_SCHED_WAITPOINT_H
#define URGE_SCHED_WAITPOINT_H

#include "kernelshim/atomic.h"
#include "sched/lock.h"

#include <sys/epoll.h>

struct waitpoint {
	int epfd, timerfd, eventfd;
	struct mutex lock;
	struct atomic_i64 until; /* 0: nobody sleeps here; then the sleeper writes, else the lock */
	int64_t armed;           /* lock: what the timerfd is set to; INT64_MAX: it has fired */
	bool fenced;             /* constant: who publishes a deadline has a full barrier */
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

/* Takes the events that there are, without waiting. By anybody, also while another one sleeps. */
int waitpoint_poll(struct waitpoint *wp, struct epoll_event *events, int n);

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
