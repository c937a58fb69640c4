/* SPDX-License-Identifier: MIT */
/*
 * Storms of locks, with short slices, deadlines that pass at every point, and threads of the
 * program's own among the goroutines. A lost wake-up is a storm that does not end: it runs in a
 * child, which prints all goroutines when its time is over.
 */
#include "tests/stress/storm.h"
#include <atomic>
#include <thread>

/* storm(random) is run by goroutines and by threads; check() when all are through. */
static void storm(int goroutines, int threads, const std::function<void(Random &)> &body,
		  const std::function<void()> &check)
{
	storm_at_each_gomaxprocs(
		[&](uint64_t seed) {
			std::vector<std::thread> others;
			urge_waitgroup wg = {};

			urge_waitgroup_add(&wg, goroutines + threads);
			for (int i = 0; i < threads; i++)
				others.emplace_back([&, i] {
					Random random(seed + i);

					body(random);
					urge_waitgroup_done(&wg);
				});
			for (int i = 0; i < goroutines; i++)
				go([&, i] {
					Random random(seed + 100 + i);

					body(random);
					urge_waitgroup_done(&wg);
				});
			urge_waitgroup_wait(&wg);
			for (std::thread &other : others)
				other.join();
			check();
		},
		50 * URGE_US);
}

static void linger(Random &random)
{
	if (random.below(4) == 0)
		urge_yield();
	for (uint32_t n = random.below(200); n > 0; n--)
		__asm__ volatile("");
}

static bool is_goroutine()
{
	return urge_goid() != 0;
}

TEST(SyncStress, Mutex)
{
	urge_mutex m = {};
	int total = 0;
	std::atomic<int> got{ 0 };

	storm(
		12, 2,
		[&](Random &random) {
			for (int n = 0; n < 3000; n++) {
				uint32_t how = random.below(8);

				if (how == 0 && !urge_mutex_trylock(&m))
					continue;
				if (how == 1 && is_goroutine() &&
				    urge_mutex_lock_until(&m,
							  urge_now() + random.below(100) * URGE_US))
					continue;
				if (how > 1 || (how == 1 && !is_goroutine()))
					urge_mutex_lock(&m);
				got++;
				total++;
				linger(random);
				urge_mutex_unlock(&m);
				linger(random);
			}
		},
		[&] {
			EXPECT_EQ(got, total);
			EXPECT_TRUE(urge_mutex_trylock(&m));
			urge_mutex_unlock(&m);
		});
}

TEST(SyncStress, RWMutex)
{
	urge_rwmutex rw = {};
	std::atomic<int> readers{ 0 }, writers{ 0 };

	storm(
		12, 2,
		[&](Random &random) {
			for (int n = 0; n < 2000; n++) {
				bool writes = random.below(4) == 0;
				uint32_t how = random.below(6);
				int64_t deadline = urge_now() + random.below(100) * URGE_US;
				int err = 0;

				if (how == 0)
					err = !(writes ? urge_rwmutex_trylock(&rw)
						       : urge_rwmutex_tryrlock(&rw));
				else if (how == 1 && is_goroutine())
					err = writes ? urge_rwmutex_lock_until(&rw, deadline)
						     : urge_rwmutex_rlock_until(&rw, deadline);
				else
					writes ? urge_rwmutex_lock(&rw) : urge_rwmutex_rlock(&rw);
				if (err)
					continue;
				(writes ? writers : readers)++;
				linger(random);
				EXPECT_EQ(writes ? 1 : 0, writers);
				EXPECT_TRUE(!writes || readers == 0);
				(writes ? writers : readers)--;
				writes ? urge_rwmutex_unlock(&rw) : urge_rwmutex_runlock(&rw);
			}
		},
		[&] {
			EXPECT_TRUE(urge_rwmutex_trylock(&rw));
			urge_rwmutex_unlock(&rw);
		});
}

TEST(SyncStress, Semaphore)
{
	urge_sem sem = {};
	std::atomic<int> inside{ 0 };

	urge_sem_init(&sem, 3);
	storm(
		12, 2,
		[&](Random &random) {
			for (int n = 0; n < 3000; n++) {
				int64_t limit = random.below(100) * URGE_US;

				if (!is_goroutine() || random.below(4) == 0) {
					if (urge_sem_try_acquire(&sem))
						continue;
				} else if (random.below(4) == 0) {
					if (urge_sem_acquire_until(&sem, urge_now() + limit))
						continue;
				} else {
					EXPECT_EQ(0, urge_sem_acquire(&sem));
				}
				EXPECT_GE(3, ++inside);
				linger(random);
				inside--;
				urge_sem_release(&sem);
			}
		},
		[&] {
			for (int i = 0; i < 3; i++)
				EXPECT_EQ(0, urge_sem_try_acquire(&sem));
			EXPECT_EQ(-EAGAIN, urge_sem_try_acquire(&sem));
			for (int i = 0; i < 3; i++)
				urge_sem_release(&sem);
		});
}

/* A bounded buffer: whoever puts wakes who takes, and the other way round; nothing gets lost. */
TEST(SyncStress, CondAsABoundedBuffer)
{
	const int items = 20000, room = 4;
	urge_mutex m = {};
	urge_cond not_full = {}, not_empty = {};
	int put = 0, taken = 0;

	storm(
		12, 2,
		[&](Random &random) {
			static std::atomic<int> roles;
			bool puts = roles++ % 2;
			int &mine = puts ? put : taken;

			urge_mutex_lock(&m);
			while (mine < items) {
				urge_cond &mine_to_wait_at = puts ? not_full : not_empty;

				if (puts ? put - taken < room : put > taken) {
					mine++;
					urge_cond_signal(puts ? &not_empty : &not_full);
					linger(random);
				} else if (is_goroutine() && random.below(4) == 0) {
					urge_cond_wait_until(&mine_to_wait_at, &m,
							     urge_now() +
								     random.below(100) * URGE_US);
				} else {
					urge_cond_wait(&mine_to_wait_at, &m);
				}
			}
			urge_cond_broadcast(&not_full);
			urge_cond_broadcast(&not_empty);
			urge_mutex_unlock(&m);
		},
		[&] {
			EXPECT_EQ(items, put);
			EXPECT_EQ(items, taken);
			put = taken = 0;
		});
}

TEST(SyncStress, ManyLocksAtOnce)
{
	enum { LOCKS = 2000 };
	std::vector<urge_mutex> mutexes(LOCKS);
	std::vector<int> counts(LOCKS);
	std::atomic<int> total{ 0 };

	storm(
		200, 2,
		[&](Random &random) {
			for (int n = 0; n < 200; n++) {
				uint32_t i = random.below(random.below(2) ? 8 : LOCKS);

				urge_mutex_lock(&mutexes[i]);
				counts[i]++;
				total++;
				linger(random);
				urge_mutex_unlock(&mutexes[i]);
			}
		},
		[&] {
			int sum = 0;

			for (int count : counts)
				sum += count;
			EXPECT_EQ(total, sum);
		});
}
