/* SPDX-License-Identifier: MIT */
/* What the environment asks for: GOMAXPROCS and URGEDEBUG. See env.c. */
#ifndef URGE_SCHED_ENV_H
#define URGE_SCHED_ENV_H

#include <stdint.h>

/*
 * The keys of URGEDEBUG, as a table: name, smallest and largest value, what it does.
 */
#define DEBUG_KEYS(X)                                                                              \
	X(inittrace, 0, 1, "print the phases of the boot")                                         \
	X(schedtrace, 0, 86400000, "print the scheduler's state every so many ms")                 \
	X(scheddetail, 0, 1, "schedtrace prints every P, M and G")                                 \
	X(slice, 50, 10000000, "the time slice in us")                                             \
	X(asyncpreemptoff, 0, 1, "no preemption by signals")                                       \
	X(updatemaxprocs, 0, 1, "0: GOMAXPROCS does not follow CPUs and quota (default 1)")        \
	X(leaks, 0, 1, "urge_dump looks for leaked goroutines")                                    \
	X(autoprocstrace, 0, 1, "print what urge_gomaxprocs_auto sees and does")

struct debugvars {
#define X(name, lo, hi, words) int64_t name;
	DEBUG_KEYS(X)
#undef X
};

extern struct debugvars debugvars;

/* Reads URGEDEBUG; what it does not understand is named on stderr. */
void parsedebugvars(void);

/* The GOMAXPROCS that the environment asks for; 0: nothing, or nothing usable. */
int env_gomaxprocs(void);

#endif
