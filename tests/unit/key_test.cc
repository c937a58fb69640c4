/* SPDX-License-Identifier: MIT */
/* Goroutine-local storage: values follow their goroutine, and are destroyed with it. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <thread>

static std::atomic<int> destroyed;

static void count_destroyed(void *value)
{
	destroyed += *(int *)value;
}

static urge_key new_key(void (*dtor)(void *))
{
	urge_key key = URGE_KEYS_MAX;

	EXPECT_EQ(0, urge_key_create(&key, dtor));
	EXPECT_LT(key, (urge_key)URGE_KEYS_MAX);
	return key;
}

TEST(Key, ValueFollowsItsGoroutineAcrossThreads)
{
	static urge_key key = new_key(nullptr), other = new_key(nullptr);

	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> done{ 0 }, wrong{ 0 };

			  urge_gomaxprocs(4);
			  urge_set_time_slice(50 * URGE_US);
			  for (intptr_t i = 1; i <= 100; i++)
				  EXPECT_EQ(0, go([&, i] {
						    wrong += urge_getspecific(key) != nullptr;
						    wrong += urge_setspecific(key, (void *)i) != 0;
						    for (int n = 0; n < 100; n++) {
							    urge_yield();
							    wrong += urge_getspecific(key) !=
								     (void *)i;
							    wrong += urge_getspecific(other) !=
								     nullptr;
						    }
						    done++;
					    }));
			  EXPECT_TRUE(eventually([&] { return done == 100; }));
			  EXPECT_EQ(0, wrong);
			  return 0;
		  }));
}

TEST(Key, DestructorRunsAtReturnAndAtGoexit)
{
	static urge_key key = new_key(count_destroyed);
	static int one = 1, ten = 10, hundred = 100;

	destroyed = 0;
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(0, urge_setspecific(key, &hundred));
			  EXPECT_EQ(0, go([] { EXPECT_EQ(0, urge_setspecific(key, &one)); }));
			  EXPECT_EQ(0, go([] {
					    EXPECT_EQ(0, urge_setspecific(key, &ten));
					    urge_goexit();
				    }));
			  EXPECT_EQ(0, go([] { /* NULL is no value */
					       EXPECT_EQ(0, urge_setspecific(key, &ten));
					       EXPECT_EQ(0, urge_setspecific(key, nullptr));
				    }));
			  EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
			  EXPECT_EQ(11, destroyed);
			  return 0;
		  }));
	EXPECT_EQ(111, destroyed) << "goroutine 1's value";
}

static urge_key again;

static void set_again(void *value)
{
	destroyed++;
	urge_yield(); /* a destructor may block */
	EXPECT_EQ(0, urge_setspecific(again, value));
}

TEST(Key, DestructorThatSetsAValueIsRunAgainForSomeRounds)
{
	static int value;

	again = new_key(set_again);
	destroyed = 0;
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(0, go([] { EXPECT_EQ(0, urge_setspecific(again, &value)); }));
			  EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
			  return 0;
		  }));
	EXPECT_GE(destroyed, 4);
	EXPECT_LE(destroyed, 4 * URGE_KEYS_MAX);
}

TEST(Key, NextGoroutineOnTheSameStackStartsEmpty)
{
	static urge_key key = new_key(nullptr);

	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> stale{ 0 };

			  urge_gomaxprocs(1);
			  for (int i = 0; i < 1000; i++) {
				  EXPECT_EQ(0, go([&] {
						    stale += urge_getspecific(key) != nullptr;
						    urge_setspecific(key, &stale);
					    }));
				  urge_yield();
			  }
			  EXPECT_EQ(0, stale);
			  return 0;
		  }));
}

TEST(Key, MisuseIsAnError)
{
	static urge_key key = new_key(nullptr);
	int value = 0;

	EXPECT_EQ(-EINVAL, urge_key_create(nullptr, nullptr));
	EXPECT_EQ(-EPERM, urge_setspecific(key, &value)) << "on a thread";
	EXPECT_EQ(nullptr, urge_getspecific(key));
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(-EINVAL, urge_setspecific(URGE_KEYS_MAX - 1, &key));
			  EXPECT_EQ(-EINVAL, urge_setspecific(UINT32_MAX, &key));
			  EXPECT_EQ(nullptr, urge_getspecific(UINT32_MAX));
			  return 0;
		  }));
}

/* In a child, since none is ever given back. */
TEST(Key, ThereAreOnlySoMany)
{
	EXPECT_EXITED(0, in_child([] {
			      std::atomic<int> made{ 0 };
			      std::thread threads[4];

			      for (auto &thread : threads)
				      thread = std::thread([&] {
					      urge_key key;

					      while (urge_key_create(&key, nullptr) == 0)
						      made++;
				      });
			      for (auto &thread : threads)
				      thread.join();
			      EXPECT_GT(made, 0);
			      EXPECT_LE(made, URGE_KEYS_MAX);
		      }));
}
