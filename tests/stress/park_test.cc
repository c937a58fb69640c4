/* SPDX-License-Identifier: MIT */
/*
 * Storms of parking and waking, at several GOMAXPROCS: every goroutine comes to its end, exactly
 * once. A lost wake-up is a storm that does not end: it runs in a child, which prints all
 * goroutines when its time is over.
 */
#include "tests/stress/storm.h"
#include <atomic>
#include <thread>

/* Counts visits: each of n is to be visited once. */
class Visits
{
public:
	explicit Visits(size_t n) : seen(n) {}
	void visit(size_t i) { seen[i]++; }
	void expect_once()
	{
		size_t wrong = 0;

		for (auto &times : seen)
			wrong += times != 1;
		EXPECT_EQ(0u, wrong);
	}

private:
	std::vector<std::atomic<int>> seen;
};

/* A goroutine that does a few things at random, and perhaps starts others, as in a tree. */
struct Wanderer {
	uint64_t seed;
	Visits *visits;
	urge_waitgroup *all;
	size_t self, to; /* it and its offspring are self..to-1 */

	static void run(void *arg)
	{
		Wanderer *me = (Wanderer *)arg;
		Random random(me->seed + me->self);
		size_t middle = me->self + 1 + (me->to - me->self - 1) / 2;

		me->offspring(me->self + 1, middle);
		for (uint32_t steps = random.below(4); steps > 0; steps--)
			step(random);
		me->offspring(middle, me->to);
		me->visits->visit(me->self);
		urge_waitgroup_done(me->all);
		delete me;
	}

	void offspring(size_t from, size_t end)
	{
		if (from < end && urge_go(run, new Wanderer{ seed, visits, all, from, end }) != 0)
			abort();
	}

	static void step(Random &random)
	{
		switch (random.below(6)) {
		case 0:
			urge_sleep(random.below(300) * URGE_US);
			break;
		case 1:
			urge_entersyscall();
			if (random.below(20) == 0)
				usleep(100);
			urge_exitsyscall();
			break;
		case 2: {
			urge_waitgroup one = {};

			urge_waitgroup_add(&one, 1);
			if (urge_go([](void *wg) { urge_waitgroup_done((urge_waitgroup *)wg); },
				    &one))
				abort();
			urge_waitgroup_wait(&one);
			break;
		}
		default:
			urge_yield();
		}
	}
};

TEST(Park, TreesOfWanderersLoseNobody)
{
	storm_at_each_gomaxprocs([](uint64_t seed) {
		const size_t n = 60000;
		Visits visits(n);
		urge_waitgroup all = {};

		urge_waitgroup_add(&all, (int)n);
		ASSERT_EQ(0, urge_go(Wanderer::run, new Wanderer{ seed, &visits, &all, 0, n }));
		urge_waitgroup_wait(&all);
		visits.expect_once();
		EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
	});
}

/* One token goes round: at each moment nearly everybody sleeps, and every wake-up counts. */
TEST(Park, ATokenIsNeverLost)
{
	storm_at_each_gomaxprocs([](uint64_t seed) {
		const int n = 10, rounds = 4000;
		struct Place {
			urge_waitgroup token = {}, taken = {};
		};
		std::vector<Place> places(n);
		std::atomic<int> passed{ 0 };
		urge_waitgroup all = {};

		for (Place &place : places)
			urge_waitgroup_add(&place.token, 1);
		urge_waitgroup_add(&all, n);
		for (int i = 0; i < n; i++)
			ASSERT_EQ(0, go([&, i] {
					  Random random(seed + (uint64_t)i);

					  for (int round = 0; round < rounds; round++) {
						  urge_waitgroup_wait(&places[(size_t)i].token);
						  urge_waitgroup_add(&places[(size_t)i].token, 1);
						  passed++;
						  if (random.below(50) == 0)
							  urge_sleep(random.below(50) * URGE_US);
						  urge_waitgroup_done(
							  &places[(size_t)(i + 1) % n].token);
					  }
					  urge_waitgroup_done(&all);
				  }));
		urge_waitgroup_done(&places[0].token);
		urge_waitgroup_wait(&all);
		EXPECT_EQ(n * rounds, passed);
	});
}

