/* SPDX-License-Identifier: MIT */
/*
 * The mutex: what it promises to goroutines, to threads of the program's own, and to who may not
 * wait.
 */
#include "tests/unit/crowd.h"

TEST(Mutex, ExcludesEachOther)
{
	at_each_gomaxprocs([] {
		urge_mutex m = {};
		int inside = 0, total = 0;

		{
			Crowd crowd;

			for (int i = 0; i < 10; i++)
				crowd.start([&] {
					for (int n = 0; n < 1000; n++) {
						urge_mutex_lock(&m);
						EXPECT_EQ(0, inside++);
						if (n % 16 == 0)
							urge_yield();
						total++;
						inside--;
						urge_mutex_unlock(&m);
					}
				});
		}
		EXPECT_EQ(10 * 1000, total);
		EXPECT_TRUE(urge_mutex_trylock(&m));
	});
}

TEST(Mutex, TryTakesItOnlyIfItIsFree)
{
	urge_mutex m = {};

	EXPECT_TRUE(urge_mutex_trylock(&m));
	EXPECT_FALSE(urge_mutex_trylock(&m));
	urge_mutex_unlock(&m);
	EXPECT_TRUE(urge_mutex_trylock(&m));
	urge_mutex_unlock(&m);
}

TEST(Mutex, DeadlinesPass)
{
	in_world([] {
		urge_mutex m = {};
		int64_t deadline;

		EXPECT_EQ(0, urge_mutex_lock_until(&m, 0));
		EXPECT_EQ(-EAGAIN, urge_mutex_lock_until(&m, 0));
		EXPECT_EQ(-ETIMEDOUT, urge_mutex_lock_until(&m, urge_now() - 1));
		EXPECT_EQ(-ETIMEDOUT, urge_mutex_lock_until(&m, deadline = soon()));
		EXPECT_LE(deadline, urge_now());
		urge_mutex_unlock(&m);
		EXPECT_EQ(0, urge_mutex_lock_until(&m, 1)); /* past, but it need not wait */
		urge_mutex_unlock(&m);
	});
}

TEST(Mutex, WhoGivesUpHoldsNobodyElseUp)
{
	at_each_gomaxprocs([] {
		urge_mutex m = {};
		std::atomic<int> got{ 0 }, gave_up{ 0 };
		Crowd crowd;

		urge_mutex_lock(&m);
		for (int i = 0; i < 10; i++) {
			crowd.start([&] {
				EXPECT_EQ(-ETIMEDOUT, urge_mutex_lock_until(&m, soon()));
				gave_up++;
			});
			crowd.start([&] {
				urge_mutex_lock(&m);
				got++;
				urge_mutex_unlock(&m);
			});
		}
		EXPECT_TRUE(eventually([&] { return gave_up == 10; }));
		EXPECT_EQ(0, got);
		urge_mutex_unlock(&m);
		EXPECT_TRUE(eventually([&] { return got == 10; }));
	});
}

/* One that hardly ever lets go, and one that asks now and then: Go's test of starvation. */
TEST(Mutex, WhoHoldsItMostOfTheTimeDoesNotStarveOthers)
{
	at_each_gomaxprocs([] {
		urge_mutex m = {};
		std::atomic<bool> stop{ false };
		Crowd crowd;
		int64_t start = urge_now();

		crowd.start([&] {
			while (!stop) {
				urge_mutex_lock(&m);
				urge_sleep(100 * URGE_US);
				urge_mutex_unlock(&m);
			}
		});
		for (int i = 0; i < 10; i++) {
			urge_sleep(100 * URGE_US);
			urge_mutex_lock(&m);
			urge_mutex_unlock(&m);
		}
		stop = true;
		EXPECT_GT(10 * URGE_S, urge_now() - start);
	});
}

/* Those that have waited for more than 1 ms get it in the order in which they came. */
TEST(Mutex, StarvingOnesGetItInOrder)
{
	in_world([] {
		urge_mutex m = {};
		std::vector<int> order;

		urge_gomaxprocs(1);
		urge_mutex_lock(&m);
		{
			Crowd crowd;

			for (int i = 0; i < 8; i++) {
				crowd.start([&, i] {
					urge_mutex_lock(&m);
					order.push_back(i);
					urge_sleep(2 * URGE_MS);
					urge_mutex_unlock(&m);
				});
				urge_yield(); /* so that it waits before the next one */
			}
			urge_sleep(2 * URGE_MS);
			urge_mutex_unlock(&m);
		}
		EXPECT_EQ((std::vector<int>{ 0, 1, 2, 3, 4, 5, 6, 7 }), order);
	});
}

TEST(Mutex, ThreadsAndGoroutinesShareIt)
{
	in_world([] {
		urge_mutex m = {};
		int total = 0;
		std::vector<std::thread> threads;

		for (int i = 0; i < 3; i++)
			threads.emplace_back([&] {
				for (int n = 0; n < 2000; n++) {
					urge_mutex_lock(&m);
					total++;
					urge_mutex_unlock(&m);
				}
			});
		{
			Crowd crowd;

			for (int i = 0; i < 3; i++)
				crowd.start([&] {
					for (int n = 0; n < 2000; n++) {
						urge_mutex_lock(&m);
						total++;
						urge_mutex_unlock(&m);
					}
				});
		}
		for (std::thread &thread : threads)
			thread.join();
		EXPECT_EQ(6 * 2000, total);
	});
}

/* A thread takes its turn in the queue. */
TEST(Mutex, AThreadIsHandedItInItsTurn)
{
	in_world([] {
		urge_mutex m = {};
		std::string order;
		std::atomic<int> waiting{ 0 };
		Crowd crowd;

		urge_mutex_lock(&m);
		crowd.start([&] {
			urge_mutex_lock(&m);
			order += 'g';
			urge_sleep(2 * URGE_MS);
			urge_mutex_unlock(&m);
		});
		urge_sleep(2 * URGE_MS);
		std::thread thread([&] {
			waiting++;
			urge_mutex_lock(&m);
			order += 't';
			urge_mutex_unlock(&m);
		});
		EXPECT_TRUE(eventually([&] { return waiting == 1; }));
		urge_sleep(20 * URGE_MS);
		crowd.start([&] {
			urge_mutex_lock(&m);
			order += 'h';
			urge_mutex_unlock(&m);
		});
		urge_sleep(2 * URGE_MS);
		urge_mutex_unlock(&m);
		crowd.join();
		thread.join();
		EXPECT_EQ("gth", order);
	});
}

TEST(Mutex, MisuseIsFatal)
{
	expect_fatal("sync: unlock of unlocked mutex", [] {
		urge_mutex m = {};

		urge_mutex_unlock(&m);
	});
	expect_fatal("sync: unlock of unlocked mutex", [] {
		urge_mutex m = {};

		urge_mutex_lock(&m);
		urge_mutex_unlock(&m);
		urge_mutex_unlock(&m);
	});
}

/* The last one that has had it may free its memory while the one before is still in its unlock. */
TEST(Mutex, ItMayBeFreedByTheNextOwner)
{
	struct Shared {
		urge_mutex m = {};
		int users = 4;
	};

	at_each_gomaxprocs([] {
		for (int round = 0; round < 500; round++) {
			Shared *shared = new Shared;
			Crowd crowd;

			for (int i = 0; i < 4; i++)
				crowd.start([shared] {
					urge_mutex_lock(&shared->m);
					bool last = --shared->users == 0;

					urge_mutex_unlock(&shared->m);
					if (last)
						delete shared;
				});
		}
	});
}
