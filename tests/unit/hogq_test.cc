/* SPDX-License-Identifier: MIT */
/* The queues of hogs by memory node, on made-up nodes and CPUs and in made-up time. */
#include "tests/unit/internals.h"
#include <algorithm>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <vector>

extern "C" {
#include "sched/hogq.h"
}

/* Nodes in a row: the further apart their numbers, the further apart they are. */
class Hogq : public testing::Test
{
protected:
	void SetUp() override
	{
		if (!IS_ENABLED(CONFIG_NUMA))
			GTEST_SKIP() << "built without NUMA";
	}
	void TearDown() override { sched.nnodes = 1; }

	void nodes(uint32_t n)
	{
		queues = std::vector<struct hogq>(n);
		for (struct hogq &hogs : queues)
			mutex_init(&hogs.lock, RANK_HOGS);
		sched.nnodes = n;
		for (uint32_t from = 0; from < n; from++) {
			uint8_t *near = topology.node[from].near;

			for (uint32_t i = 0; i < n; i++)
				near[i] = (uint8_t)i;
			std::stable_sort(near, near + n, [from](int a, int b) {
				return abs(a - (int)from) < abs(b - (int)from);
			});
		}
	}
	struct g *goroutine()
	{
		all.push_back(std::make_unique<struct g>());
		return all.back().get();
	}
	struct g *put(uint32_t node, int64_t now)
	{
		struct g *gp = goroutine();

		hogq_put(&queues[node], gp, now);
		return gp;
	}
	struct g *take(uint32_t node) { return hogq_take(queues.data(), node, THREAD_NO_CPU); }

	std::vector<struct hogq> queues;
	std::vector<std::unique_ptr<struct g>> all;
};

TEST_F(Hogq, OneNodeIsOneQueue)
{
	nodes(1);
	EXPECT_EQ(nullptr, take(0));
	struct g *first = put(0, 5), *second = put(0, 3); /* clocks are not exact */
	EXPECT_EQ(2u, hogq_size(queues.data()));
	EXPECT_EQ(first, take(0));
	EXPECT_EQ(second, take(0));
	EXPECT_EQ(nullptr, take(0));
	EXPECT_EQ(0u, hogq_size(queues.data()));
}

TEST_F(Hogq, OwnNodeComesFirstUnlessAnotherWaitedMuchLonger)
{
	nodes(3);
	int64_t now = 1000 * HOGQ_PATIENCE;
	struct g *far = put(2, now - 2 * HOGQ_PATIENCE + 1);
	struct g *near = put(1, now - HOGQ_PATIENCE + 1);
	struct g *own = put(0, now);

	EXPECT_EQ(own, take(0));
	EXPECT_EQ(near, take(0)) << "the nearest, although the other one has waited longer";
	own = put(0, now);
	EXPECT_EQ(own, take(0));
	own = put(0, now + 2);
	EXPECT_EQ(far, take(0)) << "two steps of distance, and it has waited longer by more";
	EXPECT_EQ(own, take(2)) << "better than nothing";
	EXPECT_EQ(nullptr, take(1));
}

TEST_F(Hogq, WhoStoppedOnTheCpuComesFirstForAWhile)
{
	std::vector<std::unique_ptr<struct m>> threads;
	int64_t now = 1000 * HOGQ_PATIENCE;
	auto stop = [&](uint32_t cpu, int64_t when) {
		struct g *gp = put(0, when);

		threads.push_back(std::make_unique<struct m>());
		store_rlx_u32(&threads.back()->cpu, cpu);
		store_rlx_ptr(&gp->m, threads.back().get());
		return gp;
	};
	auto cpu_of = [](struct g *gp) {
		return load_rlx_u32(&((struct m *)load_rlx_ptr(&gp->m))->cpu);
	};
	auto take_on = [&](uint32_t cpu) { return hogq_take(queues.data(), 0, cpu); };

	nodes(1);
	struct g *first = stop(1, now), *second = stop(2, now + 1), *third = stop(1, now + 2);
	struct g *fourth = stop(2, now + HOGQ_PATIENCE), *fifth = stop(3, now + HOGQ_PATIENCE + 1);
	EXPECT_EQ(second, take_on(2));
	EXPECT_EQ(first, take_on(2)) << "it came so long before the fourth";
	EXPECT_EQ(third, take_on(4)) << "nobody stopped there";
	EXPECT_EQ(fifth, take_on(3)) << "the last one";
	struct g *sixth = stop(3, now + HOGQ_PATIENCE + 2);
	EXPECT_EQ(fourth, take_on(THREAD_NO_CPU));
	EXPECT_EQ(sixth, take_on(2));
	EXPECT_EQ(nullptr, take_on(2));
	for (int i = 0; i < HOGQ_LOOKS; i++)
		stop(1, now);
	stop(2, now);
	EXPECT_EQ(1u, cpu_of(take_on(2))) << "too far behind";
	EXPECT_EQ(2u, cpu_of(take_on(2)));
	EXPECT_EQ((uint32_t)HOGQ_LOOKS - 1, hogq_size(queues.data()));
}

