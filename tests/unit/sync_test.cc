/* SPDX-License-Identifier: MIT */
/* Semaphore, once and cond: what each promises to goroutines, to threads, and to who may not wait. */
#include "tests/unit/crowd.h"

/* ---- semaphore ----------------------------------------------------------------------------- */

TEST(Sem, UnitsComeAndGo)
{
	in_world([] {
		urge_sem sem;

		urge_sem_init(&sem, 2);
		EXPECT_EQ(0, urge_sem_acquire(&sem));
		EXPECT_EQ(0, urge_sem_try_acquire(&sem));
		EXPECT_EQ(-EAGAIN, urge_sem_try_acquire(&sem));
		EXPECT_EQ(-EAGAIN, urge_sem_acquire_until(&sem, 0));
		EXPECT_EQ(-ETIMEDOUT, urge_sem_acquire_until(&sem, soon()));
		urge_sem_release(&sem);
		urge_sem_release(&sem);
		EXPECT_EQ(0, urge_sem_acquire_until(&sem, 1));
		EXPECT_EQ(0, urge_sem_try_acquire(&sem));
		EXPECT_EQ(-EAGAIN, urge_sem_try_acquire(&sem));
	});
}

TEST(Sem, TheFirstToWaitIsTheFirstToGetAUnit)
{
	in_world([] {
		urge_sem sem = {};
		std::vector<int> order;
		Crowd crowd;

		urge_gomaxprocs(1);
		for (int i = 0; i < 5; i++) {
			crowd.start([&, i] {
				EXPECT_EQ(0, urge_sem_acquire(&sem));
				order.push_back(i);
			});
			urge_yield();
		}
		for (int i = 0; i < 5; i++) {
			urge_sem_release(&sem);
			EXPECT_EQ(-EAGAIN, urge_sem_try_acquire(&sem));
			urge_yield();
		}
		EXPECT_EQ((std::vector<int>{ 0, 1, 2, 3, 4 }), order);
	});
}

TEST(Sem, ThreadsReleaseAndTry)
{
	in_world([] {
		urge_sem sem = {};
		int acquire = 0, until = 0;

		std::thread thread([&] {
			acquire = urge_sem_acquire(&sem);
			until = urge_sem_acquire_until(&sem, soon());
			EXPECT_EQ(-EAGAIN, urge_sem_try_acquire(&sem));
			urge_sem_release(&sem);
			urge_sem_release(&sem);
			EXPECT_EQ(0, urge_sem_try_acquire(&sem));
		});
		EXPECT_EQ(0, urge_sem_acquire(&sem));
		thread.join();
		EXPECT_EQ(-EPERM, acquire);
		EXPECT_EQ(-EPERM, until);
	});
}

/* Every unit is used once, with some that give up all the time: none is lost on the way to them. */
TEST(Sem, NoUnitIsLostToThoseWhoGiveUp)
{
	at_each_gomaxprocs([] {
		urge_sem sem = {};
		std::atomic<int> got{ 0 };
		const int units = 2000;
		Crowd crowd;

		for (int i = 0; i < 8; i++)
			crowd.start([&, i] {
				while (got < units)
					if (urge_sem_acquire_until(
						    &sem, soon((i + 1) * 10 * URGE_US)) == 0)
						got++;
			});
		for (int i = 0; i < units; i++) {
			urge_sem_release(&sem);
			if (i % 8 == 0)
				urge_sleep(10 * URGE_US);
		}
		EXPECT_TRUE(eventually([&] { return got == units; }));
	});
}

/* ---- once ---------------------------------------------------------------------------------- */

struct Count {
	urge_once once = {};
	std::atomic<int> calls{ 0 };
	std::atomic<bool> done{ false };

	void run()
	{
		urge_once_do(
			&once,
			[](void *arg) {
				Count *count = (Count *)arg;

				count->calls++;
				urge_sleep(URGE_MS);
				count->done = true;
			},
			this);
		EXPECT_TRUE(done);
	}
};

TEST(Once, OnlyTheFirstDoesItAndAllWaitForIt)
{
	at_each_gomaxprocs([] {
		Count count;

		{
			Crowd crowd;

			for (int i = 0; i < 10; i++)
				crowd.start([&] { count.run(); });
			std::thread thread([&] { count.run(); });
			crowd.join();
			thread.join();
		}
		EXPECT_EQ(1, count.calls);
	});
}

TEST(Once, OneWithinAnotherIsDoneToo)
{
	in_world([] {
		static urge_once outer, inner;
		static int calls;
		auto count = [](void *) { calls++; };

		urge_once_do(
			&outer, [](void *count) { urge_once_do(&inner, (urge_fn)count, nullptr); },
			(void *)+count);
		urge_once_do(&outer, count, nullptr);
		urge_once_do(&inner, count, nullptr);
		EXPECT_EQ(1, calls);
	});
}

