/* SPDX-License-Identifier: MIT */
/*
 * Where goroutines run on a machine with several memory nodes.
 *
 *	P	has a home (numa/placement.h): its struct, its timers and the stacks that it hands out
 *		are memory of that node
 *	M	is bound to the CPUs of the node whose P it runs, and moves only when it takes a P of
 *		another node: so idle Ps and idle Ms are taken from the same node first
 *	g	is at home where its stack is; its node's global queue is the one that it waits in
 *
 * Who is woken where? A goroutine that readies another is about to hand it something, and is
 * probably about to block: the other one becomes the next of its P, whatever its home, or two that
 * talk to each other over a channel would be kept apart for ever. Timers, netpoll, sysmon and
 * threads of the program hand over nothing: whom they ready goes home, if a P is idle there. Who
 * asked for a node (struct urge_attr) goes there each time it is started, woken or preempted, and
 * waits in that node's queue if none is idle. Nothing of this is binding: a P with nothing to do
 * takes goroutines of other nodes, own node first (numa/placement.c), so that no P idles while one
 * waits.
 *
 * An idle P gets the goroutine as its runnext, before its M is started:
 *
 *	readier					thief of another node
 *	P off the idle list (sched.lock)
 *	expects = 1				runnext; expects?
 *	runnext = gp				then an M is on its way: left alone
 *	startm: the M takes it, expects = 0
 *
 * Affinity is a property of the thread, by sched_setaffinity, to all of a node's CPUs: which one of
 * them is the kernel's business. When all of them go offline the kernel lets the thread run
 * anywhere; node_follow sees that it is elsewhere, and tries to bring it back whenever it takes a
 * P. Rejected: a queue of Ms for each node (threads would be made although others are idle), and Ms
 * that never leave a node (the same).
 */
#define _GNU_SOURCE
#define URGE_KEEP_ERRNO
#include "sched/node.h"

#include "kernelshim/fdprint.h"
#include "kernelshim/thread.h"
#include "kernelshim/vm.h"
#include "numa/memory.h"
#include "sched/env.h"
#include "sched/globq.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/stats.h"
#include "sched/urge.h"

#include <errno.h>
#include <sched.h>

struct numa_topology topology;
struct numa_placement placement;

static struct cpumask everywhere; /* the affinity of urge_main's caller */

static void bind_thread(const struct cpumask *mask)
{
	thread_set_affinity(mask->bits, sizeof(*mask));
}

/* ---- boot ---------------------------------------------------------------------------------- */

static void trace_fallback(void)
{
	struct fdprint out;

	if (!debugvars.inittrace || !topology.fallback[0])
		return;
	fdp_init(&out, 2);
	fdp_str(&out, "init numa: taken for one node: ");
	fdp_str(&out, topology.fallback);
	fdp_char(&out, '\n');
	fdp_flush(&out);
}

void nodesinit(void)
{
	numa_cpus_affine(&everywhere);
	if (IS_ENABLED(CONFIG_NUMA))
		numa_topology_read(&topology, &everywhere);
	else
		numa_topology_one(&topology, &everywhere, NULL);
	trace_fallback();
	sched.nnodes = topology.nnodes;
	if (many_nodes())
		numa_memory_init(&topology);
	numa_place(&placement, &topology);
}

void nodesfini(void)
{
	thread_everywhere();
	sched.nnodes = 1;
}

void node_home(struct p *pp, int id, bool fresh)
{
	uint32_t node = placement.node_of[id];

	if (!fresh && pp->node == node)
		return;
	if (many_nodes())
		numa_memory_prefer(&topology, node, pp, round_up(sizeof(*pp), vm_page_size()),
				   !fresh);
	pp->node = node;
}

/* ---- threads ------------------------------------------------------------------------------- */

void node_follow(struct m *mp, struct p *pp)
{
	int cpu;

	if (mp->node == pp->node) {
		cpu = sched_getcpu();
		if (cpu < 0 || cpu >= NUMA_MAX_CPUS || topology.node_of_cpu[cpu] == pp->node)
			return;
	}
	bind_thread(&topology.node[pp->node].cpus);
	mp->node = pp->node;
	count(pp, migrations, 1);
}

void thread_everywhere(void)
{
	if (many_nodes())
		bind_thread(&everywhere);
}

uint32_t node_here(void)
{
	int cpu = sched_getcpu();
	uint8_t node = cpu >= 0 && cpu < NUMA_MAX_CPUS ? topology.node_of_cpu[cpu] : NUMA_NONE;

	return node == NUMA_NONE ? 0 : node;
}

/* ---- goroutines ---------------------------------------------------------------------------- */

int node_asked(int number)
{
	uint32_t node;

	if (number == URGE_NODE_ANY)
		return NUMA_NONE;
	node = number < 0 ? NUMA_NONE : numa_node_by_number(&topology, (uint32_t)number);
	if (node == NUMA_NONE) /* node 0 is also what zeroed attributes ask for */
		return number == 0 ? NUMA_NONE : -EINVAL;
	return many_nodes() ? topology.node[node].near[0] : NUMA_NONE;
}

bool node_ready(struct g *gp, bool queue)
{
	struct p *pp;

	lock(&sched.lock);
	pp = pidleget_on(gp->node);
	if (!pp && queue)
		globrunqput(gp, true);
	unlock(&sched.lock);
	if (pp) {
		store_rlx_u32(&pp->expects, 1);
		runqput_next(pp, gp);
		startm(pp, false);
	} else if (queue) {
		wakep_elsewhere();
	}
	return pp || queue;
}