TEST_F(Hogq, WhoAsksForANodeGoesThere)
{
	nodes(3);
	auto pp = std::make_unique<struct p>();
	struct g *gp = goroutine();

	pp->node = 1;
	gp->node = 2;
	EXPECT_EQ(1u, hogq_node(pp.get(), gp)) << "where it ran";
	EXPECT_EQ(2u, hogq_node(nullptr, gp)) << "at home";
	gp->attr = GATTR_NODE;
	EXPECT_EQ(2u, hogq_node(pp.get(), gp));
	sched.nnodes = 1;
	EXPECT_EQ(0u, hogq_node(pp.get(), gp)) << "of a former world, with more nodes";
}

/*
 * Ps that run loops for a slice each, with loops and Ps spread at random, also over nodes without a
 * P. Nobody waits for longer than the queue before him and the handicap of the farthest node take,
 * and shares differ by no more than that makes.
 */
struct Loop {
	struct g *gp;
	int64_t ready, longest = 0;
	int slices = 0, moves = 0;
	uint32_t node;
};

TEST_F(Hogq, NobodyStarvesWhereverHeIs)
{
	const int64_t slice = HOGQ_PATIENCE;

	for (unsigned seed = 1; seed <= 200; seed++) {
		unsigned random = seed;
		auto below = [&](int n) { return rand_r(&random) % n; };
		uint32_t n = (uint32_t)below(4) + 2;
		std::vector<uint32_t> ps;
		std::vector<Loop> loops;

		SCOPED_TRACE(seed);
		nodes(n);
		all.clear();
		for (int i = below(6) + 1; i > 0; i--)
			ps.push_back((uint32_t)below((int)n));
		for (int i = (int)ps.size() + below(10); i >= 0; i--)
			loops.push_back({ goroutine(), 0, 0, 0, 0, (uint32_t)below((int)n) });
		for (Loop &loop : loops)
			hogq_put(&queues[loop.node], loop.gp, 0);
		for (int64_t now = 0; now < 3000 * slice; now += slice) {
			std::vector<std::pair<Loop *, uint32_t>> running;

			for (uint32_t node : ps) {
				struct g *gp = take(node);
				auto loop = std::find_if(
					loops.begin(), loops.end(),
					[gp](const Loop &one) { return one.gp == gp; });

				ASSERT_NE(loops.end(), loop) << "a P without work, and loops wait";
				loop->longest = std::max(loop->longest, now - loop->ready);
				loop->moves += loop->node != node;
				loop->node = node;
				loop->slices++;
				running.push_back({ &*loop, node });
			}
			for (size_t i = running.size(); i > 1; i--)
				std::swap(running[i - 1], running[(size_t)below((int)i)]);
			for (auto &one : running) {
				one.first->ready = now + slice;
				hogq_put(&queues[one.second], one.first->gp, now + slice);
			}
		}
		int64_t handicap = hogq_handicap(n - 1) / slice;
		int64_t rounds = (int64_t)(loops.size() / ps.size()) + 1;
		auto less = [](const Loop &a, const Loop &b) { return a.slices < b.slices; };
		auto ends = std::minmax_element(loops.begin(), loops.end(), less);

		EXPECT_LE(ends.second->slices, (2 + handicap) * ends.first->slices);
		for (const Loop &loop : loops)
			EXPECT_LE(loop.longest, (2 * rounds + handicap) * slice);
	}
}

TEST_F(Hogq, LoopsStayWhereTheirNumbersAreRight)
{
	nodes(4);
	std::vector<struct g *> loops;

	for (uint32_t i = 0; i < 12; i++)
		loops.push_back(put(i % 4, 0));
	for (int64_t now = 0; now < 1000 * HOGQ_PATIENCE; now += HOGQ_PATIENCE) {
		for (uint32_t node = 0; node < 4; node++) {
			struct g *gp = take(node);
			auto loop = std::find(loops.begin(), loops.end(), gp);

			ASSERT_NE(loops.end(), loop);
			ASSERT_EQ(node, (uint32_t)(loop - loops.begin()) % 4);
			hogq_put(&queues[node], gp, now + HOGQ_PATIENCE);
		}
	}
}
