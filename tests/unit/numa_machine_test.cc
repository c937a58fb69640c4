/* SPDX-License-Identifier: MIT */
/*
 * The scheduler on a machine that has more than one memory node: where threads run and pages are,
 * by the kernel's own word. `make test-numa` boots such machines; the others skip it.
 */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <fstream>
#include <linux/mempolicy.h>
#include <map>
#include <mutex>
#include <sched.h>
#include <set>
#include <sys/syscall.h>
#include <thread>

/* The kernel's number of the node that the calling thread is on. */
static int node_by_cpu()
{
	unsigned cpu, node;

	return getcpu(&cpu, &node) == 0 ? (int)node : -1;
}

/* That of the page, which is there; -1 if the kernel does not say. */
static int node_of_page(const void *page)
{
	int node = -1;

	syscall(SYS_get_mempolicy, &node, nullptr, 0UL, page, MPOL_F_NODE | MPOL_F_ADDR);
	return node;
}

static int number(uint32_t node)
{
	return topology.node[node].number;
}

/* Where its memory comes from: a node may have none. */
static int memory_number(uint32_t node)
{
	return topology.node[topology.node[node].memory_from].number;
}

static uint32_t current_node()
{
	return getm()->p->node;
}

/* CPUs that the process may use, when urge_main was called. */
static int ncpus()
{
	uint32_t n = 0;

	for (uint32_t node = 0; node < topology.nnodes; node++)
		n += topology.node[node].ncpus;
	return (int)n;
}

static std::vector<struct urge_node_stats> stats()
{
	std::vector<struct urge_node_stats> all(64);

	all.resize((size_t)urge_node_stats_read(all.data(), all.size()));
	return all;
}

class NumaMachine : public testing::Test
{
protected:
	void SetUp() override
	{
		std::ifstream online("/sys/devices/system/node/has_cpu");
		std::string nodes;

		online >> nodes;
		if (!IS_ENABLED(CONFIG_NUMA))
			GTEST_SKIP() << "built without NUMA";
		if (nodes.find_first_of(",-") == std::string::npos)
			GTEST_SKIP() << "one memory node: make test-numa boots machines with more";
	}
};

/*
 * Runs body on every P at the same time: each goroutine waits for the last one, and none loses its
 * P meanwhile, since nobody's slice ends.
 */
static void on_every_p(const std::function<void()> &body)
{
	int n = urge_gomaxprocs(0);
	std::atomic<int> there{ 0 };
	urge_waitgroup wg = {};

	urge_set_time_slice(10 * URGE_S);
	urge_waitgroup_add(&wg, n);
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, go([&] {
				  there++;
				  while (there < n)
					  sched_yield(); /* not urge_yield: it keeps its P */
				  body();
				  urge_waitgroup_done(&wg);
			  }));
	urge_waitgroup_wait(&wg);
	urge_set_time_slice(10 * URGE_MS);
}

/* How many goroutines, of one on each P, were on which node; each on a CPU of its P's node. */
static std::vector<uint32_t> spread()
{
	std::mutex lock;
	std::vector<uint32_t> ps(topology.nnodes);
	std::vector<std::string> astray;

	on_every_p([&] {
		urge_nopreempt_begin();
		uint32_t node = current_node();
		int here = node_by_cpu();
		urge_nopreempt_end();
		std::lock_guard<std::mutex> locked(lock);

		ps[node]++;
		if (here != number(node))
			astray.push_back(std::to_string(here) + " for " +
					 std::to_string(number(node)));
	});
	EXPECT_EQ(std::vector<std::string>(), astray);
	return ps;
}

/*
 * All Ps run, and are where the placement says. A thread that is taken for a blocked one loses its
 * P, and comes out on another: so one spread in a few has to be the right one.
 */
static void expect_placed(int procs)
{
	std::vector<uint32_t> expected, seen;

	urge_gomaxprocs(procs);
	for (uint32_t node = 0; node < topology.nnodes; node++)
		expected.push_back(numa_procs_on(&placement, node, (uint32_t)procs));
	for (int tries = 0; tries < 20 && seen != expected; tries++)
		seen = spread();
	EXPECT_EQ(expected, seen);
}

