/* SPDX-License-Identifier: MIT */
/* The reader of topologies and the placement, on machines that tests/fakesysfs/make makes up. */
#include "kernelshim/procfs.h"
#include "numa/placement.h"
#include "numa/topology.h"
#include "tests/unit/errno_kept.h"
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>

namespace fs = std::filesystem;

class NumaTopology : public testing::Test
{
protected:
	static fs::path folder()
	{
		return fs::path(testing::TempDir()) / ("urge_numa_" + std::to_string(getpid()));
	}
	static void TearDownTestSuite() { fs::remove_all(folder()); }
	void TearDown() override { procfs_set_root(nullptr); }

	/* Makes the root a machine of this kind; it is written once. */
	void machine(const std::string &name)
	{
		root = (folder() / name).string();
		if (!fs::exists(root)) {
			ASSERT_EQ(0, system(("tests/fakesysfs/make " + name + " " + root).c_str()));
		}
		procfs_set_root(root.c_str());
	}
	void read(const std::string &name, const struct cpumask *allowed = nullptr)
	{
		machine(name);
		ErrnoKept kept;
		numa_topology_read(t.get(), allowed);
	}
	const struct numa_node &node(int i) const { return t->node[i]; }
	std::vector<int> numbers(uint32_t n) const
	{
		std::vector<int> all;

		for (uint32_t i = 0; i < n; i++)
			all.push_back(t->node[i].number);
		return all;
	}
	std::vector<int> near(int i) const { return { node(i).near, node(i).near + t->nnodes }; }
	/* Every node is the nearest to itself, and every usable CPU is on the node that has it. */
	void expect_consistent() const
	{
		uint32_t cpus = 0;

		EXPECT_GE(t->nnodes, 1u);
		EXPECT_LE(t->nnodes, t->nall);
		for (uint32_t i = 0; i < t->nall; i++) {
			std::vector<int> all = near((int)i), sorted = all;

			EXPECT_EQ(node((int)i).ncpus > 0, i < t->nnodes);
			EXPECT_EQ(node((int)i).ncpus, cpumask_count(&node((int)i).cpus));
			if (i < t->nnodes) {
				EXPECT_EQ((int)i, all[0]);
			}
			std::sort(sorted.begin(), sorted.end());
			for (uint32_t k = 0; k < t->nnodes; k++)
				EXPECT_EQ((int)k, sorted[k]);
			EXPECT_EQ(i, numa_node_by_number(t.get(), node((int)i).number));
			for (uint32_t cpu = 0; cpu < NUMA_MAX_CPUS; cpu++)
				if (cpumask_has(&node((int)i).cpus, cpu)) {
					cpus++;
					EXPECT_EQ(i, t->node_of_cpu[cpu]);
				}
		}
		EXPECT_EQ((ptrdiff_t)(NUMA_MAX_CPUS - cpus),
			  std::count(t->node_of_cpu, t->node_of_cpu + NUMA_MAX_CPUS,
				     (uint8_t)NUMA_NONE));
	}
	void expect_one_node(const std::string &why, uint32_t ncpus) const
	{
		expect_consistent();
		EXPECT_EQ(1u, t->nnodes);
		EXPECT_EQ(1u, t->nall);
		EXPECT_EQ(ncpus, node(0).ncpus);
		EXPECT_TRUE(node(0).memory);
		EXPECT_EQ(0, node(0).memory_from);
		EXPECT_EQ(why, t->fallback);
	}

	std::string root;
	std::unique_ptr<struct numa_topology> t = std::make_unique<struct numa_topology>();
};

static struct cpumask cpus(const std::vector<uint32_t> &list)
{
	struct cpumask mask = {};

	for (uint32_t cpu : list)
		cpumask_add(&mask, cpu);
	return mask;
}

TEST_F(NumaTopology, OneNode)
{
	read("one_node");
	expect_one_node("", 4);
}

TEST_F(NumaTopology, KernelWithoutNodesIsOneNode)
{
	read("no_nodes");
	expect_one_node("/sys/devices/system/node/: not there", 8);
}

