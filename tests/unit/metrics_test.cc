/* SPDX-License-Identifier: MIT */
/* Metrics by Go's names, and the histograms below them. */
#include "sched/timehist.h"
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <cmath>
#include <numeric>
#include <thread>
#include <vector>

static uint64_t read_number(const char *name)
{
	struct urge_metric metric = {};

	metric.name = name;
	EXPECT_EQ(1, urge_metrics_read(&metric, 1)) << name;
	EXPECT_EQ(URGE_METRIC_UINT64, metric.kind) << name;
	return metric.value.u;
}

static struct urge_histogram read_histogram(const char *name)
{
	struct urge_histogram h;
	struct urge_metric metric = {};

	metric.name = name;
	metric.value.h = &h;
	EXPECT_EQ(1, urge_metrics_read(&metric, 1)) << name;
	EXPECT_EQ(URGE_METRIC_HISTOGRAM, metric.kind) << name;
	return h;
}

static uint64_t total(const struct urge_histogram &h)
{
	return std::accumulate(std::begin(h.counts), std::end(h.counts), uint64_t(0));
}

/* How many of them lasted for less than so many seconds. */
static uint64_t below(const struct urge_histogram &h, double seconds)
{
	uint64_t n = 0;

	for (int i = 0; i < URGE_HISTOGRAM_BUCKETS && h.bounds[i + 1] <= seconds; i++)
		n += h.counts[i];
	return n;
}

TEST(Timehist, BucketsHoldWhatTheirBoundsSay)
{
	std::vector<int64_t> times = { INT64_MIN, -1, 0, 1, INT64_MAX };

	for (int shift = 0; shift < 63; shift++)
		for (int64_t d = -2; d <= 2; d++)
			times.push_back(((int64_t)1 << shift) + d);
	for (int64_t t = 1; t < (int64_t)1 << 40; t += 1 + t / 7)
		times.push_back(t);
	for (int64_t t : times) {
		unsigned i = timehist_bucket(t);

		ASSERT_LT(i, (unsigned)TIMEHIST_BUCKETS) << t;
		if (i > 0) {
			ASSERT_GE(t, timehist_lower(i)) << "bucket " << i;
		}
		if (i + 1 < TIMEHIST_BUCKETS) {
			ASSERT_LT(t, timehist_lower(i + 1)) << "bucket " << i;
		}
	}
}

TEST(Metrics, EveryNameIsKnownAndOthersAreNot)
{
	std::vector<struct urge_metric> metrics;
	struct urge_metric bad = {};
	unsigned n = 0;

	for (const char *name; (name = urge_metric_name(n)) != nullptr; n++) {
		struct urge_metric metric = {};

		metric.name = name;
		metrics.push_back(metric); /* histograms without room: allowed */
	}
	EXPECT_GE(n, 18u);
	EXPECT_EQ((int)n, urge_metrics_read(metrics.data(), metrics.size()));
	for (const auto &metric : metrics)
		EXPECT_NE(URGE_METRIC_BAD, metric.kind) << metric.name;
	bad.name = "/gc/heap/allocs:bytes";
	bad.kind = 99;
	bad.value.u = 77;
	EXPECT_EQ(0, urge_metrics_read(&bad, 1));
	EXPECT_EQ(URGE_METRIC_BAD, bad.kind);
	EXPECT_EQ(77u, bad.value.u);
	bad.name = nullptr;
	EXPECT_EQ(0, urge_metrics_read(&bad, 1));
	EXPECT_EQ(-EINVAL, urge_metrics_read(nullptr, 1));
	EXPECT_EQ(0, urge_metrics_read(nullptr, 0));
	EXPECT_EQ(nullptr, urge_metric_name(1000));
}

/* On the machine as it is: one node of it, or more, has this process's CPUs. */
TEST(Metrics, NodesAreNamedByNumberOrTogether)
{
	auto kind = [](const std::string &name) {
		struct urge_metric metric = {};

		metric.name = name.c_str();
		urge_metrics_read(&metric, 1);
		return metric.kind;
	};

	EXPECT_EQ(0u, read_number("/sched/nodes/*/gomaxprocs:threads")) << "nothing runs";
	EXPECT_EQ(URGE_METRIC_BAD, kind("/sched/nodes/0/gomaxprocs:threads"));
	EXPECT_EQ(0, run_main([&] {
			  std::vector<struct urge_node_stats> nodes(64);
			  uint64_t procs = 0;

			  urge_gomaxprocs(5);
			  nodes.resize((size_t)urge_node_stats_read(nodes.data(), nodes.size()));
			  for (auto &node : nodes) {
				  std::string prefix = "/sched/nodes/" + std::to_string(node.node);

				  procs += read_number((prefix + "/gomaxprocs:threads").c_str());
				  EXPECT_EQ(node.procs,
					    read_number((prefix + "/gomaxprocs:threads").c_str()));
				  EXPECT_EQ(node.migrations,
					    read_number((prefix + "/migrations:threads").c_str()));
				  EXPECT_GE(read_number((prefix + "/stacks/sampled:pages").c_str()),
					    read_number((prefix + "/stacks/local:pages").c_str()));
			  }
			  EXPECT_EQ(5u, procs);
			  EXPECT_EQ(5u, read_number("/sched/nodes/*/gomaxprocs:threads"));
			  urge_gomaxprocs(1);
			  urge_nopreempt_begin(); /* nobody takes them away */
			  for (int i = 0; i < 4; i++)
				  go([] {});
			  EXPECT_EQ(4u,
				    read_number("/sched/nodes/*/goroutines/runnable:goroutines"));
			  urge_nopreempt_end();
			  for (const char *bad : { "/sched/nodes/4711/gomaxprocs:threads",
						   "/sched/nodes//gomaxprocs:threads",
						   "/sched/nodes/0x/gomaxprocs:threads",
						   "/sched/nodes/**/gomaxprocs:threads",
						   "/sched/nodes/-1/gomaxprocs:threads",
						   "/sched/nodes/99999999999/gomaxprocs:threads",
						   "/sched/nodes/*/", "/sched/nodes/*" })
				  EXPECT_EQ(URGE_METRIC_BAD, kind(bad)) << bad;
			  return 0;
		  }));
}

