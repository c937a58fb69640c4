/* SPDX-License-Identifier: MIT */
/*
 * Which node each P lives on, and in which order a thief visits the others. See placement.c.
 */
#ifndef URGE_NUMA_PLACEMENT_H
#define URGE_NUMA_PLACEMENT_H

#include "numa/topology.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For every P there can be, whatever GOMAXPROCS is: raising it moves no P. */
struct numa_placement {
	uint32_t nnodes;
	uint8_t node_of[CONFIG_MAX_PROCS];
	uint16_t members[CONFIG_MAX_PROCS]; /* the Ps, grouped by node, ascending in each group */
	uint16_t first[NUMA_MAX_NODES + 1]; /* where node i's group begins in members */
};

/* Pure: the same topology gives the same placement. */
void numa_place(struct numa_placement *placement, const struct numa_topology *t);

/* How many of the Ps 0 .. procs - 1 are on the node: the first so many of its group. */
uint32_t numa_procs_on(const struct numa_placement *placement, uint32_t node, uint32_t procs);

/* How far a look for work goes. */
enum numa_reach {
	NUMA_LOCAL, /* the own node's Ps */
	NUMA_SOME,  /* and a few random ones of each other node */
	NUMA_ALL,
};

enum { NUMA_REMOTE_TRIES = 2 };

/* A walk over Ps. */
struct numa_walk {
	const struct numa_placement *placement;
	const uint8_t *near;
	enum numa_reach reach;
	uint32_t procs;
	uint32_t random[2];
	uint32_t nodes;          /* that have been entered */
	const uint16_t *members; /* of the node that is being visited */
	uint32_t n, left, at, step;
};

/*
 * Visits Ps below procs, each once: those of node from, then those of the other nodes, nearest
 * first; on each node from a random one on, in random strides. random: two random numbers.
 */
void numa_walk_begin(struct numa_walk *walk, const struct numa_placement *placement,
		     const struct numa_node *from, uint32_t procs, enum numa_reach reach,
		     const uint32_t random[2]);

/* The next P, -1 at the end. */
int numa_walk_next(struct numa_walk *walk);

#ifdef __cplusplus
}
#endif

#endif
