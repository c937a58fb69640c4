/* SPDX-License-Identifier: MIT */
/*
 * Where the memory nodes of the machine are, read from /sys:
 *
 *	devices/system/node/online		which nodes there are; numbers may have holes
 *	devices/system/node/has_memory		a node with CPUs may have none, and the other way round
 *	devices/system/node/nodeN/cpulist	its CPUs that are online
 *	devices/system/node/nodeN/distance	to each node that is online, in order; not symmetric
 *	devices/system/cpu/online
 *	devices/system/cpu/cpuN/cache/		last-level caches, only when asked
 *
 * and from the affinity mask, in which the kernel has already left out what the cpuset forbids and
 * what is offline.
 *
 * Why not all of it through libnuma: it looks at one fixed /sys, so that tests could show it no
 * other machine, prints on stderr what it does not understand, and knows no caches. It is asked
 * what files do not say: whether memory policies work in this process, and on which nodes
 * (numa/memory.c).
 *
 * Whatever does not fit together (a node without distances, a CPU on two nodes, an allowed CPU on
 * none) gives one node: placement is an optimisation, and a wrong one is worse than none.
 */
#include "numa/topology.h"

#include "kernelshim/cpulist.h"
#include "kernelshim/procfs.h"
#include "kernelshim/thread.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define NODES "/sys/devices/system/node/"
#define CPUS "/sys/devices/system/cpu/"

enum {
	TEXT_SIZE = 8192, /* of a file: kernels before 6.0 cut lists at 4096 */
	PATH_SIZE = 80,
	LOCAL_DISTANCE = 10,
	CACHE_LEVELS = 8, /* index directories of a CPU; there are 4 or 5 */
};

uint32_t cpumask_count(const struct cpumask *mask)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < NUMA_MAX_CPUS / 64; i++)
		n += (uint32_t)__builtin_popcountll(mask->bits[i]);
	return n;
}

/* ---- texts --------------------------------------------------------------------------------- */

/* Appends to a text of size bytes, as much as fits. */
static void append(char *to, size_t size, const char *s)
{
	size_t len = strlen(to), n = strlen(s);

	n = n < size - 1 - len ? n : size - 1 - len;
	memcpy(to + len, s, n);
	to[len + n] = '\0';
}

static void append_number(char *to, size_t size, uint32_t n)
{
	char digits[12];
	char *s = &digits[sizeof(digits) - 1];

	*s = '\0';
	do
		*--s = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	append(to, size, s);
}

/* "/sys/devices/system/node/node" 3 "/cpulist" */
static const char *path_of(char *path, const char *before, uint32_t n, const char *after)
{
	path[0] = '\0';
	append(path, PATH_SIZE, before);
	append_number(path, PATH_SIZE, n);
	append(path, PATH_SIZE, after);
	return path;
}

/* A whole file; -EFBIG if there is more of it. */
static int read_text(const char *path, char *text)
{
	ssize_t len = procfs_read(path, text, TEXT_SIZE);

	if (len < 0)
		return (int)len;
	return len == TEXT_SIZE - 1 ? -EFBIG : 0;
}

struct mask_reader {
	struct cpumask *mask;
	int err;
};

static void read_bit(unsigned cpu, void *arg)
{
	struct mask_reader *reader = arg;

	if (cpu < NUMA_MAX_CPUS)
		cpumask_add(reader->mask, cpu);
	else
		reader->err = -ERANGE;
}

/* A file with a list of numbers. */
static int read_mask(const char *path, struct cpumask *mask)
{
	struct mask_reader reader = { .mask = mask };
	char text[TEXT_SIZE];
	int err = read_text(path, text);

	memset(mask, 0, sizeof(*mask));
	if (!err)
		err = cpulist_parse(text, read_bit, &reader);
	return err ? err : reader.err;
}

/* n numbers up to 255, separated by blanks, and nothing else. */
static bool read_distances(const char *path, uint8_t *distances, uint32_t n)
{
	char text[TEXT_SIZE];
	const char *s = text;

	if (read_text(path, text))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t value = 0, digits = 0;

		s += strspn(s, " ");
		for (; *s >= '0' && *s <= '9' && digits < 4; s++, digits++)
			value = value * 10 + (uint32_t)(*s - '0');
		if (digits == 0 || value == 0 || value > 255)
			return false;
		distances[i] = (uint8_t)value;
	}
	s += strspn(s, " \n");
	return *s == '\0';
}

int numa_cpus_online(struct cpumask *mask)
{
	return read_mask(CPUS "online", mask);
}

