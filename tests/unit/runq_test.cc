/* SPDX-License-Identifier: MIT */
/* The local run queue with one thread: order, overflow, halves. Races: tests/stress/runq_test.cc. */
#include "tests/unit/internals.h"
#include <gtest/gtest.h>
#include <memory>
#include <vector>

class Runq : public testing::Test
{
protected:
	void SetUp() override
	{
		store_rlx_u32(&sched.sharing, 1);
		runq_alone(pp.get());
		runq_alone(thief.get());
	}

	void TearDown() override
	{
		global();
		store_rlx_u32(&sched.sharing, 0);
	}

	/* Goroutines by number, to be queued and recognised. */
	struct g *gp(int i) { return &gs[(size_t)i]; }

	void put(int from, int to)
	{
		for (int i = from; i < to; i++)
			runqput(pp.get(), gp(i));
	}

	/* The number of the next one, -1 if there is none. */
	int get(struct p *from, bool *inherit, bool oldest = false)
	{
		const struct g *got = runqget(from, oldest, inherit);

		return got ? (int)(got - gs.data()) : -1;
	}
	int get(struct p *from)
	{
		bool inherit;

		return get(from, &inherit);
	}

	int steal(bool runnext_too)
	{
		const struct g *got = runqsteal(thief.get(), pp.get(), runnext_too);

		return got ? (int)(got - gs.data()) : -1;
	}

	/* What the global queue holds, taken out. */
	std::vector<int> global()
	{
		std::vector<int> numbers;

		lock(&sched.lock);
		while (const struct g *got = gqueue_pop(&sched.globq[0].q))
			numbers.push_back((int)(got - gs.data()));
		store_rlx_u32(&sched.globq[0].size, 0);
		unlock(&sched.lock);
		return numbers;
	}

	std::vector<struct g> gs = std::vector<struct g>(2 * RUNQ_SIZE);
	std::unique_ptr<struct p> pp = std::make_unique<struct p>();
	std::unique_ptr<struct p> thief = std::make_unique<struct p>();
};

TEST_F(Runq, RingIsFirstInFirstOut)
{
	bool inherit;

	for (int round = 0; round < 5; round++) { /* the ring wraps around */
		put(0, 200);
		for (int i = 0; i < 200; i++) {
			EXPECT_EQ(i, get(pp.get(), &inherit));
			EXPECT_FALSE(inherit);
		}
		EXPECT_EQ(-1, get(pp.get()));
	}
}

TEST_F(Runq, CountersWrapAround)
{
	store_rlx_u64(&pp->runqhead, UINT32_MAX - 100);
	store_rlx_u32(&pp->runqtail, UINT32_MAX - 100);
	put(0, 200);
	EXPECT_EQ(200u, runqlen(pp.get()));
	EXPECT_EQ(99, steal(false));
	for (int i = 100; i < 200; i++)
		EXPECT_EQ(i, get(pp.get()));
	EXPECT_TRUE(runqempty(pp.get()));
}

TEST_F(Runq, NextComesFirstAndInheritsTheSlice)
{
	bool inherit;

	put(0, 2);
	runqput_next(pp.get(), gp(2));
	runqput_next(pp.get(), gp(3)); /* 2 goes to the tail */
	EXPECT_EQ(4u, runqlen(pp.get()));
	EXPECT_EQ(3, get(pp.get(), &inherit));
	EXPECT_TRUE(inherit);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(i, get(pp.get(), &inherit));
		EXPECT_FALSE(inherit);
	}
	EXPECT_EQ(-1, get(pp.get(), &inherit));
}

TEST_F(Runq, NextOfTheOnlyPIsItsOwn)
{
	bool inherit;

	store_rlx_u32(&sched.sharing, 2);
	runqput_next(pp.get(), gp(0));
	runqput_next(pp.get(), gp(1)); /* 0 goes to the tail */
	EXPECT_EQ(2u, runqlen(pp.get()));
	EXPECT_EQ(1, get(pp.get(), &inherit));
	EXPECT_TRUE(inherit);
	runqput_next(pp.get(), gp(2));
	runqput_next(pp.get(), gp(3));
	store_rlx_u32(&sched.sharing, 3); /* others come */
	EXPECT_EQ(-1, steal(true)) << "its owner does not know yet";
	runqput_next(pp.get(), gp(4));
	EXPECT_EQ(0, steal(true));
	EXPECT_EQ(2, steal(true));
	EXPECT_EQ(4, steal(true));
	EXPECT_EQ(-1, steal(true));
	EXPECT_FALSE(runqempty(pp.get()));
	EXPECT_EQ(3, get(pp.get(), &inherit));
	EXPECT_TRUE(inherit);
	EXPECT_TRUE(runqempty(pp.get()));
}