TEST_F(NumaTopology, TwoSockets)
{
	read("two_socket");
	expect_consistent();
	EXPECT_EQ("", std::string(t->fallback));
	EXPECT_EQ(2u, t->nnodes);
	EXPECT_EQ(8u, node(0).ncpus);
	EXPECT_TRUE(cpumask_has(&node(1).cpus, 15));
	EXPECT_FALSE(cpumask_has(&node(1).cpus, 8));
	EXPECT_EQ(21, node(0).distance[1]);
	EXPECT_EQ((std::vector<int>{ 1, 0 }), near(1));
}

TEST_F(NumaTopology, DistancesAreNotSymmetric)
{
	read("four_socket_asymmetric");
	expect_consistent();
	EXPECT_EQ(4u, t->nnodes);
	EXPECT_EQ(28, node(0).distance[3]);
	EXPECT_EQ(30, node(3).distance[0]);
	EXPECT_EQ((std::vector<int>{ 0, 1, 2, 3 }), near(0));
	EXPECT_EQ((std::vector<int>{ 2, 3, 1, 0 }), near(2));
	EXPECT_EQ((std::vector<int>{ 3, 2, 1, 0 }), near(3));
}

TEST_F(NumaTopology, SubNumaClustersAreNearerThanTheOtherSocket)
{
	read("sub_numa");
	expect_consistent();
	EXPECT_EQ((std::vector<int>{ 2, 3, 0, 1 }), near(2));
}

TEST_F(NumaTopology, EightNodesOfAnEpyc)
{
	read("epyc_nps4");
	expect_consistent();
	EXPECT_EQ(8u, t->nnodes);
	EXPECT_EQ((std::vector<int>{ 5, 4, 6, 7, 0, 1, 2, 3 }), near(5));
}

TEST_F(NumaTopology, MemoryWithoutCpusComesLast)
{
	read("cxl_memory");
	expect_consistent();
	EXPECT_EQ(2u, t->nnodes);
	EXPECT_EQ(3u, t->nall);
	EXPECT_EQ(2, node(2).number);
	EXPECT_TRUE(node(2).memory);
	EXPECT_EQ((std::vector<int>{ 1, 0 }), near(2));
	EXPECT_EQ(1, node(1).memory_from);
}

TEST_F(NumaTopology, CpusWithoutMemoryUseTheNearestMemory)
{
	read("cpu_only");
	expect_consistent();
	EXPECT_EQ(3u, t->nnodes);
	EXPECT_FALSE(node(1).memory);
	EXPECT_EQ(2, node(1).memory_from);
	EXPECT_EQ(0, node(0).memory_from);
}

TEST_F(NumaTopology, NumbersMayHaveHoles)
{
	read("holes");
	expect_consistent();
	EXPECT_EQ(2u, t->nnodes);
	EXPECT_EQ((std::vector<int>{ 4, 9, 1 }), numbers(3));
	EXPECT_EQ(30, node(0).distance[2]); /* from number 4 to number 1 */
	EXPECT_EQ(20, node(0).distance[1]);
	EXPECT_EQ(40, node(2).distance[1]);
	EXPECT_EQ((uint32_t)NUMA_NONE, numa_node_by_number(t.get(), 0));
}

TEST_F(NumaTopology, OfflineCpusAreNotUsed)
{
	struct cpumask all = cpus({ 0, 1, 2, 3, 4, 5 });

	read("offline_cpus", &all);
	expect_consistent();
	EXPECT_EQ(2u, t->nnodes);
	EXPECT_EQ(3u, node(0).ncpus);
	EXPECT_EQ(1u, node(1).ncpus);
}

TEST_F(NumaTopology, AffinityLeavesNodesWithoutCpus)
{
	struct cpumask some = cpus({ 9, 10, 13 });

	read("four_socket_asymmetric", &some);
	expect_consistent();
	EXPECT_EQ(2u, t->nnodes);
	EXPECT_EQ((std::vector<int>{ 1, 2, 0, 3 }), numbers(4));
	EXPECT_EQ(2u, node(0).ncpus);
	EXPECT_EQ(1u, node(1).ncpus);
	EXPECT_TRUE(node(2).memory);
	EXPECT_EQ((std::vector<int>{ 0, 1 }), near(2)); /* number 0: to 1 it is 16, to 2 it is 22 */
	EXPECT_EQ((std::vector<int>{ 1, 0 }), near(3));
}

