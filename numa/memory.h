/* SPDX-License-Identifier: MIT */
/*
 * Memory of a node. No call but the first touches errno, allocates or takes a lock in user space.
 */
#ifndef URGE_NUMA_MEMORY_H
#define URGE_NUMA_MEMORY_H

#include "numa/topology.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * At boot: whether memory policies work here (some containers forbid them), and on which nodes this
 * process may have memory. False: they don't; everything below then does nothing, and pages come
 * from where they are first touched.
 */
bool numa_memory_init(struct numa_topology *t);

/*
 * Pages of the range come from node `node`, or when that is full from the nearest other one. For
 * fresh mappings; pages that are there already stay, or with move go there, which is slow.
 * Addresses and lengths are multiples of the page size. Splits the mapping where the policy
 * changes.
 */
void numa_memory_prefer(const struct numa_topology *t, uint32_t node, void *addr, size_t len,
			bool move);

/*
 * How many of the pages at these addresses are there at all (*present), and on the node that
 * numa_memory_prefer would take (*local). At most NUMA_PAGES of them; one system call.
 */
enum { NUMA_PAGES = 64 };
void numa_memory_locate(const struct numa_topology *t, uint32_t node, void *const *pages, size_t n,
			uint32_t *present, uint32_t *local);

#ifdef __cplusplus
}
#endif

#endif