TEST_F(NumaMachine, EveryPRunsOnItsNode)
{
	EXPECT_EQ(0, run_main([] {
			  EXPECT_GT(sched.nnodes, 1u);
			  EXPECT_EQ("", std::string(topology.fallback));
			  expect_placed(ncpus());
			  return 0;
		  }));
}

TEST_F(NumaMachine, ResizeMovesNobodyElse)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<bool> stop{ false };
			  urge_waitgroup wg = {};

			  urge_waitgroup_add(&wg, 4);
			  for (int i = 0; i < 4; i++)
				  go([&] {
					  while (!stop)
						  urge_sleep(100 * URGE_US);
					  urge_waitgroup_done(&wg);
				  });
			  for (int n : { 1, 2, 3, 5, 8, 16, 4, 7, 1, 8 })
				  expect_placed(n);
			  stop = true;
			  urge_waitgroup_wait(&wg);
			  return 0;
		  }));
}

TEST_F(NumaMachine, MemoryOfPsIsOfTheirNode)
{
	EXPECT_EQ(0, run_main([] {
			  expect_placed(2 * ncpus());
			  for_each_p(pp)
				  EXPECT_EQ(memory_number(pp->node), node_of_page(pp)) << pp->id;
			  return 0;
		  }));
}

/* The stack and the header of the calling goroutine. */
static void expect_memory_at(uint32_t node)
{
	char local = 1;

	EXPECT_EQ(memory_number(node), node_of_page(&local));
	EXPECT_EQ(memory_number(node), node_of_page(getm()->curg));
	EXPECT_EQ(node, getm()->curg->node);
}

TEST_F(NumaMachine, StacksAreMemoryOfTheNodeThatMadeThem)
{
	EXPECT_EQ(0, run_main([] {
			  on_every_p([] {
				  for (int i = 0; i < 100; i++) {
					  urge_waitgroup wg = {};

					  urge_waitgroup_add(&wg, 1);
					  EXPECT_EQ(0, go([&] {
							    urge_nopreempt_begin();
							    expect_memory_at(getm()->curg->node);
							    urge_nopreempt_end();
							    urge_waitgroup_done(&wg);
						    }));
					  urge_waitgroup_wait(&wg);
				  }
			  });
			  return 0;
		  }));
}

/* A wish: a P of another node that looks for work may be faster. Here every node has idle Ps. */
TEST_F(NumaMachine, AttributeAsksForANode)
{
	EXPECT_EQ(0, run_main([] {
			  struct urge_attr attr = URGE_ATTR_INIT;
			  int there = 0, looks = 0;

			  for (int round = 0; round < 20; round++)
				  for (uint32_t node = 0; node < sched.nnodes; node++) {
					  std::atomic<bool> done{ false };
					  auto body = [&] {
						  expect_memory_at(node);
						  for (int i = 0; i < 5; i++) {
							  there += node_by_cpu() == number(node);
							  looks++;
							  urge_sleep(URGE_MS);
						  }
						  done = true;
					  };

					  attr.node = number(node);
					  EXPECT_EQ(0, go(body, &attr));
					  EXPECT_TRUE(eventually([&] { return done.load(); }));
				  }
			  printf("%d of %d times on the node\n", there, looks);
			  EXPECT_GE(there, looks * 3 / 4);
			  attr.node = 4711;
			  EXPECT_EQ(-EINVAL, go([] {}, &attr));
			  attr.node = 0;
			  EXPECT_EQ(0, go([] {}, &attr));
			  return 0;
		  }));
}

