/* SPDX-License-Identifier: MIT */
/*
 * The rwmutex: what it promises to goroutines, to threads of the program's own, and to who may not
 * wait.
 */
#include "tests/unit/crowd.h"

TEST(RWMutex, ReadersShareAndWritersDoNot)
{
	at_each_gomaxprocs([] {
		urge_rwmutex rw = {};
		std::atomic<int> activity{ 0 };
		Crowd crowd;

		for (int i = 0; i < 3; i++)
			crowd.start([&] {
				for (int n = 0; n < 500; n++) {
					urge_rwmutex_lock(&rw);
					EXPECT_EQ(0, activity.fetch_add(10000));
					if (n % 8 == 0)
						urge_yield();
					activity -= 10000;
					urge_rwmutex_unlock(&rw);
				}
			});
		for (int i = 0; i < 8; i++)
			crowd.start([&] {
				for (int n = 0; n < 500; n++) {
					urge_rwmutex_rlock(&rw);
					EXPECT_GT(10000, activity.fetch_add(1));
					if (n % 8 == 0)
						urge_yield();
					activity--;
					urge_rwmutex_runlock(&rw);
				}
			});
	});
}

TEST(RWMutex, AWriterThatWaitsKeepsNewReadersOut)
{
	in_world([] {
		urge_rwmutex rw = {};
		std::string order;
		Crowd crowd;

		urge_gomaxprocs(1);
		urge_rwmutex_rlock(&rw);
		crowd.start([&] {
			urge_rwmutex_lock(&rw);
			order += 'w';
			urge_rwmutex_unlock(&rw);
		});
		urge_yield();
		EXPECT_FALSE(urge_rwmutex_tryrlock(&rw));
		EXPECT_EQ(-ETIMEDOUT, urge_rwmutex_rlock_until(&rw, soon()));
		crowd.start([&] {
			urge_rwmutex_rlock(&rw);
			order += 'r';
			urge_rwmutex_runlock(&rw);
		});
		urge_yield();
		EXPECT_EQ("", order);
		urge_rwmutex_runlock(&rw);
		crowd.join();
		EXPECT_EQ("wr", order);
	});
}

TEST(RWMutex, ReadersThatWaitComeBeforeTheNextWriter)
{
	in_world([] {
		urge_rwmutex rw = {};
		std::string order;
		Crowd crowd;

		urge_gomaxprocs(1);
		urge_rwmutex_lock(&rw);
		crowd.start([&] {
			urge_rwmutex_lock(&rw);
			order += 'w';
			urge_rwmutex_unlock(&rw);
		});
		urge_yield();
		for (int i = 0; i < 3; i++)
			crowd.start([&] {
				urge_rwmutex_rlock(&rw);
				order += 'r';
				urge_rwmutex_runlock(&rw);
			});
		urge_yield();
		urge_rwmutex_unlock(&rw);
		crowd.join();
		EXPECT_EQ("rrrw", order);
	});
}

TEST(RWMutex, AWriterThatGivesUpLetsReadersIn)
{
	in_world([] {
		urge_rwmutex rw = {};
		std::atomic<bool> in{ false };
		Crowd crowd;

		urge_rwmutex_rlock(&rw);
		crowd.start([&] {
			EXPECT_EQ(-ETIMEDOUT, urge_rwmutex_lock_until(&rw, soon(50 * URGE_MS)));
		});
		EXPECT_TRUE(eventually([&] {
			bool free = urge_rwmutex_tryrlock(&rw);

			if (free)
				urge_rwmutex_runlock(&rw);
			return !free;
		}));
		crowd.start([&] {
			urge_rwmutex_rlock(&rw);
			in = true;
			urge_rwmutex_runlock(&rw);
		});
		EXPECT_TRUE(eventually([&] { return in.load(); }));
		urge_rwmutex_runlock(&rw);
		EXPECT_EQ(0, urge_rwmutex_lock_until(&rw, soon()));
		EXPECT_EQ(-EAGAIN, urge_rwmutex_rlock_until(&rw, 0));
		EXPECT_EQ(-EAGAIN, urge_rwmutex_lock_until(&rw, 0));
		EXPECT_FALSE(urge_rwmutex_trylock(&rw));
		urge_rwmutex_unlock(&rw);
		EXPECT_TRUE(urge_rwmutex_trylock(&rw));
		urge_rwmutex_unlock(&rw);
	});
}

TEST(RWMutex, MisuseIsFatal)
{
	expect_fatal("sync: RUnlock of unlocked RWMutex", [] {
		urge_rwmutex rw = {};

		urge_rwmutex_runlock(&rw);
	});
	expect_fatal("sync: RUnlock of unlocked RWMutex", [] {
		urge_rwmutex rw = {};

		urge_rwmutex_lock(&rw);
		urge_rwmutex_runlock(&rw);
	});
	expect_fatal("sync: Unlock of unlocked RWMutex", [] {
		urge_rwmutex rw = {};

		urge_rwmutex_unlock(&rw);
	});
	expect_fatal("sync: Unlock of unlocked RWMutex", [] {
		urge_rwmutex rw = {};

		urge_rwmutex_rlock(&rw);
		urge_rwmutex_unlock(&rw);
	});
}
