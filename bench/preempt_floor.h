/* SPDX-License-Identifier: MIT */
/* What a preemption takes at least on a machine. See preempt_floor.c. */
#ifndef URGE_BENCH_PREEMPT_FLOOR_H
#define URGE_BENCH_PREEMPT_FLOOR_H

#include "bench/stats.h"

#include <stdbool.h>

struct preempt_floor {
	/* constant */
	bool parked, cross;
	struct samples *samples; /* ns; whoever runs next adds them */
	size_t requests;
};

/*
 * The thread that asks, if `cross`: made before, so that it may be bound to another CPU. It ends
 * when preempt_floor has all it wants.
 */
void *preempt_floor_asks(void *unused);

/* On the CPUs that the calling thread may use: `requests` samples. 0 or -errno. Once in a process. */
int preempt_floor(struct preempt_floor *floor);

#endif
