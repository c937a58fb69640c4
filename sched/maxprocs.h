/* SPDX-License-Identifier: MIT */
/* Who sets GOMAXPROCS: the program, or what the system grants. See maxprocs.c. */
#ifndef URGE_SCHED_MAXPROCS_H
#define URGE_SCHED_MAXPROCS_H

#include "kernelshim/atomic.h"

#include <stdbool.h>
#include <stdint.h>

enum maxprocs_mode {
	MAXPROCS_FIXED,  /* the environment, or a call, has named a number */
	MAXPROCS_SYSTEM, /* what CPUs and quota allow, as they change */
	MAXPROCS_AUTO,   /* what the controller finds best: see autoprocs.c */
};

/* procresize_lock writes once the world runs. */
extern struct atomic_u32 maxprocs_mode;

/* ns from one look at the system to the next; tests shorten it, while no world runs. */
extern int64_t maxprocs_period;

/* How many CPUs the process has. For tests. */
extern int (*maxprocs_cpus)(void);

/* What the system grants now: 1 to the build's limit. Reads files. */
int maxprocs_granted(void);

/* Boot: the number to begin with. */
int maxprocs_init(void);

/*
 * sysmon, at each look: looks at the system if a period has passed. Returns when to look again,
 * INT64_MAX for not before somebody is busy.
 */
int64_t maxprocs_tick(int64_t now);

/* When sysmon has to be awake for the above, as of now: INT64_MAX while everybody is idle. */
int64_t maxprocs_due(void);

/* With sched.lock: the first P is about to become busy. */
void maxprocs_busy(void);

/*
 * What to do about a number that the system grants: grow at once, shrink when two samples in a row
 * want it, to the larger of them. *low is kept for the next call, 0 at first.
 */
int maxprocs_settle(int current, int granted, int *low);

#endif
