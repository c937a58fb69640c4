/* SPDX-License-Identifier: MIT */
/* Hogs: who uses up whole slices gives way to who has just been woken, and still gets a share. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <memory>

/* So that counting loops are not optimised, and hold no thread-local address. */
static std::atomic<uint64_t> turns[4];
static std::atomic<bool> stop;

static void loop(void *arg)
{
	std::atomic<uint64_t> &n = turns[(uintptr_t)arg];

	while (!stop.load(std::memory_order_relaxed))
		n.store(n.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

static void start_loops(unsigned n)
{
	stop = false;
	for (uintptr_t i = 0; i < n; i++)
		EXPECT_EQ(0, urge_go(loop, (void *)i));
}

static bool preemptible()
{
	return !IS_ENABLED(CONFIG_TSAN);
}

TEST(Hog, SleeperDoesNotWaitForEndsOfSlices)
{
	if (!preemptible())
		GTEST_SKIP() << "TSan: goroutines are preempted at calls only";
	EXPECT_EQ(0, run_main([] {
			  int64_t start;

			  urge_gomaxprocs(2);
			  urge_set_time_slice(200 * URGE_MS);
			  start_loops(4);
			  urge_sleep(1000 * URGE_MS); /* all loops have used up slices */
			  start = urge_now();
			  for (int i = 0; i < 100; i++)
				  urge_sleep(URGE_MS);
			  /* by slices each of them takes 200 ms at least: 20 s */
			  EXPECT_LT(urge_now() - start, 15 * URGE_S);
			  stop = true;
			  urge_set_time_slice(10 * URGE_MS);
			  return 0;
		  }));
}

TEST(Hog, GetsAShareThoughOthersNeverRest)
{
	if (!preemptible())
		GTEST_SKIP() << "TSan: goroutines are preempted at calls only";
	EXPECT_EQ(0, run_main([] {
			  urge_gomaxprocs(1);
			  start_loops(1);
			  for (int i = 0; i < 2; i++)
				  go([] {
					  while (!stop)
						  urge_yield(); /* always one of the two waits */
				  });
			  urge_sleep(50 * URGE_MS);
			  for (int i = 0; i < 5; i++) {
				  uint64_t before = turns[0];

				  EXPECT_TRUE(eventually([&] { return turns[0] > before + 1000; }));
			  }
			  stop = true;
			  return 0;
		  }));
}

TEST(Hog, RunsAtOnceWhenTheOnlyOtherOneYields)
{
	if (!preemptible())
		GTEST_SKIP() << "TSan: goroutines are preempted at calls only";
	EXPECT_EQ(0, run_main([] {
			  uint64_t yields = 0, before;

			  urge_gomaxprocs(1);
			  start_loops(1);
			  urge_sleep(50 * URGE_MS); /* it is a hog now */
			  before = turns[0];
			  while (turns[0] < before + 50000000) {
				  urge_yield();
				  yields++;
			  }
			  /* it had whole slices in between, not one for each 9 ms of yields */
			  EXPECT_LT(yields, 5000u);
			  stop = true;
			  return 0;
		  }));
}

/* Parked in the handler when others had waited for long: it is their turn, however late it was. */
TEST(Hog, WhoWasStoppedLateHadItsTurn)
{
	auto pp = std::make_unique<struct p>();
	auto gp = std::make_unique<struct g>();
	int64_t now;

	hog_put(pp.get(), gp.get());
	now = pp->hogwhen;
	EXPECT_EQ(gp.get(), hog_due(pp.get(), now + 10 * URGE_MS)) << "nobody ran here since";
	hog_put(pp.get(), gp.get());
	pp->hogwhen = HOG_STOPPED;
	now += 100 * URGE_MS;
	EXPECT_EQ(nullptr, hog_due(pp.get(), now));
	EXPECT_EQ(nullptr, hog_due(pp.get(), now + 8 * URGE_MS));
	EXPECT_EQ(gp.get(), hog_due(pp.get(), now + 10 * URGE_MS));
}
