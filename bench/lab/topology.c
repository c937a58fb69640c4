/* SPDX-License-Identifier: MIT */
/*
 * topology: the machine's memory nodes as the runtime sees them, and where it would put the Ps for
 * any GOMAXPROCS. With --root another machine, from a copy of its /sys.
 */
#include "numa/topology.h"
#include "bench/lab/arguments.h"
#include "bench/lab/lab.h"
#include "bench/options.h"
#include "kernelshim/compiler.h"
#include "kernelshim/cpulist.h"
#include "kernelshim/procfs.h"
#include "numa/memory.h"
#include "numa/placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: urge-lab topology [--root DIR] [--cpus LIST] [--procs N]\n"
	"\n"
	"Prints the memory nodes, what is near to what, and on which node each P is.\n"
	"\n"
	"  --root DIR    read DIR/sys instead of /sys\n"
	"  --cpus LIST   CPUs that may be used, as 0-3,8 (default: the affinity mask; with --root all)\n"
	"  --procs N     GOMAXPROCS (default: the CPUs)\n"
	"  --help        print this\n";

static struct numa_topology topology;
static struct numa_placement placement;

static void print_cpus(const struct cpumask *mask)
{
	const char *comma = "";

	for (uint32_t cpu = 0; cpu < NUMA_MAX_CPUS; cpu++) {
		uint32_t last = cpu;

		if (!cpumask_has(mask, cpu))
			continue;
		while (cpumask_has(mask, last + 1))
			last++;
		printf(last > cpu ? "%s%u-%u" : "%s%u", comma, cpu, last);
		comma = ",";
		cpu = last;
	}
	if (!*comma)
		putchar('-');
}

/* The groups of the node's CPUs that share a last-level cache. */
static void print_caches(const struct numa_node *node)
{
	struct cpumask seen = { { 0 } };
	const char *words = "; caches:";

	for (uint32_t cpu = 0; cpu < NUMA_MAX_CPUS; cpu++) {
		struct cpumask group;

		if (!cpumask_has(&node->cpus, cpu) || cpumask_has(&seen, cpu) ||
		    numa_llc(cpu, &group))
			continue;
		for (uint32_t i = 0; i < NUMA_MAX_CPUS / 64; i++) {
			group.bits[i] &= node->cpus.bits[i];
			seen.bits[i] |= group.bits[i];
		}
		printf("%s ", words);
		print_cpus(&group);
		words = "";
	}
}

static void print_node(uint32_t i)
{
	const struct numa_node *node = &topology.node[i];

	printf("node %u: CPUs ", node->number);
	print_cpus(&node->cpus);
	print_caches(node);
	if (!node->memory && node->memory_from != NUMA_NONE)
		printf("; memory: of node %u", topology.node[node->memory_from].number);
	else
		printf("; memory: %s", node->memory ? "own" : "none");
	printf("\n  distances:");
	for (uint32_t k = 0; k < topology.nall; k++)
		printf(" %u:%u", topology.node[k].number, node->distance[k]);
	printf("\n  nearest with CPUs:");
	for (uint32_t k = 0; k < topology.nnodes; k++)
		printf(" %u", topology.node[node->near[k]].number);
	putchar('\n');
}

static void print_placement(uint32_t procs)
{
	printf("GOMAXPROCS=%u:\n", procs);
	for (uint32_t k = 0; k < topology.nnodes; k++) {
		uint32_t n = numa_procs_on(&placement, k, procs);

		printf("  node %u: %u P%s", topology.node[k].number, n, n == 1 ? "" : "s");
		for (uint32_t i = 0; i < n; i++)
			printf(" %u", placement.members[placement.first[k] + i]);
		putchar('\n');
	}
}

static void add_cpu(unsigned cpu, void *mask)
{
	if (cpu < NUMA_MAX_CPUS)
		cpumask_add(mask, cpu);
}

static bool limited, other_root;
static struct cpumask cpus;

static void parse_root(const char *text, void *unused)
{
	(void)unused;
	procfs_set_root(text);
	other_root = true;
}

static void parse_cpus(const char *text, void *unused)
{
	(void)unused;
	limited = true;
	if (cpulist_parse(text, add_cpu, &cpus)) {
		fprintf(stderr, "urge-lab: --cpus: no list of CPUs: %s\n", text);
		exit(EXIT_USAGE);
	}
}

static int run(int argc, char **argv)
{
	uint32_t procs = 0, ncpus = 0;
	const struct argument arguments[] = {
		{ "--root", .parse = parse_root },
		{ "--cpus", .parse = parse_cpus },
		{ "--procs", .integer = &procs, .min = 1, .max = CONFIG_MAX_PROCS },
	};

	arguments_read(argc, argv, usage, arguments, ARRAY_SIZE(arguments));
	if (!limited && !other_root)
		limited = numa_cpus_affine(&cpus) == 0;
	numa_topology_read(&topology, limited ? &cpus : NULL);
	if (topology.fallback[0])
		printf("taken for one node: %s\n", topology.fallback);
	if (!other_root && topology.nnodes > 1 && !numa_memory_init(&topology))
		puts("memory policies do not work here: memory is where it is first touched");
	for (uint32_t i = 0; i < topology.nall; i++) {
		print_node(i);
		ncpus += topology.node[i].ncpus;
	}
	if (ncpus == 0) {
		fputs("urge-lab: no CPU may be used\n", stderr);
		return 1;
	}
	numa_place(&placement, &topology);
	print_placement(procs ? procs : ncpus < CONFIG_MAX_PROCS ? ncpus : CONFIG_MAX_PROCS);
	return 0;
}

const struct experiment topology_experiment = {
	.name = "topology",
	.what = "the memory nodes, and where Ps are placed",
	.run = run,
};
