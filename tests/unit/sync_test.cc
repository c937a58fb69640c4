/* SPDX-License-Identifier: MIT */
/* Locks: what each promises to goroutines, to threads of the program's own, and to who may not wait. */
#include "tests/unit/child.h"
#include <atomic>
#include <thread>

static int64_t soon(int64_t ns = 20 * URGE_MS)
{
	return urge_now() + ns;
}

/* Goroutines that are waited for when the scope ends. */
class Crowd
{
public:
	void start(std::function<void()> body)
	{
		urge_waitgroup_add(&wg, 1);
		EXPECT_EQ(0, go([this, body] {
				  body();
				  urge_waitgroup_done(&wg);
			  }));
	}
	void join() { urge_waitgroup_wait(&wg); }
	~Crowd() { join(); }

private:
	urge_waitgroup wg = {};
};

static void in_world(const std::function<void()> &body)
{
	EXPECT_EQ(0, run_main([&] {
			  body();
			  return 0;
		  }));
}

static void at_each_gomaxprocs(const std::function<void()> &body)
{
	in_world([&] {
		int before = urge_gomaxprocs(0);

		for (int procs : { 1, 2, 4 }) {
			urge_gomaxprocs(procs);
			body();
		}
		urge_gomaxprocs(before);
	});
}

/* The words that end a program which does body, as goroutine 1 and before boot. */
static void expect_fatal(const std::string &words, const std::function<void()> &body)
{
	Outcome inside = in_child([&] { in_world(body); });
	Outcome before = in_child(body);

	EXPECT_EXITED(2, inside);
	EXPECT_SAYS("fatal error: " + words + "\n", inside.err);
	EXPECT_EXITED(2, before);
	EXPECT_SAYS("fatal error: " + words + "\n", before.err);
}

/* ---- mutex --------------------------------------------------------------------------------- */

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

/* ---- rwmutex ------------------------------------------------------------------------------- */

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

TEST(WaitGroup, MisuseIsFatal)
{
	expect_fatal("sync: negative WaitGroup counter", [] {
		urge_waitgroup wg = {};

		urge_waitgroup_add(&wg, 1);
		urge_waitgroup_done(&wg);
		urge_waitgroup_done(&wg);
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