/* A machine's whole work is on one node: the others come and help. */
TEST_F(NumaMachine, NoNodeIdlesWhileAnotherHasWork)
{
	EXPECT_EQ(0, run_main([] {
			  std::mutex lock;
			  std::set<int> helped;
			  std::atomic<int> left{ 2000 };
			  struct urge_attr attr = URGE_ATTR_INIT;
			  uint64_t before = 0, after = 0;

			  attr.node = number(0);
			  for (const auto &node : stats())
				  before += node.steals_remote;
			  for (int i = 0; i < 2000; i++)
				  EXPECT_EQ(0, go(
						       [&] {
							       int64_t end = urge_now() + URGE_MS;

							       while (urge_now() < end)
								       ;
							       std::lock_guard<std::mutex> locked(
								       lock);

							       helped.insert(node_by_cpu());
							       left--;
						       },
						       &attr));
			  EXPECT_TRUE(eventually([&] { return left == 0; }));
			  for (const auto &node : stats())
				  after += node.steals_remote;
			  EXPECT_EQ(topology.nnodes, helped.size());
			  EXPECT_GT(after, before);
			  return 0;
		  }));
}

/*
 * One P starts everything: those of its node help, which are local steals, and then the others. All
 * steals are one or the other.
 */
TEST_F(NumaMachine, StealsAreLocalOrRemote)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> left{ 0 };
			  auto before = stats();
			  uint64_t local = 0, remote = 0;

			  /* a node with two CPUs has two Ps */
			  for (int round = 0; round < 50 && (local == 0 || remote == 0); round++) {
				  left = 200;
				  for (int i = 0; i < 200; i++)
					  EXPECT_EQ(0, go([&] {
							    int64_t end = urge_now() + URGE_MS;

							    while (urge_now() < end)
								    ;
							    left--;
						    }));
				  EXPECT_TRUE(eventually([&] { return left == 0; }));
				  local = remote = 0;
				  auto after = stats();
				  for (size_t node = 0; node < after.size(); node++) {
					  local += after[node].steals_local -
						   before[node].steals_local;
					  remote += after[node].steals_remote -
						    before[node].steals_remote;
				  }
			  }
			  printf("%d local steals, %d remote ones\n", (int)local, (int)remote);
			  EXPECT_GT(local, 0u);
			  EXPECT_GT(remote, 0u);
			  EXPECT_TRUE(eventually([] {
				  struct urge_stats all;
				  uint64_t sum = 0;

				  for (const auto &node : stats())
					  sum += node.steals_local + node.steals_remote;
				  urge_stats_read(&all);
				  return all.steals == sum;
			  }));
			  return 0;
		  }));
}

/*
 * More loops than Ps, which nothing but signals takes off: each gets on, wherever it was stopped,
 * also when its node has no P any more.
 */
TEST_F(NumaMachine, LoopsOfEveryNodeGetOn)
{
	EXPECT_EQ(
		0, run_main([] {
			std::vector<std::atomic<uint64_t>> turns(2 * (size_t)ncpus() + 3);
			std::atomic<bool> stop{ false };
			urge_waitgroup wg = {};

			urge_waitgroup_add(&wg, (int)turns.size());
			for (auto &loop : turns)
				EXPECT_EQ(0, go([&] {
						  while (!stop)
							  loop++;
						  urge_waitgroup_done(&wg);
					  }));
			for (int n : { ncpus(), 1, ncpus() }) {
				std::vector<uint64_t> then;

				urge_gomaxprocs(n);
				for (auto &loop : turns)
					then.push_back(loop);
				for (size_t i = 0; i < turns.size(); i++)
					EXPECT_TRUE(eventually([&] { return turns[i] > then[i]; }))
						<< "loop " << i << ", GOMAXPROCS=" << n;
			}
			stop = true;
			urge_waitgroup_wait(&wg);
			return 0;
		}));
}

/*
 * A timer of node 0 readies a goroutine of node 1 while every P runs a loop and nobody waits: it
 * runs, on whichever P is stopped first. A thread that is not the runtime's keeps the time, since a
 * goroutine that did would be a reason to stop loops.
 */