TEST(Park, ForeignThreadsSpawnAndWake)
{
	storm_at_each_gomaxprocs([](uint64_t seed) {
		const size_t nthreads = 3, each = 3000;
		Visits visits(nthreads * each);
		urge_waitgroup all = {};
		std::vector<std::thread> threads;

		urge_waitgroup_add(&all, (int)(nthreads * each));
		for (size_t t = 0; t < nthreads; t++)
			threads.emplace_back([&, t] {
				Random random(seed + t);

				for (size_t i = 0; i < each; i++) {
					urge_waitgroup gate = {}, through = {};

					urge_waitgroup_add(&gate, 1);
					urge_waitgroup_add(&through, 1);
					if (go([&, self = t * each + i] {
						    urge_waitgroup_wait(&gate);
						    visits.visit(self);
						    urge_waitgroup_done(&through);
						    urge_waitgroup_done(&all);
					    }) != 0)
						abort();
					if (random.below(4) == 0) /* asleep by now, or not yet */
						std::this_thread::yield();
					urge_waitgroup_done(&gate);
					urge_waitgroup_wait(&through);
				}
			});
		urge_waitgroup_wait(&all);
		for (std::thread &thread : threads)
			thread.join();
		visits.expect_once();
	});
}

TEST(Park, SleepersBesideYieldersAllWake)
{
	storm_at_each_gomaxprocs([](uint64_t seed) {
		const int n = 200, rounds = 100;
		std::atomic<int> wakes{ 0 };
		std::atomic<bool> end{ false };
		urge_waitgroup all = {};

		urge_waitgroup_add(&all, n + 2);
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, go([&] {
					  while (!end)
						  urge_yield();
					  urge_waitgroup_done(&all);
				  }));
		for (int i = 0; i < n; i++)
			ASSERT_EQ(0, go([&, i] {
					  Random random(seed + (uint64_t)i);

					  for (int round = 0; round < rounds; round++) {
						  urge_sleep(random.below(500) * URGE_US);
						  if (++wakes == n * rounds)
							  end = true;
					  }
					  urge_waitgroup_done(&all);
				  }));
		urge_waitgroup_wait(&all);
		EXPECT_EQ(n * rounds, wakes);
	});
}

/*
 * A thread that was started for a wake-up finds an expired timer first. If that one and the waker
 * run loops, whom it was started for waits until sysmon ends a slice, and has to be told to.
 */
TEST(Park, WhoWaitsBehindLoopsIsWatched)
{
	EXPECT_EQ(0, run_main([] {
			  const int64_t end = urge_now() + 2 * URGE_S;
			  Random random(test_seed());
			  std::atomic<int64_t> due{ 0 };
			  std::atomic<int> round{ 0 }, woken{ 0 }, ended{ 0 };
			  urge_chan *c = urge_chan_make(sizeof(int), 0);
			  urge_waitgroup others = {};
			  auto loop = [&] {
				  int64_t lost = due + 10 * URGE_S;

				  while (woken != round && urge_now() < lost)
					  ;
			  };

			  urge_gomaxprocs(2);
			  urge_set_time_slice(URGE_MS);
			  urge_waitgroup_add(&others, 2);
			  EXPECT_EQ(0, go([&] {
					    for (int i; urge_recv(c, &i) == 0;)
						    woken = i;
					    urge_waitgroup_done(&others);
				    }));
			  EXPECT_EQ(0, go([&] {
					    while (round >= 0) {
						    while (ended == round)
							    urge_sleep(50 * URGE_US);
						    urge_sleep_until(due);
						    loop();
						    ended = (int)round;
					    }
					    urge_waitgroup_done(&others);
				    }));
			  while (woken == round && urge_now() < end) {
				  int i = round + 1;
				  int64_t start;

				  due = urge_now() + 600 * URGE_US;
				  round = i;
				  urge_sleep(200 * URGE_US);
				  start = due + 20 * URGE_US - random.below(100) * URGE_US;
				  while (urge_now() < start)
					  ;
				  EXPECT_EQ(0, urge_send(c, &i));
				  loop();
				  EXPECT_EQ(i, woken) << "it waited for 10 seconds";
				  EXPECT_TRUE(eventually([&] { return ended == i; }));
			  }
			  woken = -1;
			  round = -1;
			  urge_close_chan(c);
			  urge_waitgroup_wait(&others);
			  urge_chan_free(c);
			  urge_set_time_slice(10 * URGE_MS);
			  return 0;
		  }));
}

/* All Ps go idle and come back, again and again: the deadlock verdict and netpoll in between. */
TEST(Park, IdleAndBackAThousandTimes)
{
	storm_at_each_gomaxprocs([](uint64_t seed) {
		Random random(seed);

		for (int i = 0; i < 1000; i++) {
			urge_waitgroup wg = {};
			int n = 1 + (int)random.below(4);

			urge_waitgroup_add(&wg, n);
			for (int k = 0; k < n; k++)
				ASSERT_EQ(0, go([&wg, ns = random.below(200) * URGE_US] {
						  urge_sleep(ns);
						  urge_waitgroup_done(&wg);
					  }));
			urge_waitgroup_wait(&wg);
		}
	});
}

