/* SPDX-License-Identifier: MIT */
/* Circles of goroutines that wait for each other's mutexes are told while others run, if true, once. */
#include "tests/unit/child.h"
#include <atomic>
#include <thread>

static const char *const told = "urge: deadlock: goroutines wait for each other's mutexes\n";

/*
 * Goroutine i of n locks mutex i, and when all have done so, mutex i + 1: from there on they wait
 * for each other, and for ever. A ticker runs on beside them, and the process ends in good order.
 */
static Outcome circle(int n, const std::function<void(urge_mutex *, int)> &lock_next)
{
	return in_child([&] {
		std::vector<urge_mutex> mutexes((size_t)n);
		std::atomic<int> locked{ 0 }, through{ 0 };

		EXPECT_EQ(0, run_main([&] {
				  int ticks = 0;

				  urge_gomaxprocs(4);
				  for (int i = 0; i < n; i++) {
					  std::string name = "member" + std::to_string(i);
					  struct urge_attr attr = URGE_ATTR_INIT;

					  attr.name = name.c_str();
					  EXPECT_EQ(0,
						    go(
							    [&, i] {
								    urge_mutex_lock(&mutexes[i]);
								    locked++;
								    while (locked < n)
									    urge_yield();
								    lock_next(&mutexes[(i + 1) % n],
									      i);
								    through++;
							    },
							    &attr));
				  }
				  for (int64_t end = urge_now() + 300 * URGE_MS; urge_now() < end;
				       ticks++)
					  urge_sleep(URGE_MS);
				  printf("%d ticks, %d through\n", ticks > 0, through.load());
				  fflush(stdout);
				  return 0;
			  }));
	});
}

static void lock(urge_mutex *m, int)
{
	urge_mutex_lock(m);
}

TEST(LockCycle, TwoAreToldOnceAndOthersGoOn)
{
	for (int round = 0; round < 5; round++) {
		Outcome both = circle(2, lock);

		EXPECT_EXITED(0, both);
		EXPECT_EQ("1 ticks, 0 through\n", both.out);
		EXPECT_EQ(1, occurrences(both.err, told)) << both;
		for (const char *member : { "member0", "member1" })
			EXPECT_TRUE(found(both.err,
					  std::string("\ngoroutine [0-9]+ \\[sync.Mutex.Lock\\] ") +
						  member + ":\n"))
				<< both;
		EXPECT_EQ(2, occurrences(both.err, "\ncreated by ")) << both;
		EXPECT_EQ(2, occurrences(both.err, " waits for the mutex at 0x")) << both;
		EXPECT_EQ(2, occurrences(both.err, ", which goroutine ")) << both;
		EXPECT_SAYS("urge_mutex_lock(...)\n", both.err);
	}
}

TEST(LockCycle, ManyAreToldAsOne)
{
	Outcome many = circle(17, lock);

	EXPECT_EXITED(0, many);
	EXPECT_EQ(1, occurrences(many.err, told)) << many;
	EXPECT_EQ(17, occurrences(many.err, " waits for the mutex at 0x")) << many;
}

TEST(LockCycle, OneThatLocksTwiceWaitsForItself)
{
	Outcome one = circle(1, lock);

	EXPECT_EXITED(0, one);
	EXPECT_EQ(1, occurrences(one.err, told)) << one;
	EXPECT_EQ(1, occurrences(one.err, " waits for the mutex at 0x")) << one;
}

TEST(LockCycle, AWaitWithADeadlineIsNoneOfThem)
{
	Outcome none = circle(3, [](urge_mutex *m, int i) {
		if (i == 0)
			EXPECT_EQ(-ETIMEDOUT, urge_mutex_lock_until(m, urge_now() + 100 * URGE_MS));
		else
			urge_mutex_lock(m);
	});

	EXPECT_EXITED(0, none);
	EXPECT_EQ("", none.err);
}