int numa_cpus_affine(struct cpumask *mask)
{
	memset(mask, 0, sizeof(*mask));
	return thread_affinity(mask->bits, sizeof(*mask));
}

/* ---- nodes --------------------------------------------------------------------------------- */

void numa_topology_one(struct numa_topology *t, const struct cpumask *cpus, const char *why)
{
	struct numa_node *node = &t->node[0];

	memset(t, 0, sizeof(*t));
	memset(t->node_of_cpu, NUMA_NONE, sizeof(t->node_of_cpu));
	if (why)
		append(t->fallback, sizeof(t->fallback), why);
	t->nnodes = t->nall = 1;
	node->memory = true; /* and near and memory_from are 0: itself */
	node->cpus = *cpus;
	node->ncpus = cpumask_count(cpus);
	node->distance[0] = LOCAL_DISTANCE;
	for (uint32_t cpu = 0; cpu < NUMA_MAX_CPUS; cpu++)
		if (cpumask_has(cpus, cpu))
			t->node_of_cpu[cpu] = 0;
}

/* The words for a file that could not be used. */
static const char *bad_file(char *why, size_t size, const char *path, const char *words)
{
	why[0] = '\0';
	append(why, size, path);
	append(why, size, ": ");
	append(why, size, words);
	return why;
}

/* Itself has distance 0, whatever the table says; of two that are equally far the lower one. */
static uint32_t distance(const struct numa_topology *t, uint32_t from, uint32_t to)
{
	return from == to ? 0 : t->node[from].distance[to];
}

static void find_near(struct numa_topology *t, uint32_t from)
{
	uint8_t *near = t->node[from].near;

	for (uint32_t i = 0; i < t->nnodes; i++) {
		uint32_t at = i;

		for (; at > 0 && distance(t, from, near[at - 1]) > distance(t, from, i); at--)
			near[at] = near[at - 1];
		near[at] = (uint8_t)i;
	}
}

static void find_memory(struct numa_topology *t, uint32_t from)
{
	uint32_t best = NUMA_NONE;

	for (uint32_t i = 0; i < t->nall; i++)
		if (t->node[i].memory &&
		    (best == NUMA_NONE || distance(t, from, i) < distance(t, from, best)))
			best = i;
	t->node[from].memory_from = (uint8_t)best;
}

void numa_topology_limit_memory(struct numa_topology *t,
				bool (*allowed)(uint32_t number, void *arg), void *arg)
{
	for (uint32_t i = 0; i < t->nall; i++)
		t->node[i].memory = t->node[i].memory && allowed(t->node[i].number, arg);
	for (uint32_t i = 0; i < t->nall; i++)
		find_memory(t, i);
}

uint32_t numa_node_by_number(const struct numa_topology *t, uint32_t number)
{
	for (uint32_t i = 0; i < t->nall; i++)
		if (t->node[i].number == number)
			return i;
	return NUMA_NONE;
}

/* The numbers of the nodes that are online, ascending. How many, or -errno. */
static int read_numbers(uint16_t *numbers)
{
	struct cpumask online;
	int err = read_mask(NODES "online", &online);
	int n = 0;

	if (err)
		return err;
	for (uint32_t i = 0; i < NUMA_MAX_CPUS; i++) {
		if (!cpumask_has(&online, i))
			continue;
		if (n == NUMA_MAX_NODES)
			return -E2BIG;
		numbers[n++] = (uint16_t)i;
	}
	return n > 0 ? n : -EINVAL;
}

/* Its CPUs, of those in usable. */
static int read_cpus(struct numa_node *node, const struct cpumask *usable, char *path)
{
	int err = read_mask(path_of(path, NODES "node", node->number, "/cpulist"), &node->cpus);

	for (uint32_t i = 0; i < NUMA_MAX_CPUS / 64; i++)
		node->cpus.bits[i] &= usable->bits[i];
	node->ncpus = cpumask_count(&node->cpus);
	return err;
}

/* Whose CPU is whose. False: one is on two nodes, or a usable one on none. */
static bool assign_cpus(struct numa_topology *t, const struct cpumask *usable)
{
	memset(t->node_of_cpu, NUMA_NONE, sizeof(t->node_of_cpu));
	for (uint32_t i = 0; i < t->nnodes; i++)
		for (uint32_t cpu = 0; cpu < NUMA_MAX_CPUS; cpu++) {
			if (!cpumask_has(&t->node[i].cpus, cpu))
				continue;
			if (t->node_of_cpu[cpu] != NUMA_NONE)
				return false;
			t->node_of_cpu[cpu] = (uint8_t)i;
		}
	for (uint32_t cpu = 0; cpu < NUMA_MAX_CPUS; cpu++)
		if (cpumask_has(usable, cpu) && t->node_of_cpu[cpu] == NUMA_NONE)
			return false;
	return true;
}