/* Two nested ones, and what waits for them: all is done and nobody waits any more. */
TEST(Once, AGoroutineThatEndsInItHasDoneIt)
{
	in_world([] {
		static urge_once outer, inner;
		std::atomic<int> through{ 0 };

		go([] {
			urge_once_do(
				&outer,
				[](void *) {
					urge_once_do(
						&inner,
						[](void *) {
							urge_sleep(20 * URGE_MS);
							urge_goexit();
						},
						nullptr);
				},
				nullptr);
		});
		urge_sleep(URGE_MS);
		for (urge_once *once : { &outer, &inner })
			go([once, &through] {
				urge_once_do(
					once, [](void *) { ADD_FAILURE(); }, nullptr);
				through++;
			});
		EXPECT_TRUE(eventually([&] { return through == 2; }));
	});
}

TEST(Once, CallingItselfIsADeadlock)
{
	SKIP_WHERE_OTHERS_MIGHT_WAKE();
	Outcome dead = in_child([] {
		in_world([] {
			static urge_once once;

			urge_once_do(
				&once,
				[](void *) {
					urge_once_do(
						&once, [](void *) {}, nullptr);
				},
				nullptr);
		});
	});

	EXPECT_EXITED(2, dead);
	EXPECT_SAYS("goroutine 1 [sync.Once.Do]", dead.err);
}

/* ---- cond ---------------------------------------------------------------------------------- */

TEST(Cond, SignalWakesThemInOrder)
{
	in_world([] {
		urge_mutex m = {};
		urge_cond cond = {};
		std::vector<int> order;
		Crowd crowd;

		urge_gomaxprocs(1);
		for (int i = 0; i < 5; i++) {
			crowd.start([&, i] {
				urge_mutex_lock(&m);
				urge_cond_wait(&cond, &m);
				order.push_back(i);
				EXPECT_FALSE(urge_mutex_trylock(&m));
				urge_mutex_unlock(&m);
			});
			urge_yield();
		}
		for (size_t i = 0; i < 5; i++) {
			EXPECT_EQ(i, order.size());
			urge_cond_signal(&cond);
			urge_yield();
		}
		EXPECT_EQ((std::vector<int>{ 0, 1, 2, 3, 4 }), order);
		urge_cond_signal(&cond); /* for nobody */
	});
}

TEST(Cond, BroadcastWakesThemAll)
{
	at_each_gomaxprocs([] {
		urge_mutex m = {};
		urge_cond cond = {};
		int waiting = 0, round = 0;
		Crowd crowd;

		for (int i = 0; i < 10; i++)
			crowd.start([&] {
				urge_mutex_lock(&m);
				for (int r = 0; r < 20; r++) {
					waiting++;
					while (round == r)
						urge_cond_wait(&cond, &m);
				}
				urge_mutex_unlock(&m);
			});
		for (int r = 0; r < 20; r++) {
			EXPECT_TRUE(eventually([&] {
				urge_mutex_lock(&m);
				bool all = waiting == 10;

				urge_mutex_unlock(&m);
				return all;
			}));
			urge_mutex_lock(&m);
			waiting = 0;
			round++;
			urge_cond_broadcast(&cond);
			urge_mutex_unlock(&m);
		}
	});
}

TEST(Cond, ADeadlineTakesTheMutexAgainAndNoSignal)
{
	in_world([] {
		urge_mutex m = {};
		urge_cond cond = {};
		bool woken = false;
		Crowd crowd;

		urge_mutex_lock(&m);
		EXPECT_EQ(-EAGAIN, urge_cond_wait_until(&cond, &m, 0));
		EXPECT_EQ(-ETIMEDOUT, urge_cond_wait_until(&cond, &m, soon()));
		EXPECT_FALSE(urge_mutex_trylock(&m));
		crowd.start([&] {
			urge_mutex_lock(&m);
			EXPECT_EQ(-ETIMEDOUT, urge_cond_wait_until(&cond, &m, soon()));
			urge_mutex_unlock(&m);
		});
		crowd.start([&] {
			urge_mutex_lock(&m);
			urge_cond_wait(&cond, &m);
			woken = true;
			urge_mutex_unlock(&m);
		});
		urge_mutex_unlock(&m);
		urge_sleep(100 * URGE_MS); /* the first one has given up */
		urge_cond_signal(&cond);
		EXPECT_TRUE(eventually([&] {
			urge_mutex_lock(&m);
			bool now = woken;

			urge_mutex_unlock(&m);
			return now;
		}));
	});
}

TEST(Cond, AThreadWaitsAndSignals)
{
	in_world([] {
		urge_mutex m = {};
		urge_cond cond = {};
		int ball = 0;

		std::thread thread([&] {
			urge_mutex_lock(&m);
			EXPECT_EQ(-EPERM, urge_cond_wait_until(&cond, &m, soon()));
			for (int i = 0; i < 500; i++) {
				while (ball != 1)
					urge_cond_wait(&cond, &m);
				ball = 0;
				urge_cond_signal(&cond);
			}
			urge_mutex_unlock(&m);
		});
		urge_mutex_lock(&m);
		for (int i = 0; i < 500; i++) {
			ball = 1;
			urge_cond_signal(&cond);
			while (ball != 0)
				urge_cond_wait(&cond, &m);
		}
		urge_mutex_unlock(&m);
		urge_entersyscall();
		thread.join();
		urge_exitsyscall();
	});
}

TEST(Cond, MisuseIsFatal)
{
	expect_fatal("sync: unlock of unlocked mutex", [] {
		urge_mutex m = {};
		urge_cond cond = {};

		urge_cond_wait(&cond, &m);
	});
}
