/* SPDX-License-Identifier: MIT */
/* urge_gomaxprocs: who may call it, what it returns, and that calls at once are in some order. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <climits>
#include <map>
#include <mutex>
#include <thread>

extern "C" {
#include "kernelshim/fault.h"
#include "sched/allp.h"
}

TEST(Gomaxprocs, ReturnsTheFormerValueAndRefusesWhatIsTooLarge)
{
	EXPECT_EQ(0, run_main([] {
			  int first = urge_gomaxprocs(3);

			  EXPECT_GE(first, 1);
			  EXPECT_EQ(3, urge_gomaxprocs(0));
			  EXPECT_EQ(3, urge_gomaxprocs(-1));
			  EXPECT_EQ(3, urge_gomaxprocs(INT_MIN));
			  EXPECT_EQ(-EINVAL, urge_gomaxprocs(CONFIG_MAX_PROCS + 1));
			  EXPECT_EQ(-EINVAL, urge_gomaxprocs(INT_MAX));
			  EXPECT_EQ(3, urge_gomaxprocs(3));
			  EXPECT_EQ(3, urge_gomaxprocs(CONFIG_MAX_PROCS));
			  EXPECT_EQ(CONFIG_MAX_PROCS, urge_gomaxprocs(1));
			  EXPECT_EQ(1, urge_gomaxprocs(0));
			  return 0;
		  }));
}

/*
 * Each call puts in a value of its own and takes another one out: what was taken, and what is left
 * at the end, is what was put in and what was there first, each as often.
 */
TEST(Gomaxprocs, CallsAtOnceAreInSomeOrder)
{
	const int callers = 6, rounds = 300;
	std::map<int, int> balance;
	std::mutex lock;

	EXPECT_EQ(0, run_main([&] {
			  urge_waitgroup wg = {};
			  std::vector<std::thread> threads;
			  auto call = [&](int caller) {
				  for (int i = 0; i < rounds; i++) {
					  int put = 1 + (caller + i * callers) % 61;
					  int taken = urge_gomaxprocs(put);

					  std::lock_guard<std::mutex> locked(lock);
					  balance[put]++;
					  balance[taken]--;
				  }
				  urge_waitgroup_done(&wg);
			  };

			  balance[urge_gomaxprocs(0)]++;
			  urge_waitgroup_add(&wg, callers);
			  for (int i = 0; i < callers / 2; i++)
				  EXPECT_EQ(0, go([&, i] { call(i); }));
			  for (int i = callers / 2; i < callers; i++)
				  threads.emplace_back(call, i);
			  urge_waitgroup_wait(&wg);
			  for (std::thread &thread : threads)
				  thread.join();
			  balance[urge_gomaxprocs(0)]--;
			  return 0;
		  }));
	for (auto &entry : balance)
		EXPECT_EQ(0, entry.second) << entry.first;
}

TEST(Gomaxprocs, SnapshotsThatWereReplacedAreFreed)
{
	for (int round = 0; round < 3; round++) {
		EXPECT_EQ(0, run_main([] {
				  for (int i = 0; i < 200; i++) {
					  urge_gomaxprocs(i % 64 + 1);
					  if (i % 10 == 0)
						  urge_yield();
				  }
				  EXPECT_TRUE(eventually([] { return procs_alive() == 1; }))
					  << procs_alive();
				  return 0;
			  }));
		EXPECT_EQ(0u, procs_alive());
	}
}

/* After a large GOMAXPROCS, looks at all Ps are short again. */
TEST(Gomaxprocs, DeadPsLeaveTheSnapshot)
{
	EXPECT_EQ(0, run_main([] {
			  urge_waitgroup wg = {};

			  urge_gomaxprocs(16);
			  urge_waitgroup_add(&wg, 64);
			  for (int i = 0; i < 64; i++)
				  EXPECT_EQ(0, go([&] {
						    for (int turn = 0; turn < 200; turn++)
							    urge_yield();
						    urge_sleep(URGE_MS);
						    urge_waitgroup_done(&wg);
					    }));
			  urge_yield();
			  EXPECT_EQ(16, urge_gomaxprocs(2));
			  urge_waitgroup_wait(&wg);
			  EXPECT_TRUE(eventually([] {
				  uint32_t count = procs_begin()->count;

				  procs_end();
				  return count == 2;
			  }));
			  return 0;
		  }));
}

/* A process that has had a world, and forks between two of them. */
TEST(Gomaxprocs, AForkedChildResizesOnItsOwn)
{
	auto world = [](int n) {
		return run_main([n] {
			for (int i = 0; i < 100; i++)
				EXPECT_GE(urge_gomaxprocs(i % 2 ? 1 : n), 1);
			EXPECT_TRUE(eventually([] { return procs_alive() == 1; }));
			return 0;
		});
	};

	EXPECT_EQ(0, world(8));
	Outcome outcome = in_child([&] {
		EXPECT_EQ(0, world(32));
		EXPECT_EQ(0, world(2));
	});
	EXPECT_EXITED(0, outcome);
	EXPECT_EQ(0, world(4));
}

static void expect_snapshots_end()
{
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, run_main([] {
				  for (int n = 1; n <= 20; n++)
					  EXPECT_LE(1, urge_gomaxprocs(n % 7 + 1));
				  return 0;
			  }));
		EXPECT_EQ(0u, procs_alive());
	}
}

TEST(Gomaxprocs, SnapshotsEndWithTheirWorld)
{
	EXPECT_EXITED(0, in_child(expect_snapshots_end));
}

/* Where grace periods can't be waited for: in the child of a thread that forked in a world. */
TEST(Gomaxprocs, SnapshotsEndWithTheWorldThatForked)
{
	if (IS_ENABLED(CONFIG_TSAN))
		GTEST_SKIP() << "ThreadSanitizer counts the parent's threads in the child";
	EXPECT_EQ(0, run_main([] {
			  std::atomic<bool> done{ false };
			  std::thread forks([&] {
				  EXPECT_EXITED(0, in_child(expect_snapshots_end));
				  done = true;
			  });

			  EXPECT_TRUE(eventually([&] { return done.load(); }));
			  forks.join();
			  return 0;
		  }));
}

TEST(Gomaxprocs, WithoutMemoryNothingChanges)
{
	if (!IS_ENABLED(CONFIG_FAULT_INJECTION))
		GTEST_SKIP() << "built without CONFIG_FAULT_INJECTION";
	Outcome outcome = in_child([] {
		setenv("GOMAXPROCS", "2",
		       1); /* no change yet: no snapshot that can be used again */
		EXPECT_EQ(0, run_main([] {
				  for (int n :
				       { 4, CONFIG_MAX_PROCS, 1 }) { /* a P, or the snapshot */
					  fault_arm(FAULT_MAP, 0, 1);
					  EXPECT_EQ(-ENOMEM, urge_gomaxprocs(n));
					  EXPECT_EQ(2, urge_gomaxprocs(0));
				  }
				  EXPECT_EQ(2, urge_gomaxprocs(4));
				  EXPECT_EQ(4, urge_gomaxprocs(1));
				  EXPECT_TRUE(eventually([] { return procs_alive() == 1; }));
				  return 0;
			  }));
	});
	EXPECT_EXITED(0, outcome);
}