/* GOMAXPROCS goes up and down under load: nobody is lost, and Ps that went come back. */
TEST(Resize, UnderLoadLosesNobody)
{
	uint64_t seed = test_seed();
	Outcome outcome = in_child(
		[=] {
			EXPECT_EQ(0, run_main([=] {
					  const size_t n = 100000;
					  Random random(seed);
					  int expected = urge_gomaxprocs(0), resizes = 0;

					  /* this goroutine runs seldom where the others are slow */
					  while (resizes <= 10) {
						  Visits visits(n);
						  urge_waitgroup all = {};
						  std::atomic<bool> end{ false };

						  urge_waitgroup_add(&all, (int)n);
						  EXPECT_EQ(0, urge_go(Wanderer::run,
								       new Wanderer{ seed, &visits,
										     &all, 0, n }));
						  EXPECT_EQ(0, go([&] {
								    urge_waitgroup_wait(&all);
								    end = true;
							    }));
						  while (!end) {
							  int to =
								  random.below(3)
									  ? 1 + (int)random.below(8)
								  : random.below(2) ? 1
										    : 8;

							  EXPECT_EQ(expected, urge_gomaxprocs(to));
							  EXPECT_EQ(to, urge_gomaxprocs(0));
							  expected = to;
							  resizes++;
							  if (random.below(2))
								  urge_yield();
							  else
								  urge_sleep(random.below(300) *
									     URGE_US);
						  }
						  visits.expect_once();
					  }
					  printf("%d resizes\n", resizes);
					  return 0;
				  }));
		},
		storm_limit);

	EXPECT_EXITED(0, outcome);
}

TEST(Resize, ForeignThreadsResizeTogether)
{
	Outcome outcome = in_child(
		[] {
			EXPECT_EQ(
				0, run_main([] {
					std::atomic<bool> end{ false };
					std::atomic<int> turns{ 0 };
					std::vector<std::thread> threads;
					urge_waitgroup all = {};

					for (int t = 0; t < 3; t++)
						threads.emplace_back([&, t] {
							for (int i = 0; !end; i++) {
								EXPECT_LE(1,
									  urge_gomaxprocs(
										  1 + (i + t) % 8));
								usleep(50);
							}
						});
					urge_waitgroup_add(&all, 50);
					for (int i = 0; i < 50; i++)
						EXPECT_EQ(0, go([&] {
								  for (int k = 0; k < 400; k++) {
									  turns++;
									  if (k % 8)
										  urge_yield();
									  else
										  urge_sleep(
											  50 *
											  URGE_US);
								  }
								  urge_waitgroup_done(&all);
							  }));
					urge_waitgroup_wait(&all);
					end = true;
					for (std::thread &thread : threads)
						thread.join();
					EXPECT_EQ(50 * 400, turns);
					return 0;
				}));
		},
		storm_limit);

	EXPECT_EXITED(0, outcome);
}

/* The world stops and goes on under load, from several goroutines at once. */
TEST(World, StopsUnderLoadLoseNobody)
{
	storm_at_each_gomaxprocs([](uint64_t seed) {
		const size_t n = 20000;
		Visits visits(n);
		urge_waitgroup all = {}, stoppers = {};
		std::atomic<bool> end{ false };
		std::atomic<int> inside{ 0 }, stops{ 0 };

		urge_waitgroup_add(&all, (int)n);
		ASSERT_EQ(0, urge_go(Wanderer::run, new Wanderer{ seed, &visits, &all, 0, n }));
		urge_waitgroup_add(&stoppers, 3);
		for (int i = 0; i < 3; i++)
			ASSERT_EQ(0, go([&] {
					  while (!end) {
						  EXPECT_EQ(0, urge_stop_the_world("stress"));
						  EXPECT_EQ(1, ++inside);
						  EXPECT_EQ(0, urge_stop_the_world("nested"));
						  urge_start_the_world();
						  inside--;
						  stops++;
						  urge_start_the_world();
						  urge_sleep(200 * URGE_US);
					  }
					  urge_waitgroup_done(&stoppers);
				  }));
		urge_waitgroup_wait(&all);
		end = true;
		urge_waitgroup_wait(&stoppers);
		visits.expect_once();
		EXPECT_GT(stops, 0);
	});
}
