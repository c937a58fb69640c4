/* SPDX-License-Identifier: MIT */
/*
 * The system monitor: a thread without a P that sees to what busy threads can't. See sysmon.c.
 */
#ifndef URGE_SCHED_SYSMON_H
#define URGE_SCHED_SYSMON_H

#include "sched/waitpoint.h"

extern struct waitpoint sysmon_point;

/* The time as of sysmon's last wake-up; while somebody waits for a P not older than a slice. */
extern struct atomic_i64 sysmon_now;

/* What sysmon looks after; a higher one includes the lower ones. */
enum {
	WATCH_HOGS = 1, /* hogs wait: it looks at the ends of slices */
	WATCH_ALL = 2,  /* others may wait, too: it looks soon */
};
extern struct atomic_u32 sysmon_watching;

/* The slice, ns. */
extern struct atomic_i64 time_slice;

/* The thread's function, and its end. */
void sysmon(void);
void sysmon_stop(void);

/* Somebody waits for a P and none is idle: sysmon is to watch, WATCH_HOGS or WATCH_ALL. */
void sysmon_watch(uint32_t level);

/* sysmon is to look now: somebody is urgent whom it can't see coming. Any thread. */
void sysmon_look(void);

/* A goroutine has entered a system call while others wait: sysmon is to look soon. */
void sysmon_watch_syscall(void);

/*
 * GOMAXPROCS has changed: sysmon is to wake threads for idle Ps, and to signal the owners of
 * draining ones, soon, and until they have come. Any thread; wakes nobody by itself.
 */
void sysmon_resized(void);

/* The last M went idle: sysmon is to find out whether that is a deadlock. */
void sysmon_suspect_deadlock(void);

#endif