TEST_F(NumaTopology, AffinityToOneNodeIsOneNodeForTheScheduler)
{
	struct cpumask some = cpus({ 4, 5 });

	read("two_socket", &some);
	expect_consistent();
	EXPECT_EQ(1u, t->nnodes);
	EXPECT_EQ(1, node(0).number);
	EXPECT_EQ(0, node(0).memory_from);
}

TEST_F(NumaTopology, ForbiddenMemoryComesFromTheNearestOther)
{
	read("four_socket_asymmetric");
	numa_topology_limit_memory(
		t.get(), [](uint32_t number, void *) { return number == 1 || number == 3; },
		nullptr);
	EXPECT_EQ(1, node(0).memory_from);
	EXPECT_EQ(1, node(1).memory_from);
	EXPECT_EQ(3, node(2).memory_from);
	numa_topology_limit_memory(
		t.get(), [](uint32_t, void *) { return false; }, nullptr);
	EXPECT_EQ(NUMA_NONE, node(0).memory_from);
}

TEST_F(NumaTopology, SixtyFourNodes)
{
	read("all_64_nodes");
	expect_consistent();
	EXPECT_EQ("", std::string(t->fallback));
	EXPECT_EQ(64u, t->nnodes);
	EXPECT_EQ(63, node(63).near[0]);
	EXPECT_EQ(62, node(63).near[1]);
	EXPECT_EQ(0, node(63).near[63]);
}

TEST_F(NumaTopology, WhatCannotBeUnderstoodIsOneNodeAndSaysWhy)
{
	const std::string nodes = "/sys/devices/system/node/";
	const struct {
		const char *machine;
		std::string why;
		uint32_t ncpus;
	} broken[] = {
		{ "too_many_nodes", nodes + "online: more than 64 nodes", 2 },
		{ "broken_online", nodes + "online: no list", 16 },
		{ "broken_cpulist", nodes + "node1/cpulist: no list of CPUs", 16 },
		{ "no_cpulist", nodes + "node0/cpulist: no list of CPUs", 16 },
		{ "broken_distance", nodes + "node1/distance: not one distance for each node", 16 },
		{ "huge_distance", nodes + "node1/distance: not one distance for each node", 16 },
		{ "cpu_on_two_nodes", nodes + "node1/cpulist: a CPU is on two nodes or on none",
		  16 },
		{ "cpu_on_no_node", nodes + "node1/cpulist: a CPU is on two nodes or on none", 16 },
	};

	for (const auto &b : broken) {
		SCOPED_TRACE(b.machine);
		read(b.machine);
		expect_one_node(b.why, b.ncpus);
	}
}

TEST_F(NumaTopology, LongFilesAreNotCutSilently)
{
	std::string list;

	machine("no_nodes"); /* written over here, and removed */
	fs::path sys = fs::path(root) / "sys/devices/system";
	auto put = [&](const std::string &path, const std::string &text) {
		fs::create_directories((sys / path).parent_path());
		std::ofstream(sys / path) << text;
	};
	for (int cpu = 0; cpu < 3000; cpu += 2)
		list += (cpu ? "," : "") + std::to_string(cpu);
	ASSERT_LT(list.size(), 8191u);
	put("cpu/online", list);
	put("node/online", "0-1");
	put("node/node0/cpulist", list);
	put("node/node0/distance", "10 20");
	put("node/node1/cpulist", "\n");
	put("node/node1/distance", "20 10");
	numa_topology_read(t.get(), nullptr);
	EXPECT_EQ("", std::string(t->fallback));
	EXPECT_EQ(1500u, node(0).ncpus);
	while (list.size() < 8191)
		list += ",1";
	put("node/node0/cpulist", list);
	numa_topology_read(t.get(), nullptr);
	expect_one_node("/sys/devices/system/node/node0/cpulist: no list of CPUs", 1500);
	fs::remove_all(root);
}

TEST_F(NumaTopology, LastLevelCaches)
{
	struct cpumask group;

	machine("sub_numa");
	ASSERT_EQ(0, numa_llc(17, &group));
	EXPECT_EQ(16u, cpumask_count(&group));
	EXPECT_TRUE(cpumask_has(&group, 31));
	machine("one_node");
	EXPECT_EQ(-ENOENT, numa_llc(4, &group));
}