/*
 * All nodes, those with CPUs first. index[i] becomes the index of the i-th node in the order of
 * numbers, in which the distances are.
 */
static const char *read_nodes(struct numa_topology *t, const uint16_t *numbers,
			      const struct cpumask *usable, uint8_t *index, char *path)
{
	uint32_t at = 0;

	for (int with_cpus = 1; with_cpus >= 0; with_cpus--) {
		for (uint32_t i = 0; i < t->nall; i++) {
			struct numa_node node = { .number = numbers[i] };

			if (read_cpus(&node, usable, path))
				return "no list of CPUs";
			if ((node.ncpus > 0) != with_cpus)
				continue;
			t->node[at] = node;
			index[i] = (uint8_t)at++;
		}
		if (with_cpus)
			t->nnodes = at;
	}
	return NULL;
}

static bool read_distance_table(struct numa_topology *t, const uint8_t *index, char *path)
{
	for (uint32_t i = 0; i < t->nall; i++) {
		struct numa_node *node = &t->node[index[i]];
		uint8_t row[NUMA_MAX_NODES];

		if (!read_distances(path_of(path, NODES "node", node->number, "/distance"), row,
				    t->nall))
			return false;
		for (uint32_t k = 0; k < t->nall; k++)
			node->distance[index[k]] = row[k];
		find_near(t, index[i]);
	}
	return true;
}

static void read_memory(struct numa_topology *t)
{
	struct cpumask with;
	bool known = read_mask(NODES "has_memory", &with) == 0 ||
		     read_mask(NODES "has_normal_memory", &with) == 0;

	for (uint32_t i = 0; i < t->nall; i++)
		t->node[i].memory = !known || cpumask_has(&with, t->node[i].number);
	for (uint32_t i = 0; i < t->nall; i++)
		find_memory(t, i);
}

/* What is allowed and online. */
static void usable_cpus(struct cpumask *usable, const struct cpumask *allowed)
{
	bool known = numa_cpus_online(usable) == 0;

	if (!known)
		memset(usable, 0, sizeof(*usable));
	for (uint32_t i = 0; allowed && i < NUMA_MAX_CPUS / 64; i++)
		usable->bits[i] = known ? usable->bits[i] & allowed->bits[i] : allowed->bits[i];
}

void numa_topology_read(struct numa_topology *t, const struct cpumask *allowed)
{
	uint16_t numbers[NUMA_MAX_NODES] = { 0 };
	uint8_t index[NUMA_MAX_NODES];
	char path[PATH_SIZE], why[sizeof(t->fallback)];
	struct cpumask usable;
	const char *bad;
	int n = read_numbers(numbers);

	usable_cpus(&usable, allowed);
	if (n == -ENOENT) { /* a kernel without nodes, or no /sys */
		numa_topology_one(t, &usable, NODES ": not there");
		return;
	}
	if (n < 0) {
		numa_topology_one(t, &usable,
				  bad_file(why, sizeof(why), NODES "online",
					   n == -E2BIG ? "more than 64 nodes" : "no list"));
		return;
	}
	if (n == 1) {
		numa_topology_one(t, &usable, NULL);
		t->node[0].number = numbers[0];
		return;
	}
	t->fallback[0] = '\0';
	t->nall = (uint32_t)n;
	bad = read_nodes(t, numbers, &usable, index, path);
	if (!bad && t->nnodes == 0)
		bad = "no CPU that may be used is on a node";
	else if (!bad && !assign_cpus(t, &usable))
		bad = "a CPU is on two nodes or on none";
	else if (!bad && !read_distance_table(t, index, path))
		bad = "not one distance for each node";
	if (bad)
		numa_topology_one(t, &usable, bad_file(why, sizeof(why), path, bad));
	else
		read_memory(t);
}

/* ---- caches -------------------------------------------------------------------------------- */

int numa_llc(uint32_t cpu, struct cpumask *group)
{
	uint64_t highest = 0;
	uint32_t which = 0;
	char base[PATH_SIZE], path[PATH_SIZE];

	path_of(base, CPUS "cpu", cpu, "/cache/index");
	for (uint32_t i = 0; i < CACHE_LEVELS; i++) {
		uint64_t level;

		if (procfs_read_u64(path_of(path, base, i, "/level"), &level))
			break;
		if (level > highest) {
			highest = level;
			which = i;
		}
	}
	if (highest == 0)
		return -ENOENT;
	return read_mask(path_of(path, base, which, "/shared_cpu_list"), group);
}
