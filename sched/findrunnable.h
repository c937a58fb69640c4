/* SPDX-License-Identifier: MIT */
/* Finding the next goroutine for an M. See findrunnable.c. */
#ifndef URGE_SCHED_FINDRUNNABLE_H
#define URGE_SCHED_FINDRUNNABLE_H

#include "sched/runtime2.h"

struct found {
	bool inherit; /* it runs in what is left of the former one's slice */
	int64_t now;  /* when it was found */
};

/*
 * The next goroutine to run, whatever it takes: waits if there is none. NULL: the thread is to end.
 * On g0; afterwards the M has a P and does not spin.
 */
struct g *findrunnable(struct m *mp, struct found *found);

#endif