TEST_F(NumaMachine, LoopsAreStoppedForWhomAnotherNodeReadied)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<bool> stop{ false }, chosen{ false };
			  std::atomic<int> running{ 0 };
			  bool ran = false;
			  struct urge_attr there = URGE_ATTR_INIT;
			  urge_waitgroup loops = {};
			  urge_chan *fires = nullptr;

			  urge_gomaxprocs(ncpus());
			  on_every_p([&] {
				  urge_nopreempt_begin();
				  if (current_node() == 0 && !chosen.exchange(true))
					  fires = urge_after(2 * URGE_S);
				  urge_nopreempt_end();
			  });
			  EXPECT_NE(nullptr, fires);
			  there.node = number(1);
			  EXPECT_EQ(0, go(
					       [&] {
						       EXPECT_EQ(0, urge_recv(fires, nullptr));
						       ran = !stop;
						       stop = true;
					       },
					       &there));
			  std::thread timekeeper([&] {
				  for (int i = 0; i < 200 && !stop; i++)
					  usleep(100000);
				  stop = true;
			  });
			  urge_waitgroup_add(&loops, ncpus());
			  for (int i = 0; i < ncpus(); i++)
				  EXPECT_EQ(0, go([&] {
						    running++;
						    while (!stop)
							    ;
						    urge_waitgroup_done(&loops);
					    }));
			  urge_waitgroup_wait(&loops);
			  timekeeper.join();
			  EXPECT_TRUE(ran) << running << " loops ran";
			  urge_chan_free(fires);
			  return 0;
		  }));
}

/* What waits on a node that has no P any more is run by others. */
TEST_F(NumaMachine, NothingIsStrandedOnANodeWithoutPs)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> left{ 100 };
			  struct urge_attr attr = URGE_ATTR_INIT;

			  urge_gomaxprocs(1);
			  attr.node = number(placement.node_of[0] == 0 ? 1 : 0);
			  for (int i = 0; i < 100; i++)
				  EXPECT_EQ(0, go(
						       [&] {
							       urge_sleep(URGE_MS);
							       left--;
						       },
						       &attr));
			  /* this P has always something to run of its own */
			  for (int64_t end = urge_now() + 30 * URGE_S;
			       left > 0 && urge_now() < end;)
				  urge_yield();
			  EXPECT_EQ(0, left);
			  return 0;
		  }));
}

TEST_F(NumaMachine, ThreadsOfTheProgramSpawnWhereTheyAre)
{
	EXPECT_EQ(0, run_main([] {
			  for (uint32_t node = 0; node < sched.nnodes; node++) {
				  std::atomic<int> ran{ -1 };

				  std::thread([&] {
					  cpu_set_t set;

					  CPU_ZERO(&set);
					  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
						  if (cpumask_has(&topology.node[node].cpus,
								  (uint32_t)cpu))
							  CPU_SET(cpu, &set);
					  sched_setaffinity(0, sizeof(set), &set);
					  go([&] { ran = getm()->curg->node; });
				  }).join();
				  EXPECT_TRUE(eventually([&] { return ran >= 0; }));
				  EXPECT_EQ((int)node, ran);
			  }
			  return 0;
		  }));
}

/* Threads that wake and sleep on their nodes stay there. */
TEST_F(NumaMachine, ThreadsMoveOnlyWhenTheyMust)
{
	EXPECT_EQ(0, run_main([] {
			  urge_waitgroup wg = {};
			  uint64_t before = 0, after = 0;
			  std::atomic<int> wakeups{ 0 };
			  struct urge_attr attr = URGE_ATTR_INIT;

			  expect_placed(ncpus());
			  for (const auto &node : stats())
				  before += node.migrations;
			  urge_waitgroup_add(&wg, (int)sched.nnodes);
			  for (uint32_t node = 0; node < sched.nnodes; node++) {
				  attr.node = number(node);
				  EXPECT_EQ(0, go(
						       [&] {
							       for (int i = 0; i < 300; i++) {
								       urge_sleep(2 * URGE_MS);
								       wakeups++;
							       }
							       urge_waitgroup_done(&wg);
						       },
						       &attr));
			  }
			  urge_waitgroup_wait(&wg);
			  for (const auto &node : stats())
				  after += node.migrations;
			  EXPECT_LT(after - before, (uint64_t)wakeups / 4);
			  RecordProperty("migrations", (int)(after - before));
			  printf("%d wake-ups, %d migrations\n", (int)wakeups,
				 (int)(after - before));
			  return 0;
		  }));
}

