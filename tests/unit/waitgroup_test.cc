/* SPDX-License-Identifier: MIT */
/* WaitGroup and group: who waits for others to end. */
#include "kernelshim/compiler.h"
#include "tests/unit/crowd.h"
#include <climits>

/* ---- waitgroup ----------------------------------------------------------------------------- */

TEST(WaitGroup, DeadlinesPassAndOthersWaitOn)
{
	at_each_gomaxprocs([] {
		urge_waitgroup wg = {};
		std::atomic<int> through{ 0 };
		Crowd crowd;

		EXPECT_EQ(0, urge_waitgroup_wait_until(&wg, 0));
		urge_waitgroup_add(&wg, 1);
		EXPECT_EQ(-EAGAIN, urge_waitgroup_wait_until(&wg, 0));
		EXPECT_EQ(-ETIMEDOUT, urge_waitgroup_wait_until(&wg, urge_now() - 1));
		for (int i = 0; i < 10; i++) {
			crowd.start([&] {
				EXPECT_EQ(-ETIMEDOUT, urge_waitgroup_wait_until(&wg, soon()));
			});
			crowd.start([&] {
				urge_waitgroup_wait(&wg);
				through++;
			});
			crowd.start([&] {
				EXPECT_EQ(0, urge_waitgroup_wait_until(&wg, soon(30 * URGE_S)));
				through++;
			});
		}
		EXPECT_EQ(-ETIMEDOUT, urge_waitgroup_wait_until(&wg, soon(100 * URGE_MS)));
		EXPECT_EQ(0, through);
		urge_waitgroup_done(&wg);
		EXPECT_TRUE(eventually([&] { return through == 20; }));
		std::thread([&] {
			EXPECT_EQ(-EPERM, urge_waitgroup_wait_until(&wg, soon()));
		}).join();
	});
}

/* Deadlines that pass about when the counter becomes zero. */
TEST(WaitGroup, ADeadlineAndTheLastDoneRace)
{
	at_each_gomaxprocs([] {
		for (int round = 0; round < 300; round++) {
			urge_waitgroup wg = {};
			Crowd crowd;

			urge_waitgroup_add(&wg, 1);
			for (int i = 0; i < 4; i++)
				crowd.start([&, i] {
					int err = urge_waitgroup_wait_until(
						&wg, soon((50 + i * 10) * URGE_US));

					EXPECT_TRUE(err == 0 || err == -ETIMEDOUT) << err;
				});
			urge_sleep(50 * URGE_US);
			urge_waitgroup_done(&wg);
		}
	});
}

/* A deadline passes while the last one counts down: who has given up may begin the next round at once. */
TEST(WaitGroup, AWaitThatWasGivenUpIsNotInTheNextRoundsWay)
{
	Outcome outcome = in_child([] {
		in_world([] {
			std::atomic<int> begun{ 0 };
			std::atomic<bool> stop{ false };
			urge_waitgroup wg = {};
			int64_t end = soon(500 * URGE_MS);

			urge_gomaxprocs(1);
			std::thread last([&] {
				for (unsigned round = 1; !stop; round++) {
					while (begun != (int)round && !stop)
						cpu_relax();
					for (unsigned i = 0; i < round % 512; i++)
						cpu_relax();
					if (!stop)
						urge_waitgroup_done(&wg);
				}
			});
			while (urge_now() < end) {
				urge_waitgroup_add(&wg, 1);
				begun++;
				while (urge_waitgroup_wait_until(&wg, 1) == -ETIMEDOUT) {
					urge_waitgroup_add(&wg, 1);
					urge_waitgroup_done(&wg);
				}
			}
			stop = true;
			last.join();
		});
	});

	EXPECT_EXITED(0, outcome);
}

/*
 * A goroutine whose P was taken during a call that it did not declare counts down as soon as it is
 * back. It has to get a P first: until then nobody may depend on it who has the only one.
 */
TEST(WaitGroup, WhoCountsDownWithoutAPHoldsNobodyUp)
{
	Outcome outcome = in_child(
		[] {
			in_world([] {
				urge_gomaxprocs(1);
				for (int round = 0; round < 100; round++) {
					urge_waitgroup wg = {};
					Crowd crowd;

					urge_waitgroup_add(&wg, 1);
					crowd.start([&] { urge_waitgroup_wait(&wg); });
					crowd.start([&] {
						usleep(500); /* others run: it loses its P */
						urge_waitgroup_done(&wg);
					});
					while (urge_waitgroup_wait_until(&wg, 0) == -EAGAIN)
						urge_yield();
				}
			});
		},
		30 * URGE_S);

	EXPECT_EXITED(0, outcome);
}

