/* SPDX-License-Identifier: MIT */
/* Counters by memory node. See nodestats.c. */
#ifndef URGE_SCHED_NODESTATS_H
#define URGE_SCHED_NODESTATS_H

#include "kernelshim/fdprint.h"

/*
 * What schedtrace adds to a line of Go's on a machine with many nodes: " nodes=[ 0: queued=3 ...".
 * Takes the lock of the slabs, and makes a system call for each node.
 */
void nodes_trace(struct fdprint *out);

#endif