TEST(LockCycle, ReadersAndWritersOfAnRWMutexBelongToIt)
{
	Outcome told_once = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  urge_rwmutex rw = {};
				  urge_mutex m = {};
				  std::atomic<int> locked{ 0 };

				  go([&] {
					  urge_rwmutex_lock(&rw);
					  locked++;
					  while (locked < 2)
						  urge_yield();
					  urge_mutex_lock(&m);
				  });
				  go([&] {
					  urge_mutex_lock(&m);
					  locked++;
					  while (locked < 2)
						  urge_yield();
					  urge_rwmutex_rlock(&rw);
				  });
				  urge_sleep(200 * URGE_MS);
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, told_once);
	EXPECT_EQ(1, occurrences(told_once.err, told)) << told_once;
	EXPECT_SAYS("[sync.RWMutex.RLock]", told_once.err);
}

/* Chains without a circle, at full speed, by many: nothing is told, whatever is looked at in vain. */
TEST(LockCycle, NobodyIsAccusedWithoutReason)
{
	Outcome clean = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  urge_mutex mutexes[4] = {};
				  urge_waitgroup wg = {};
				  int64_t end = urge_now() + URGE_S;

				  urge_gomaxprocs(4);
				  urge_waitgroup_add(&wg, 16);
				  for (unsigned i = 0; i < 16; i++)
					  go([&, i] {
						  for (unsigned n = i; urge_now() < end; n++) {
							  unsigned a = n % 4, b = n / 4 % 4;

							  if (a > b)
								  std::swap(a, b);
							  urge_mutex_lock(&mutexes[a]);
							  if (a != b)
								  urge_mutex_lock(&mutexes[b]);
							  if (n % 8 == 0)
								  urge_yield();
							  if (a != b)
								  urge_mutex_unlock(&mutexes[b]);
							  urge_mutex_unlock(&mutexes[a]);
						  }
						  urge_waitgroup_done(&wg);
					  });
				  urge_waitgroup_wait(&wg);
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, clean);
	EXPECT_EQ("", clean.err);
}

/* ---- nobody runs --------------------------------------------------------------------------- */

static Outcome all_asleep(const std::function<void()> &body)
{
	return in_child([&] {
		run_main([&] {
			body();
			return 0;
		});
	});
}

TEST(LockCycle, TheVerdictNamesWhatEachOneWaitsFor)
{
	SKIP_WHERE_OTHERS_MIGHT_WAKE();
	Outcome dead = all_asleep([] {
		static urge_mutex m;
		static urge_rwmutex read, write;
		static urge_cond cond;
		static urge_mutex for_cond;
		static urge_sem sem;

		urge_rwmutex_lock(&read);
		urge_rwmutex_rlock(&write);
		urge_mutex_lock(&m);
		go([] { urge_rwmutex_rlock(&read); });
		go([] { urge_rwmutex_lock(&write); });
		go([] {
			urge_mutex_lock(&for_cond);
			urge_cond_wait(&cond, &for_cond);
		});
		go([] { urge_sem_acquire(&sem); });
		urge_mutex_lock(&m);
	});

	EXPECT_EXITED(2, dead);
	EXPECT_SAYS("fatal error: all goroutines are asleep - deadlock!\n", dead.err);
	for (const char *reason : { "sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock",
				    "sync.Cond.Wait", "semacquire" })
		EXPECT_SAYS(std::string("[") + reason, dead.err);
}

/* A thread that waits in our queue can wake nobody. */
TEST(LockCycle, AThreadThatWaitsForALockDoesNotPutTheVerdictOff)
{
	SKIP_WHERE_OTHERS_MIGHT_WAKE();
	Outcome dead = all_asleep([] {
		static urge_mutex m;
		std::thread thread([] { urge_mutex_lock(&m); });

		thread.detach();
		urge_mutex_lock(&m);
		urge_mutex_lock(&m);
	});

	EXPECT_EXITED(2, dead);
	EXPECT_SAYS("fatal error: all goroutines are asleep - deadlock!\n", dead.err);
}