TEST_F(Runq, NewestOfManyThatHaveNotRunYetComesFirst)
{
	bool inherit;

	for (struct g &each : gs)
		each.fresh = true;
	put(0, RUNQ_SIZE / 2 + 2);
	EXPECT_EQ(RUNQ_SIZE / 2 + 1, get(pp.get(), &inherit));
	EXPECT_FALSE(inherit);
	EXPECT_EQ(0, get(pp.get(), &inherit, true)); /* unless the oldest is asked for */
	for (int i = 1; i <= RUNQ_SIZE / 2; i++)     /* half full: in their order again */
		EXPECT_EQ(i, get(pp.get()));
	EXPECT_EQ(-1, get(pp.get()));

	put(0, RUNQ_SIZE / 2 + 2);
	gp(RUNQ_SIZE / 2 + 1)->fresh = false; /* it has run before */
	EXPECT_EQ(0, get(pp.get()));
	EXPECT_EQ(1, get(pp.get()));
}

TEST_F(Runq, FullRingGivesHalfToTheGlobalQueueInOrder)
{
	std::vector<int> expected;

	put(0, RUNQ_SIZE);
	EXPECT_TRUE(global().empty());
	put(RUNQ_SIZE, RUNQ_SIZE + 1);
	for (int i = 0; i < RUNQ_SIZE / 2; i++)
		expected.push_back(i);
	expected.push_back(RUNQ_SIZE);
	EXPECT_EQ((uint32_t)expected.size(), load_rlx_u32(&sched.globq[0].size));
	EXPECT_EQ(expected, global());
	EXPECT_EQ((uint32_t)RUNQ_SIZE / 2, runqlen(pp.get()));
	for (int i = RUNQ_SIZE / 2; i < RUNQ_SIZE; i++)
		EXPECT_EQ(i, get(pp.get()));
	EXPECT_EQ(-1, get(pp.get()));
}

TEST_F(Runq, FormerNextOverflowsToo)
{
	runqput_next(pp.get(), gp(RUNQ_SIZE));
	put(0, RUNQ_SIZE);
	runqput_next(pp.get(), gp(RUNQ_SIZE + 1));
	std::vector<int> moved = global();
	ASSERT_EQ((size_t)RUNQ_SIZE / 2 + 1, moved.size());
	EXPECT_EQ(RUNQ_SIZE, moved.back());
	EXPECT_EQ(RUNQ_SIZE + 1, get(pp.get()));
	EXPECT_EQ(RUNQ_SIZE / 2, get(pp.get()));
}

TEST_F(Runq, EmptyMeansRingAndNext)
{
	EXPECT_TRUE(runqempty(pp.get()));
	runqput_next(pp.get(), gp(0));
	EXPECT_FALSE(runqempty(pp.get()));
	get(pp.get());
	EXPECT_TRUE(runqempty(pp.get()));
	put(0, 1);
	EXPECT_FALSE(runqempty(pp.get()));
	get(pp.get());
	EXPECT_TRUE(runqempty(pp.get()));
	EXPECT_EQ(0u, runqlen(pp.get()));
}

TEST_F(Runq, DrainTakesAllNextFirst)
{
	struct gqueue q = { nullptr, nullptr };

	put(0, 10);
	runqput_next(pp.get(), gp(10));
	runqdrain(pp.get(), &q);
	EXPECT_TRUE(runqempty(pp.get()));
	EXPECT_EQ(gp(10), gqueue_pop(&q));
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(gp(i), gqueue_pop(&q));
	EXPECT_TRUE(gqueue_empty(&q));
}

TEST_F(Runq, StealTakesTheOlderHalfRoundedUp)
{
	for (int n : { 1, 2, 3, 9, 10, 255, 256 }) {
		int half = n - n / 2;

		put(0, n);
		EXPECT_EQ(half - 1, steal(false)) << n; /* the last of them is to run */
		for (int i = 0; i < half - 1; i++)
			EXPECT_EQ(i, get(thief.get())) << n;
		EXPECT_EQ(-1, get(thief.get())) << n;
		for (int i = half; i < n; i++)
			EXPECT_EQ(i, get(pp.get())) << n;
		EXPECT_EQ(-1, get(pp.get())) << n;
	}
	EXPECT_EQ(-1, steal(true));
}

TEST_F(Runq, StealCountsWhatItTook)
{
	uint64_t before = load_rlx_u64(&thief->count.steals);

	put(0, 10);
	steal(false);
	EXPECT_EQ(before + 5, load_rlx_u64(&thief->count.steals));
}

TEST_F(Runq, NextIsSparedUnlessAskedFor)
{
	runqput_next(pp.get(), gp(0));
	EXPECT_EQ(-1, steal(false));
	put(1, 3);
	EXPECT_EQ(1, steal(true)); /* first the ring */
	EXPECT_EQ(2, steal(true));
	store_rlx_u32(&pp->status, Prunning);
	EXPECT_EQ(0, steal(true));
	EXPECT_TRUE(runqempty(pp.get()));
}