static std::string affinity(const std::string &task)
{
	std::ifstream status("/proc/self/task/" + task + "/status");

	for (std::string line; std::getline(status, line);)
		if (line.find("Cpus_allowed_list:") == 0)
			return line;
	return "";
}

TEST_F(NumaMachine, CallersAffinityComesBack)
{
	std::string before = affinity(std::to_string(gettid()));

	EXPECT_EQ(0, run_main([&] {
			  on_every_p([] {});
			  EXPECT_NE(before, affinity(std::to_string(gettid())));
			  return 0;
		  }));
	EXPECT_EQ(before, affinity(std::to_string(gettid())));
}

TEST_F(NumaMachine, ProcessOnOneNodeHasOneNode)
{
	Outcome outcome = in_child([] {
		auto t = std::make_unique<struct numa_topology>();
		cpu_set_t set;

		numa_topology_read(t.get(), nullptr);
		CPU_ZERO(&set);
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (cpumask_has(&t->node[1].cpus, (uint32_t)cpu))
				CPU_SET(cpu, &set);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(set), &set));
		run_main([&] {
			struct urge_attr attr = URGE_ATTR_INIT;

			EXPECT_EQ(1u, sched.nnodes);
			EXPECT_EQ(t->node[1].number, stats()[0].node);
			attr.node = 0; /* there, but not ours: the nearest one is */
			EXPECT_EQ(0, go([] {}, &attr));
			return 0;
		});
	});

	EXPECT_EXITED(0, outcome);
}

/* So many goroutines that sleep until they are to stop, on the nodes in turn. */
static void sleep_on_nodes(int n, std::atomic<bool> *stop, urge_waitgroup *wg)
{
	urge_waitgroup_add(wg, n);
	for (int i = 0; i < n; i++) {
		struct urge_attr attr = URGE_ATTR_INIT;

		attr.node = number((uint32_t)i % sched.nnodes);
		EXPECT_EQ(0, go(
				     [stop, wg] {
					     while (!*stop)
						     urge_sleep(10 * URGE_MS);
					     urge_waitgroup_done(wg);
				     },
				     &attr));
	}
}

TEST_F(NumaMachine, StatsSayWhatIsWhere)
{
	EXPECT_EQ(0, run_main([] {
			  urge_waitgroup wg = {};
			  std::atomic<bool> stop{ false };
			  unsigned procs = 0;

			  sleep_on_nodes(100, &stop, &wg);
			  for (const auto &node : stats()) {
				  procs += node.procs;
				  EXPECT_GE(node.stack_pages, 1u);
				  EXPECT_EQ(node.stack_pages, node.stack_pages_local) << node.node;
			  }
			  EXPECT_EQ((unsigned)urge_gomaxprocs(0), procs);
			  stop = true;
			  urge_waitgroup_wait(&wg);
			  EXPECT_EQ((int)sched.nnodes, urge_node_stats_read(nullptr, 0));
			  return 0;
		  }));
	EXPECT_EQ(-EPERM, urge_node_stats_read(nullptr, 0));
}

/* The value, by name; a test fails where there is none. */
static uint64_t metric(const std::string &name)
{
	struct urge_metric metric = {};

	metric.name = name.c_str();
	EXPECT_EQ(1, urge_metrics_read(&metric, 1)) << name;
	return metric.value.u;
}

