/* SPDX-License-Identifier: MIT */
/* A controller that moves GOMAXPROCS; an experiment, off by default. See autoprocs.c. */
#ifndef URGE_SCHED_AUTOPROCS_H
#define URGE_SCHED_AUTOPROCS_H

#include <stdint.h>

/* What was seen during one window, numbers of Ps in hundredths. */
struct autoprocs_window {
	int n;           /* GOMAXPROCS */
	int granted;     /* the most it may be */
	int waiting;     /* goroutines in queues, on average */
	int idle;        /* Ps without work, on average */
	int cpu;         /* CPUs that the process used */
	int involuntary; /* times a second that the kernel took a CPU away from a busy P */
};

/* What the controller remembers; zero at first. */
struct autoprocs {
	int64_t changed; /* when it last changed something */
	int64_t hold;    /* how long it waits after that before it turns around */
	int direction;   /* of that change: 1, -1; 0: none yet */
	int wished;      /* the former window's wish, likewise */
};

/* The GOMAXPROCS for the next window. */
int autoprocs_decide(struct autoprocs *state, const struct autoprocs_window *seen, int64_t now);

/* sysmon, when it is due and the mode is MAXPROCS_AUTO. Returns when it is due again. */
int64_t autoprocs_look(int64_t now);

#endif
