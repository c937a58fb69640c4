/* SPDX-License-Identifier: MIT */
/*
 * Where pages come from: a policy for each mapping.
 *
 * MPOL_PREFERRED, not MPOL_BIND: a full node must not kill the process. The policy is the mapping's
 * (mbind), not the thread's (set_mempolicy), which belongs to the program: `numactl --interleave`
 * goes on to work for everything that is not the runtime's.
 *
 * libnuma answers the questions. The calls on scheduler paths are made without it: its wrappers
 * write errno, which there belongs to the goroutine that happens to run.
 */
#include "numa/memory.h"

#include "kernelshim/sys.h"

#include <linux/mempolicy.h>
#if IS_ENABLED(CONFIG_NUMA)
#include <numa.h>
#endif

static bool works;

#if IS_ENABLED(CONFIG_NUMA)
static bool mem_allowed(uint32_t number, void *mems)
{
	return numa_bitmask_isbitset(mems, number) != 0;
}

bool numa_memory_init(struct numa_topology *t)
{
	struct bitmask *mems;

	works = numa_available() >= 0;
	mems = works ? numa_get_mems_allowed() : NULL;
	if (mems) {
		numa_topology_limit_memory(t, mem_allowed, mems);
		numa_bitmask_free(mems);
	}
	return works;
}
#else
bool numa_memory_init(struct numa_topology *t)
{
	(void)t;
	return false;
}
#endif

void numa_memory_prefer(const struct numa_topology *t, uint32_t node, void *addr, size_t len,
			bool move)
{
	uint32_t from = t->node[node].memory_from;
	struct cpumask nodes = { { 0 } }; /* a mask is a mask */

	if (!works || from == NUMA_NONE)
		return;
	cpumask_add(&nodes, t->node[from].number);
	/* an error leaves the pages to the first touch */
	sys_call6(SYS_mbind, sys_ptr(addr), (long)len, MPOL_PREFERRED, sys_ptr(nodes.bits),
		  t->node[from].number + 2, move ? MPOL_MF_MOVE : 0);
}

void numa_memory_locate(const struct numa_topology *t, uint32_t node, void *const *pages, size_t n,
			uint32_t *present, uint32_t *local)
{
	uint32_t from = t->node[node].memory_from;
	int where[NUMA_PAGES];

	*present = *local = 0;
	if (!works || from == NUMA_NONE ||
	    sys_call6(SYS_move_pages, 0, (long)n, sys_ptr(pages), 0, sys_ptr(where), 0) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		*present += where[i] >= 0;
		*local += where[i] == (int)t->node[from].number;
	}
}
