/* SPDX-License-Identifier: MIT */
/* Waits that a waker or a deadline ends, with a queue as simple as it can be. */
#include "tests/stress/seed.h"
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <list>
#include <thread>

namespace
{

struct Entry {
	struct g *gp;
	uint32_t ticket;
	bool woken;
};

struct Queue {
	Queue() { mutex_init(&lock, RANK_PROCRESIZE); }

	struct mutex lock;
	std::list<Entry *> waiting;
};

/* Lists allocate, which a goroutine must not do in the runtime; here nobody else holds malloc. */
bool unlock_queue(struct g *, void *queue)
{
	unlock(&static_cast<Queue *>(queue)->lock);
	return true;
}

int wait_in(Queue &queue, int64_t deadline, park_unlock_fn unlockf = unlock_queue)
{
	struct m *mp = enter();
	Entry entry = { mp->curg, wait_open(mp->curg, false, deadline), false };
	int err;

	lock(&queue.lock);
	queue.waiting.push_back(&entry);
	err = gopark_until(unlockf, &queue, WAIT_SEMACQUIRE, entry.ticket, deadline);
	if (err) {
		lock(&queue.lock);
		queue.waiting.remove(&entry);
		unlock(&queue.lock);
	}
	EXPECT_EQ(err == 0, entry.woken);
	leave();
	return err;
}

/* True: somebody was woken. Any thread. */
bool wake_one(Queue &queue)
{
	struct m *mp = enter();
	Entry *found = nullptr;

	lock(&queue.lock);
	while (!found && !queue.waiting.empty()) {
		Entry *first = queue.waiting.front();

		queue.waiting.pop_front();
		if (wait_claim(first->gp, first->ticket))
			found = first;
	}
	if (found)
		found->woken = true;
	unlock(&queue.lock);
	if (found)
		goready(found->gp);
	if (mp)
		leave();
	return found != nullptr;
}

bool no_timers()
{
	return timers_earliest() == INT64_MAX;
}

/* In the runtime, where nobody can sleep. */
bool ended_soon(const struct g *gp)
{
	int64_t deadline = urge_now() + 30 * URGE_S;

	while (load_rlx_u32(&gp->waitticket) % 4 != 0 && urge_now() < deadline)
		cpu_relax();
	return load_rlx_u32(&gp->waitticket) % 4 == 0;
}

} // namespace

TEST(Wait, EndsByTheWakerBeforeItsDeadlineAndLeavesNoTimer)
{
	EXPECT_EQ(0, run_main([] {
			  Queue queue;
			  std::atomic<int> result{ 1 };

			  EXPECT_EQ(0, go([&] {
					    result = wait_in(queue, urge_now() + URGE_S * 1000);
				    }));
			  EXPECT_TRUE(eventually([&] { return wake_one(queue); }));
			  EXPECT_TRUE(eventually([&] { return result == 0; }));
			  EXPECT_TRUE(no_timers());
			  return 0;
		  }));
}

TEST(Wait, WithoutDeadlineHasNoTicket)
{
	EXPECT_EQ(0, run_main([] {
			  Queue queue;
			  std::atomic<int> result{ 1 };

			  EXPECT_EQ(0, go([&] { result = wait_in(queue, URGE_FOREVER); }));
			  EXPECT_TRUE(eventually([&] { return wake_one(queue); }));
			  EXPECT_TRUE(eventually([&] { return result == 0; }));
			  return 0;
		  }));
}

TEST(Wait, EndsByItsDeadlineAndNotBefore)
{
	EXPECT_EQ(0, run_main([] {
			  Queue queue;

			  for (int64_t ns : { URGE_US, 100 * URGE_US, 20 * URGE_MS }) {
				  int64_t deadline = urge_now() + ns;

				  EXPECT_EQ(-ETIMEDOUT, wait_in(queue, deadline));
				  EXPECT_GE(urge_now(), deadline);
				  EXPECT_TRUE(queue.waiting.empty());
			  }
			  EXPECT_TRUE(no_timers());
			  return 0;
		  }));
}

TEST(Wait, DeadlineThatHasPassedEndsItAndUnlocks)
{
	EXPECT_EQ(0, run_main([] {
			  Queue queue;

			  for (int64_t deadline : { (int64_t)1, (int64_t)-1, urge_now() }) {
				  EXPECT_EQ(-ETIMEDOUT, wait_in(queue, deadline));
				  EXPECT_EQ(0u, load_rlx_u32(&queue.lock.state));
			  }
			  return 0;
		  }));
}

TEST(Wait, DeadlineBeforeTheEndOfUnlockfCallsTheParkOff)
{
	EXPECT_EQ(0, run_main([] {
			  static std::atomic<bool> through;
			  Queue queue;

			  for (int i = 0; i < 20; i++) {
				  through = false;
				  /* while unlockf takes its time sysmon runs the timer */
				  EXPECT_EQ(-ETIMEDOUT,
					    wait_in(queue, urge_now() + URGE_MS,
						    [](struct g *gp, void *arg) {
							    timers_cover(timers_earliest());
							    EXPECT_TRUE(ended_soon(gp));
							    through = true;
							    return unlock_queue(gp, arg);
						    }));
				  EXPECT_TRUE(through);
			  }
			  return 0;
		  }));
}

