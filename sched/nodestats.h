/* SPDX-License-Identifier: MIT */
/* Counters by memory node. See nodestats.c. */
#ifndef URGE_SCHED_NODESTATS_H
#define URGE_SCHED_NODESTATS_H

#include "kernelshim/fdprint.h"

#include <stdbool.h>

struct urge_node_stats;

/* What node_total adds up: with NODE_PAGES a system call for each node. */
enum node_figures { NODE_COUNTERS, NODE_PAGES };

/*
 * The figures of the node that has this number of the kernel's; NODES_ALL: the sums over all nodes.
 * False: there is no such node with CPUs, or the runtime does not run. Any thread.
 */
enum { NODES_ALL = -1 };
bool node_total(int number, enum node_figures figures, struct urge_node_stats *total);

/*
 * What schedtrace adds to a line of Go's on a machine with many nodes: " nodes=[ 0: queued=3 ...".
 * Takes the lock of the slabs, and makes a system call for each node.
 */
void nodes_trace(struct fdprint *out);

#endif