TEST(NumaTopologyReal, ThisMachine)
{
	auto t = std::make_unique<struct numa_topology>();
	struct cpumask affine;
	uint32_t ncpus = 0;

	ASSERT_EQ(0, numa_cpus_affine(&affine));
	numa_topology_read(t.get(), &affine);
	for (uint32_t i = 0; i < t->nnodes; i++)
		ncpus += t->node[i].ncpus;
	EXPECT_EQ(cpumask_count(&affine), ncpus);
}

/* ---- placement ----------------------------------------------------------------------------- */

class NumaPlacement : public NumaTopology
{
protected:
	void place(const std::string &name, const struct cpumask *allowed = nullptr)
	{
		read(name, allowed);
		numa_place(p.get(), t.get());
	}
	std::vector<uint32_t> spread(uint32_t procs) const
	{
		std::vector<uint32_t> n;

		for (uint32_t k = 0; k < t->nnodes; k++)
			n.push_back(numa_procs_on(p.get(), k, procs));
		return n;
	}
	std::vector<int> walk(uint32_t from, uint32_t procs, enum numa_reach reach,
			      uint32_t random0 = 12345, uint32_t random1 = 54321) const
	{
		const uint32_t random[2] = { random0, random1 };
		struct numa_walk w;
		std::vector<int> visited;

		numa_walk_begin(&w, p.get(), &t->node[from], procs, reach, random);
		for (int i; (i = numa_walk_next(&w)) >= 0;)
			visited.push_back(i);
		return visited;
	}

	std::unique_ptr<struct numa_placement> p = std::make_unique<struct numa_placement>();
};

static const char *const machines[] = { "one_node",    "two_socket", "four_socket_asymmetric",
					"sub_numa",    "epyc_nps4",  "cxl_memory",
					"cpu_only",    "holes",      "offline_cpus",
					"all_64_nodes" };

TEST_F(NumaPlacement, FullMachineHasAPForEachCpu)
{
	for (const char *name : machines) {
		uint32_t total = 0;

		SCOPED_TRACE(name);
		place(name);
		for (uint32_t k = 0; k < t->nnodes; k++)
			total += node((int)k).ncpus;
		for (uint32_t times = 1; times <= 3; times++)
			for (uint32_t k = 0; k < t->nnodes; k++)
				EXPECT_EQ(times * node((int)k).ncpus, spread(times * total)[k]);
	}
}

/* Never more than one P away from the exact share, on machines of few nodes; the share is of n. */
TEST_F(NumaPlacement, EveryNumberOfPsIsSpreadInProportion)
{
	for (const char *name : { "two_socket", "four_socket_asymmetric", "epyc_nps4", "holes" }) {
		double total = 0;

		SCOPED_TRACE(name);
		place(name);
		for (uint32_t k = 0; k < t->nnodes; k++)
			total += node((int)k).ncpus;
		for (uint32_t n = 1; n <= CONFIG_MAX_PROCS; n++) {
			uint32_t sum = 0;

			for (uint32_t k = 0; k < t->nnodes; k++) {
				double share = n * node((int)k).ncpus / total;

				EXPECT_NEAR(share, spread(n)[k], 1.0) << n;
				sum += spread(n)[k];
			}
			EXPECT_EQ(n, sum);
		}
	}
}

TEST_F(NumaPlacement, GrowingMovesNobody)
{
	for (const char *name : machines) {
		place(name);
		for (uint32_t n = 1; n < 200; n++)
			for (uint32_t k = 0; k < t->nnodes; k++)
				EXPECT_EQ(spread(n)[k] + (p->node_of[n] == k), spread(n + 1)[k]);
	}
}