TEST(WaitGroup, MisuseIsFatal)
{
	expect_fatal("sync: negative WaitGroup counter", [] {
		urge_waitgroup wg = {};

		urge_waitgroup_add(&wg, 1);
		urge_waitgroup_done(&wg);
		urge_waitgroup_done(&wg);
	});
	for (int n : { -3, INT_MIN })
		expect_fatal("sync: negative WaitGroup counter", [n] {
			urge_waitgroup wg = {};

			urge_waitgroup_add(&wg, 2);
			urge_waitgroup_add(&wg, n);
		});
}

/* ---- group --------------------------------------------------------------------------------- */

TEST(Group, TheFirstErrorIsThatOfAll)
{
	at_each_gomaxprocs([] {
		static std::atomic<int> ran;
		static urge_group *group;

		group = urge_group_new(nullptr);

		ran = 0;
		for (int i = 0; i < 10; i++)
			EXPECT_EQ(0, urge_group_go(
					     group,
					     [](void *arg) {
						     int i = (int)(intptr_t)arg;

						     while (i > 2 &&
							    !urge_ctx_err(urge_group_ctx(group)))
							     urge_yield();
						     ran++;
						     return i < 2 ? 0 : -i;
					     },
					     (void *)(intptr_t)i));
		std::thread([&] { EXPECT_EQ(-EPERM, urge_group_wait(group)); }).join();
		EXPECT_EQ(-2, urge_group_wait(group));
		EXPECT_EQ(10, ran);
	});
}

/* The goroutines of a group are woken from what they wait for by its first error, or from above. */
TEST(Group, AnErrorCancelsTheOthers)
{
	in_world([] {
		urge_group *group = urge_group_new(nullptr);
		auto wait = [](void *group) {
			EXPECT_EQ(-EBADMSG, urge_sleep(100 * URGE_S));
			EXPECT_EQ(-EBADMSG, urge_ctx_err(urge_group_ctx((urge_group *)group)));
			return -EIO;
		};

		EXPECT_EQ(0, urge_group_go(group, wait, group));
		EXPECT_EQ(0, urge_group_go(group, wait, group));
		EXPECT_EQ(0, urge_group_go(
				     group,
				     [](void *) {
					     urge_sleep(20 * URGE_MS);
					     return -EBADMSG;
				     },
				     nullptr));
		EXPECT_EQ(-EBADMSG, urge_group_wait(group));

		urge_ctx *above = urge_ctx_with_cancel(urge_ctx_background());
		static urge_mutex m;
		static urge_cond cond;
		static urge_sem sem;
		static urge_rwmutex rw;
		static urge_waitgroup wg;

		group = urge_group_new(above);
		urge_mutex_lock(&m);
		urge_rwmutex_lock(&rw);
		urge_waitgroup_add(&wg, 1);
		for (auto fn : std::initializer_list<int (*)(void *)>{
			     [](void *) { return urge_mutex_lock_until(&m, URGE_FOREVER); },
			     [](void *) { return urge_rwmutex_rlock_until(&rw, URGE_FOREVER); },
			     [](void *) { return urge_rwmutex_lock_until(&rw, URGE_FOREVER); },
			     [](void *) { return urge_waitgroup_wait_until(&wg, URGE_FOREVER); },
			     [](void *) { return urge_sem_acquire(&sem); },
			     [](void *) {
				     static urge_mutex own;

				     urge_mutex_lock(&own);
				     int err = urge_cond_wait_until(&cond, &own, URGE_FOREVER);

				     EXPECT_FALSE(urge_mutex_trylock(&own));
				     return err;
			     } })
			EXPECT_EQ(0, urge_group_go(group, fn, nullptr));
		urge_sleep(20 * URGE_MS);
		urge_ctx_cancel(above, -ESHUTDOWN);
		EXPECT_EQ(-ESHUTDOWN, urge_group_wait(group));
		urge_ctx_release(above);
	});
}

TEST(Group, OneThatEndsByItselfIsNotWaitedFor)
{
	in_world([] {
		urge_group *group = urge_group_new(nullptr);

		EXPECT_EQ(-EINVAL, urge_group_go(group, nullptr, nullptr));
		EXPECT_EQ(0, urge_group_go(
				     group, [](void *) -> int { urge_goexit(); }, nullptr));
		EXPECT_EQ(0, urge_group_go(
				     group,
				     [](void *group) {
					     return urge_group_go((urge_group *)group,
								  [](void *) { return -EIO; },
								  nullptr);
				     },
				     group));
		EXPECT_EQ(-EIO, urge_group_wait(group));
	});
}