TEST(Wait, RefusedParkReturnsZero)
{
	EXPECT_EQ(0, run_main([] {
			  for (int64_t ns : { URGE_S, -URGE_S }) {
				  int64_t deadline = urge_now() + ns;
				  struct m *mp = enter();
				  uint32_t ticket = wait_open(mp->curg, true, deadline);

				  EXPECT_EQ(0, gopark_until(
						       [](struct g *, void *) { return false; },
						       nullptr, WAIT_SEMACQUIRE, ticket, deadline));
				  EXPECT_FALSE(wait_claim(getm()->curg, ticket));
				  EXPECT_FALSE(wait_end(getm()->curg, ticket));
				  leave();
			  }
			  EXPECT_TRUE(no_timers());
			  return 0;
		  }));
}

TEST(Wait, FullHeapsAreAnError)
{
	EXPECT_EQ(0, run_main([] {
			  Queue queue;
			  uint32_t max = timers_max;

			  timers_max = 0;
			  EXPECT_EQ(-ENOMEM, wait_in(queue, urge_now() + URGE_S));
			  EXPECT_TRUE(queue.waiting.empty());
			  EXPECT_EQ(-ENOMEM, urge_sleep(URGE_S));
			  timers_max = max;
			  EXPECT_EQ(-ETIMEDOUT, wait_in(queue, urge_now() + URGE_MS));
			  EXPECT_EQ(0, urge_sleep(1));
			  return 0;
		  }));
}

TEST(Wait, TicketsAreNeverZeroNorUsedAgain)
{
	struct gtop top = {};
	struct g header = {};
	uint32_t last = 0;

	header.top = &top;
	for (uint32_t from : { 0u, 0xfffffff0u }) {
		store_rlx_u32(&header.waitticket, from);
		for (int i = 0; i < 100; i++) {
			uint32_t ticket = wait_open(&header, true, INT64_MAX);

			EXPECT_NE(0u, ticket);
			EXPECT_NE(last, ticket);
			EXPECT_FALSE(last && wait_claim(&header, last));
			EXPECT_FALSE(last && wait_end(&header, last));
			if (i % 4 == 1) {
				EXPECT_TRUE(wait_claim(&header, ticket));
			} else if (i % 4 == 2) {
				EXPECT_FALSE(wait_end(&header, ticket)); /* it is not parked */
			}
			last = ticket;
		}
	}
}

/*
 * Wakers, deadlines and the end of unlockf meet in all orders: lengths of waits are about the time
 * between two wake-ups.
 */
TEST(Wait, EndsOnceWhenWakersRaceDeadlines)
{
	Outcome outcome = in_child([] {
		uint64_t seed = test_seed();

		EXPECT_EQ(0, run_main([&] {
				  const int waiters = 8, rounds = 10000;
				  std::atomic<int> left{ waiters }, returned{ 0 }, expired{ 0 };
				  std::atomic<long> woken{ 0 };
				  Queue queue;

				  urge_gomaxprocs(2);
				  for (int i = 0; i < waiters; i++)
					  EXPECT_EQ(0, go([&, i] {
							    Random random(seed + (uint64_t)i);

							    for (int n = 0; n < rounds; n++) {
								    int64_t ns =
									    random.below(30000);

								    if (wait_in(queue,
										urge_now() + ns))
									    expired++;
								    else
									    returned++;
							    }
							    left--;
						    }));
				  EXPECT_EQ(0, go([&] {
						    while (left > 0) {
							    woken += wake_one(queue);
							    urge_yield();
						    }
					    }));
				  std::thread outside([&] {
					  Random random(seed);

					  while (left > 0) {
						  woken += wake_one(queue);
						  for (uint32_t n = random.below(3000); n > 0; n--)
							  cpu_relax();
					  }
				  });
				  EXPECT_TRUE(eventually([&] { return left == 0; }));
				  outside.join();
				  EXPECT_EQ(waiters * rounds, returned + expired);
				  EXPECT_TRUE(eventually([&] { return woken == returned; }));
				  EXPECT_TRUE(no_timers());
				  EXPECT_LT(0, returned);
				  EXPECT_LT(0, expired);
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
}

TEST(Wait, IsDiscardedAtTheEndOfTheWorld)
{
	for (int world = 0; world < 3; world++)
		EXPECT_EQ(0, run_main([] {
				  static Queue queue;
				  static std::atomic<int> waiting;

				  EXPECT_TRUE(no_timers());
				  queue.waiting.clear();
				  waiting = 0;
				  for (int i = 0; i < 100; i++)
					  EXPECT_EQ(0, go([i] {
							    waiting++;
							    wait_in(queue,
								    urge_now() + i * 20 * URGE_US +
									    URGE_MS);
							    urge_sleep(1000 * URGE_S);
						    }));
				  EXPECT_TRUE(eventually([] { return waiting == 100; }));
				  return 0;
			  }));
}