/* Machines of 1 to 64 nodes, with holes in their numbers and 0 to 4 CPUs each. */
TEST_F(NumaPlacement, OneTo64Nodes)
{
	unsigned random = 1;

	for (int n = 1; n <= 64; n++) {
		std::string online, sys = (folder() / ("random" + std::to_string(n))).string();
		auto put = [&](const std::string &name, const std::string &text) {
			fs::path path = sys + "/sys/devices/system/" + name;

			fs::create_directories(path.parent_path());
			std::ofstream(path) << text << '\n';
		};
		int cpu = 0, number = 0;
		uint32_t with_cpus = 0;

		SCOPED_TRACE(n);
		for (int i = 0; i < n; i++, number += 1 + rand_r(&random) % 3) {
			int cpus = i + 1 == n && cpu == 0 ? 1 : rand_r(&random) % 5;
			std::string distances, list;

			for (int k = 0; k < n; k++)
				distances +=
					std::to_string(i == k ? 10 : 11 + rand_r(&random) % 200) +
					" ";
			if (cpus > 0)
				list = std::to_string(cpu) + "-" + std::to_string(cpu + cpus - 1);
			with_cpus += cpus > 0;
			cpu += cpus;
			online += (i ? "," : "") + std::to_string(number);
			put("node/node" + std::to_string(number) + "/cpulist", list);
			put("node/node" + std::to_string(number) + "/distance", distances);
		}
		put("cpu/online", "0-" + std::to_string(cpu - 1));
		put("node/online", online);
		put("node/has_memory", online);
		procfs_set_root(sys.c_str());
		numa_topology_read(t.get(), nullptr);
		EXPECT_STREQ("", t->fallback);
		EXPECT_EQ((uint32_t)n, t->nall);
		EXPECT_EQ(with_cpus, t->nnodes);
		expect_consistent();
		numa_place(p.get(), t.get());
		for (uint32_t k = 0; k < t->nnodes; k++)
			EXPECT_EQ(node((int)k).ncpus, spread((uint32_t)cpu)[k]);
		for (uint32_t from = 0; from < t->nnodes; from++)
			EXPECT_EQ((size_t)cpu, walk(from, (uint32_t)cpu, NUMA_ALL).size());
	}
}

TEST_F(NumaPlacement, FollowsTheAffinityMask)
{
	struct cpumask some = cpus({ 0, 4, 5, 6, 7 });

	place("two_socket", &some);
	EXPECT_EQ((std::vector<uint32_t>{ 1, 4 }), spread(5));
	EXPECT_EQ(1, p->node_of[0]);
}

TEST_F(NumaPlacement, WalkVisitsEachOnceNearestNodesFirst)
{
	for (const char *name : machines) {
		SCOPED_TRACE(name);
		place(name);
		for (uint32_t procs : { 1u, 2u, 3u, 7u, 64u, 100u })
			for (uint32_t from = 0; from < t->nnodes; from++) {
				std::vector<int> visited =
					walk(from, procs, NUMA_ALL, procs * 77, from * 31 + 5);
				int last = 0;

				EXPECT_EQ(procs,
					  std::set<int>(visited.begin(), visited.end()).size());
				EXPECT_EQ(procs, visited.size());
				for (int i : visited) {
					int d = p->node_of[i] == from
							? 0
							: node((int)from).distance[p->node_of[i]];

					EXPECT_LT(i, (int)procs);
					EXPECT_GE(d, last);
					last = d;
				}
			}
	}
}

TEST_F(NumaPlacement, WalkIsBoundedOnOtherNodes)
{
	place("four_socket_asymmetric");
	for (uint32_t seed = 1; seed < 50; seed++) {
		std::vector<int> local = walk(2, 24, NUMA_LOCAL, seed, seed * 7);
		std::vector<int> some = walk(2, 24, NUMA_SOME, seed, seed * 7);

		EXPECT_EQ(2u, local.size());
		for (int i : local)
			EXPECT_EQ(2, p->node_of[i]);
		EXPECT_EQ(2u + 3 * NUMA_REMOTE_TRIES, some.size());
	}
	EXPECT_TRUE(walk(2, 1, NUMA_LOCAL).empty()); /* the first P is on another node */
	EXPECT_EQ(1u, walk(2, 1, NUMA_SOME).size());
}

TEST_F(NumaPlacement, EveryRemotePIsTriedSomeTime)
{
	std::set<int> tried;

	place("epyc_nps4");
	for (uint32_t seed = 1; seed < 3000; seed++)
		for (int i : walk(0, 128, NUMA_SOME, seed * 2654435761u, seed * 40503u))
			tried.insert(i);
	EXPECT_EQ(128u, tried.size());
}