TEST(Metrics, GoroutinesAreCountedByState)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<bool> end{ false };
			  std::atomic<int> in_call{ 0 };
			  uint64_t before = read_number("/sched/goroutines-created:goroutines");

			  urge_gomaxprocs(1);
			  EXPECT_EQ(1u, read_number("/sched/gomaxprocs:threads"));
			  for (int i = 0; i < 3; i++)
				  go([] { urge_sleep(3600 * URGE_S); });
			  for (int i = 0; i < 2; i++)
				  go([&] {
					  urge_entersyscall();
					  in_call++;
					  while (!end)
						  std::this_thread::yield();
					  urge_exitsyscall();
				  });
			  EXPECT_TRUE(eventually([&] { return in_call == 2; }));
			  EXPECT_TRUE(eventually([] {
				  return read_number("/sched/goroutines/waiting:goroutines") == 3;
			  }));
			  EXPECT_EQ(2u, read_number("/sched/goroutines/not-in-go:goroutines"));
			  EXPECT_EQ(1u, read_number("/sched/goroutines/running:goroutines"));
			  EXPECT_EQ(0u, read_number("/sched/goroutines/runnable:goroutines"));
			  urge_nopreempt_begin(); /* nobody takes them away */
			  for (int i = 0; i < 4; i++)
				  go([] {});
			  EXPECT_EQ(4u, read_number("/sched/goroutines/runnable:goroutines"));
			  EXPECT_EQ(10u, read_number("/sched/goroutines:goroutines"));
			  EXPECT_EQ(9u,
				    read_number("/sched/goroutines-created:goroutines") - before);
			  urge_nopreempt_end();
			  EXPECT_GE(read_number("/sched/threads/total:threads"), 3u);
			  end = true;
			  EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 4; }));
			  return 0;
		  }));
}

TEST(Metrics, LatencyIsTheTimeFromRunnableToRunning)
{
	EXPECT_EQ(0, run_main([] {
			  struct urge_histogram before, after;

			  urge_gomaxprocs(1);
			  before = read_histogram("/sched/latencies:seconds");
			  EXPECT_EQ(0, before.bounds[0]);
			  EXPECT_TRUE(std::isinf(before.bounds[URGE_HISTOGRAM_BUCKETS]));
			  for (int i = 0; i < 640; i++) {
				  int64_t until = urge_now() + URGE_MS / 10;

				  go([] {});
				  while (urge_now() < until) /* it waits for so long at least */
					  ;
				  urge_yield();
			  }
			  after = read_histogram("/sched/latencies:seconds");
			  EXPECT_GE(total(after) - total(before), 8u) << "about one in 64";
			  EXPECT_LE(total(after) - total(before), 1280u);
			  /* those that waited for less were yielding goroutines */
			  EXPECT_GT(total(after) - below(after, 80e-6),
				    total(before) - below(before, 80e-6));
			  return 0;
		  }));
}

TEST(Metrics, PausesAreThoseOfTheStoppedWorld)
{
	EXPECT_EQ(0, run_main([] {
			  const char *stopping = "/sched/pauses/stopping/other:seconds";
			  const char *pauses = "/sched/pauses/total/other:seconds";
			  uint64_t stops = total(read_histogram(stopping));
			  uint64_t longs;

			  longs = total(read_histogram(pauses)) -
				  below(read_histogram(pauses), 4e-3);
			  for (int i = 0; i < 5; i++) {
				  int64_t until;

				  EXPECT_EQ(0, urge_stop_the_world("test"));
				  until = urge_now() + 5 * URGE_MS;
				  while (urge_now() < until)
					  ;
				  urge_start_the_world();
			  }
			  EXPECT_EQ(stops + 5, total(read_histogram(stopping)));
			  EXPECT_EQ(longs + 5, total(read_histogram(pauses)) -
						       below(read_histogram(pauses), 4e-3));
			  return 0;
		  }));
}

/* From the request until the next goroutine runs, by what became of the request. */
TEST(Metrics, PreemptionsAreTimed)
{
	if (IS_ENABLED(CONFIG_TSAN))
		GTEST_SKIP() << "TSan: goroutines are preempted at calls only";
	for (int policy : { URGE_PREEMPT_PARK, URGE_PREEMPT_OFF }) {
		EXPECT_EQ(0, urge_set_preempt(policy));
		EXPECT_EQ(0, run_main([policy] {
				  const char *name = policy == URGE_PREEMPT_OFF
							     ? "/sched/preempt/deferred:seconds"
							     : "/sched/preempt/parked:seconds";
				  uint64_t before = total(read_histogram(name));
				  std::atomic<bool> end{ false };
				  urge_sem calls;

				  urge_sem_init(&calls, 1);
				  urge_gomaxprocs(1);
				  urge_set_time_slice(URGE_MS);
				  for (int i = 0; i < 2; i++)
					  go([&, policy] {
						  while (!end)
							  if (policy == URGE_PREEMPT_OFF)
								  urge_sem_try_acquire(&calls);
					  });
				  EXPECT_TRUE(eventually([&] {
					  return total(read_histogram(name)) >= before + 20;
				  }));
				  end = true;
				  EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
				  return 0;
			  }));
	}
	EXPECT_EQ(0, urge_set_preempt(URGE_PREEMPT_AUTO));
}
