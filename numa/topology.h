/* SPDX-License-Identifier: MIT */
/*
 * The machine's memory nodes, as far as this process may use them. See topology.c.
 */
#ifndef URGE_NUMA_TOPOLOGY_H
#define URGE_NUMA_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	NUMA_MAX_NODES = 64,
	NUMA_MAX_CPUS = 8192,
	NUMA_NONE = 255, /* no node */
};

/* A set of CPUs, in the form that sched_setaffinity takes. */
struct cpumask {
	uint64_t bits[NUMA_MAX_CPUS / 64];
};

static inline bool cpumask_has(const struct cpumask *mask, uint32_t cpu)
{
	return cpu < NUMA_MAX_CPUS && (mask->bits[cpu / 64] >> cpu % 64 & 1);
}

static inline void cpumask_add(struct cpumask *mask, uint32_t cpu)
{
	mask->bits[cpu / 64] |= UINT64_C(1) << cpu % 64;
}

uint32_t cpumask_count(const struct cpumask *mask);

struct numa_node {
	uint16_t number; /* the kernel's: there may be holes */
	bool memory;     /* has memory that we may use */
	/* the index of the node that its Ps' memory comes from: itself, or the nearest with memory */
	uint8_t memory_from;              /* NUMA_NONE: not known; leave it to the kernel */
	uint32_t ncpus;                   /* in cpus */
	struct cpumask cpus;              /* online, and allowed */
	uint8_t distance[NUMA_MAX_NODES]; /* from here to node i; 10 is local */
	uint8_t near
		[NUMA_MAX_NODES]; /* the nodes with CPUs: itself, if it is one, then by distance */
};

/*
 * Nodes are known by their index below. Those with CPUs for us come first, so that the scheduler
 * sees nodes 0 .. nnodes - 1 without holes; behind them those that are memory only, or whose CPUs
 * are forbidden, up to nall.
 */
struct numa_topology {
	uint32_t nnodes;
	uint32_t nall;
	char fallback[96]; /* why this is one node, though there may be more; else empty */
	uint8_t node_of_cpu[NUMA_MAX_CPUS]; /* index, NUMA_NONE for CPUs that are not ours */
	struct numa_node node[NUMA_MAX_NODES];
};

/*
 * Reads the topology from /sys under the root of kernelshim/procfs.h. allowed: the CPUs that may be
 * used, NULL for all that are online. Never fails: a machine that can't be understood is one node
 * with all CPUs, and fallback says what was wrong. Allocates nothing; about 10 KiB of stack.
 */
void numa_topology_read(struct numa_topology *t, const struct cpumask *allowed);

/* One node with these CPUs. why: see fallback; NULL if it is one. */
void numa_topology_one(struct numa_topology *t, const struct cpumask *cpus, const char *why);

/* Takes away the memory of the nodes that are not allowed, asked by the kernel's numbers. */
void numa_topology_limit_memory(struct numa_topology *t,
				bool (*allowed)(uint32_t number, void *arg), void *arg);

/* The index of the kernel's node, NUMA_NONE if there is none. */
uint32_t numa_node_by_number(const struct numa_topology *t, uint32_t number);

/*
 * The CPUs that share the last level of cache with cpu, cpu included, -errno where /sys does not
 * say. Reads several files: not for boot.
 */
int numa_llc(uint32_t cpu, struct cpumask *group);

/* The CPUs that are online, by /sys; those of the calling thread's affinity mask. 0 or -errno. */
int numa_cpus_online(struct cpumask *mask);
int numa_cpus_affine(struct cpumask *mask);

#ifdef __cplusplus
}
#endif

#endif
