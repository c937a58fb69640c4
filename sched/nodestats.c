/* SPDX-License-Identifier: MIT */
/*
 * What can be seen of placement: by node, what waits, who took whose work, who moved, and where
 * pages are. Counters are those of the node's Ps, added up when they are read. Page locality is
 * that of a sample: the first pages of up to 64 goroutines' stacks, from all over the slabs, so
 * that a look costs one system call however many goroutines there are.
 */
#define URGE_KEEP_ERRNO
#include "sched/nodestats.h"

#include "numa/memory.h"
#include "sched/allp.h"
#include "sched/lock.h"
#include "sched/node.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/stack.h"
#include "sched/urge.h"

#include <string.h>

static void add_p(struct urge_node_stats *stats, const struct p *pp)
{
	uint64_t steals = load_rlx_u64(&pp->count.steals);
	uint64_t remote = load_rlx_u64(&pp->count.steals_remote);

	stats->procs += pp->id < load_rlx_i32(&sched.gomaxprocs);
	stats->queued += runqlen(pp);
	stats->steals_local += steals > remote ? steals - remote : 0;
	stats->steals_remote += remote;
	stats->migrations += load_rlx_u64(&pp->count.migrations);
}

static void locate_stacks(struct urge_node_stats *stats, uint32_t node)
{
	void *pages[NUMA_PAGES];
	uint32_t present, local;
	size_t n = stack_sample(node, pages, NUMA_PAGES);

	if (n == 0)
		return;
	numa_memory_locate(&topology, node, pages, n, &present, &local);
	stats->stack_pages = present;
	stats->stack_pages_local = local;
}

static void read_node(struct urge_node_stats *stats, uint32_t node, enum node_figures figures)
{
	memset(stats, 0, sizeof(*stats));
	stats->node = topology.node[node].number;
	stats->cpus = topology.node[node].ncpus;
	stats->queued = load_rlx_u32(&sched.globq[node].size) +
			load_rlx_u32(&sched.hogs[node].size) +
			load_rlx_u32(&sched.parked[node].size);
	for_each_p(pp)
		if (pp->node == node)
			add_p(stats, pp);
	if (figures == NODE_PAGES)
		locate_stacks(stats, node);
}

int urge_node_stats_read(struct urge_node_stats *stats, size_t n)
{
	struct m *mp = enter();
	int nodes = -EPERM;

	if (load_acq_u32(&sched.running)) { /* pairs with boot's store_rel */
		nodes = (int)sched.nnodes;
		for (uint32_t node = 0; node < sched.nnodes && node < n; node++)
			read_node(&stats[node], node, NODE_PAGES);
	}
	if (mp)
		leave();
	return nodes;
}

static void add_node(struct urge_node_stats *total, const struct urge_node_stats *stats)
{
	total->cpus += stats->cpus;
	total->procs += stats->procs;
	total->queued += stats->queued;
	total->steals_local += stats->steals_local;
	total->steals_remote += stats->steals_remote;
	total->migrations += stats->migrations;
	total->stack_pages += stats->stack_pages;
	total->stack_pages_local += stats->stack_pages_local;
}

bool node_total(int number, enum node_figures figures, struct urge_node_stats *total)
{
	struct m *mp = enter();
	bool found = false;

	memset(total, 0, sizeof(*total));
	if (load_acq_u32(&sched.running)) { /* pairs with boot's store_rel */
		for (uint32_t node = 0; node < sched.nnodes; node++) {
			struct urge_node_stats stats;

			if (number != NODES_ALL && number != topology.node[node].number)
				continue;
			read_node(&stats, node, figures);
			add_node(total, &stats);
			found = true;
		}
	}
	if (mp)
		leave();
	return found;
}

static void field(struct fdprint *out, const char *name, uint64_t n)
{
	fdp_str(out, name);
	fdp_u64(out, n);
}

void nodes_trace(struct fdprint *out)
{
	fdp_str(out, " nodes=[");
	for (uint32_t node = 0; node < sched.nnodes; node++) {
		struct urge_node_stats stats;

		read_node(&stats, node, NODE_PAGES);
		field(out, " ", (uint64_t)stats.node);
		field(out, ":queued=", stats.queued);
		field(out, ",local=", stats.steals_local);
		field(out, ",remote=", stats.steals_remote);
		field(out, ",moves=", stats.migrations);
		field(out, ",pages=", stats.stack_pages_local);
		field(out, "/", stats.stack_pages);
	}
	fdp_str(out, " ]");
}
