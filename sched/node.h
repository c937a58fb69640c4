/* SPDX-License-Identifier: MIT */
/* The scheduler on a machine with several memory nodes. See node.c. */
#ifndef URGE_SCHED_NODE_H
#define URGE_SCHED_NODE_H

#include "numa/placement.h"
#include "numa/topology.h"
#include "sched/runtime2.h"

_Static_assert((int)MAX_NODES == (int)NUMA_MAX_NODES, "globq has room for each node");

/* Constant while the runtime runs. */
extern struct numa_topology topology;
extern struct numa_placement placement;

/*
 * Asked before everything that is about nodes: on a machine with one node that is this predicted
 * test, and without CONFIG_NUMA nothing.
 */
static inline bool many_nodes(void)
{
	return IS_ENABLED(CONFIG_NUMA) && unlikely(sched.nnodes > 1);
}

/* Boot: finds the nodes, places the Ps. On the thread that calls urge_main. */
void nodesinit(void);

/* Return of urge_main: the calling thread may run again where it might. */
void nodesfini(void);

/*
 * Gives P number id, which no M has, its home. fresh: pp has just been mapped, and nothing in it
 * has been touched.
 */
void node_home(struct p *pp, int id, bool fresh);

/*
 * The calling M is to run pp: its thread goes to the CPUs of pp's node, if it is not bound to them
 * yet, or has been driven off them.
 */
void node_follow(struct m *mp, struct p *pp);

/* The calling thread may run on all CPUs that the caller of urge_main had. */
void thread_everywhere(void);

/* The node whose CPU the calling thread is on: for threads without a P. */
uint32_t node_here(void);

/*
 * The node that attributes ask for, by the kernel's number (struct urge_attr). NUMA_NONE: any.
 * -EINVAL when there is no such node.
 */
int node_asked(int number);

/*
 * On many nodes: makes gp runnable on its node, with an idle P of that node if there is one, else
 * in the node's queue, if queue says so. False: it is the caller's still.
 */
bool node_ready(struct g *gp, bool queue);

#endif