TEST_F(NumaMachine, MetricsAreThoseOfEachNodeAndTheirSums)
{
	EXPECT_EQ(0, run_main([] {
			  urge_waitgroup wg = {};
			  std::atomic<bool> stop{ false };
			  std::map<std::string, uint64_t> sums;

			  expect_placed(ncpus());
			  on_every_p([] {}); /* so that each node has stacks */
			  sleep_on_nodes((int)sched.nnodes, &stop, &wg);
			  for (const auto &node : stats()) {
				  std::string prefix = "/sched/nodes/" + std::to_string(node.node);

				  EXPECT_EQ(node.procs, metric(prefix + "/gomaxprocs:threads"));
				  EXPECT_GE(metric(prefix + "/migrations:threads"),
					    node.migrations);
				  EXPECT_GE(metric(prefix + "/steals/remote:goroutines"),
					    node.steals_remote);
				  EXPECT_GE(metric(prefix + "/stacks/sampled:pages"), 1u);
				  EXPECT_EQ(metric(prefix + "/stacks/sampled:pages"),
					    metric(prefix + "/stacks/local:pages"));
				  sums["/gomaxprocs:threads"] += node.procs;
				  sums["/migrations:threads"] += node.migrations;
			  }
			  for (const auto &sum : sums)
				  EXPECT_GE(metric("/sched/nodes/*" + sum.first), sum.second);
			  EXPECT_GT(sums["/migrations:threads"], 0u);
			  stop = true;
			  urge_waitgroup_wait(&wg);
			  return 0;
		  }));
}

TEST_F(NumaMachine, SchedtraceHasTheNodesBehindGosFields)
{
	Outcome outcome = in_child([] {
		setenv("URGEDEBUG", "schedtrace=50,inittrace=1", 1);
		run_main([] {
			urge_sleep(300 * URGE_MS);
			return 0;
		});
	});

	EXPECT_EXITED(0, outcome);
	EXPECT_SAYS(" ms clock, nodes=", outcome.err);
	EXPECT_SAYS("] nodes=[ ", outcome.err);
}

static bool switch_cpu(int cpu, bool on)
{
	std::ofstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/online");

	file << (on ? "1" : "0") << std::flush;
	return file.good();
}

/* All CPUs of a node go away under the goroutines, and come back. */
TEST_F(NumaMachine, CpusGoOfflineAndComeBack)
{
	auto t = std::make_unique<struct numa_topology>();
	std::vector<int> cpus;

	numa_topology_read(t.get(), nullptr);
	for (int cpu = 1; cpu < NUMA_MAX_CPUS; cpu++)
		if (cpumask_has(&t->node[t->nnodes - 1].cpus, (uint32_t)cpu))
			cpus.push_back(cpu);
	if (geteuid() != 0 || getenv("URGE_GUEST") == nullptr)
		GTEST_SKIP() << "switches CPUs off: make test-numa does it in a guest";
	EXPECT_EQ(0, run_main([&] {
			  std::atomic<bool> stop{ false };
			  std::atomic<uint64_t> turns{ 0 };
			  urge_waitgroup wg = {};

			  urge_waitgroup_add(&wg, 16);
			  for (int i = 0; i < 16; i++)
				  EXPECT_EQ(0, go([&, i] {
						    struct urge_attr attr = URGE_ATTR_INIT;

						    attr.node = number((uint32_t)i % sched.nnodes);
						    while (!stop) {
							    go([&] { turns++; }, &attr);
							    urge_sleep(URGE_MS);
						    }
						    urge_waitgroup_done(&wg);
					    }));
			  for (bool on : { false, true }) {
				  for (int cpu : cpus) {
					  EXPECT_TRUE(switch_cpu(cpu, on)) << cpu;
					  uint64_t then = turns;
					  EXPECT_TRUE(
						  eventually([&] { return turns > then + 50; }));
				  }
			  }
			  stop = true;
			  urge_waitgroup_wait(&wg);
			  expect_placed(ncpus());
			  return 0;
		  }));
	EXPECT_EQ(0, run_main([] {
			  expect_placed(ncpus());
			  return 0;
		  }));
}
