/* SPDX-License-Identifier: MIT */
/*
 * Ps over nodes, in proportion to the CPUs that we may use there.
 *
 * P after P goes to the node with the largest cpus / (2 * ps + 1), where ps counts the Ps that it
 * has got: the method of Sainte-Lague (Webster), by which parliaments give out seats. What it has
 * over rounding each node's share: it needs no total, so that the first n Ps are placed in
 * proportion for every n, and growing GOMAXPROCS moves nobody. With as many Ps as CPUs each node
 * has as many Ps as CPUs: the quotient of a node with a P to spare for each CPU is below 1/2, all
 * others' are above. Rejected: filling one node after the other (half the memory channels idle,
 * when GOMAXPROCS is half the machine) and round robin (wrong on nodes of different size).
 *
 * Why stealing has a reach. A look at another node's run queue pulls its lines across the
 * interconnect, twice. So the first rounds of a look stay on the node; the next one tries a few Ps
 * on each of the others, nearest first, so that a thief among many loaded nodes finds work soon and
 * disturbs few; and the last round looks everywhere, so that no work is stranded.
 */
#include "numa/placement.h"

#include <string.h>

static void place_all(struct numa_placement *placement, const struct numa_topology *t)
{
	uint32_t ps[NUMA_MAX_NODES] = { 0 };

	for (uint32_t i = 0; i < CONFIG_MAX_PROCS; i++) {
		uint32_t best = 0;

		for (uint32_t k = 1; k < t->nnodes; k++)
			if (t->node[k].ncpus * (2 * ps[best] + 1) >
			    t->node[best].ncpus * (2 * ps[k] + 1))
				best = k;
		ps[best]++;
		placement->node_of[i] = (uint8_t)best;
	}
}

void numa_place(struct numa_placement *placement, const struct numa_topology *t)
{
	uint32_t n = 0;

	memset(placement, 0, sizeof(*placement));
	placement->nnodes = t->nnodes;
	if (t->nnodes > 1)
		place_all(placement, t);
	for (uint32_t node = 0; node < t->nnodes; node++) {
		placement->first[node] = (uint16_t)n;
		for (uint32_t i = 0; i < CONFIG_MAX_PROCS; i++)
			if (placement->node_of[i] == node)
				placement->members[n++] = (uint16_t)i;
	}
	placement->first[t->nnodes] = (uint16_t)n;
}

uint32_t numa_procs_on(const struct numa_placement *placement, uint32_t node, uint32_t procs)
{
	uint32_t lo = placement->first[node], hi = placement->first[node + 1];

	while (lo < hi) {
		uint32_t middle = (lo + hi) / 2;

		if (placement->members[middle] < procs)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo - placement->first[node];
}

/* ---- walks --------------------------------------------------------------------------------- */

static uint32_t gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t r = a % b;

		a = b;
		b = r;
	}
	return a;
}

static void enter_node(struct numa_walk *walk)
{
	const struct numa_placement *placement = walk->placement;
	uint32_t node = walk->near[walk->nodes];

	walk->members = &placement->members[placement->first[node]];
	walk->n =
		placement->nnodes == 1 ? walk->procs : numa_procs_on(placement, node, walk->procs);
	walk->left = walk->n;
	if (walk->nodes++ > 0 && walk->reach == NUMA_SOME && walk->left > NUMA_REMOTE_TRIES)
		walk->left = NUMA_REMOTE_TRIES;
	if (walk->n == 0)
		return;
	walk->at = walk->random[0] % walk->n;
	walk->step = walk->random[1] % walk->n + 1;
	while (gcd(walk->step, walk->n) != 1)
		walk->step = walk->step % walk->n + 1;
}

void numa_walk_begin(struct numa_walk *walk, const struct numa_placement *placement,
		     const struct numa_node *from, uint32_t procs, enum numa_reach reach,
		     const uint32_t random[2])
{
	walk->placement = placement;
	walk->near = from->near;
	walk->reach = reach;
	walk->procs = procs;
	walk->random[0] = random[0];
	walk->random[1] = random[1];
	walk->nodes = 0;
	enter_node(walk);
}

int numa_walk_next(struct numa_walk *walk)
{
	int p;

	while (walk->left == 0) {
		if (walk->reach == NUMA_LOCAL || walk->nodes == walk->placement->nnodes)
			return -1;
		enter_node(walk);
	}
	walk->left--;
	p = walk->members[walk->at];
	walk->at = (walk->at + walk->step) % walk->n;
	return p;
}
