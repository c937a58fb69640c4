/* SPDX-License-Identifier: MIT */
/* Timers that start goroutines, and the heaps below them. */
#include "kernelshim/fault.h"
#include "tests/stress/seed.h"
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <climits>
#include <memory>
#include <mutex>
#include <thread>

namespace
{

void count_up(void *counter)
{
	static_cast<std::atomic<int> *>(counter)->fetch_add(1);
}

/* Each goroutine is a thread to TSan, which has room for 8000. */
size_t many(size_t n)
{
	return IS_ENABLED(CONFIG_TSAN) ? 4000 : IS_ENABLED(CONFIG_ASAN) ? n / 5 : n;
}

/* Long enough that it is not there while a test runs. */
const int64_t far = 1000 * URGE_S;

} // namespace

TEST(Timer, RunsItsFunctionInAGoroutineOfItsOwn)
{
	EXPECT_EQ(0, run_main([] {
			  static std::atomic<uint64_t> goid;
			  int64_t start = urge_now();
			  static std::atomic<int64_t> ran_at;

			  goid = 0;
			  urge_timer *timer = urge_timer_after(
				  20 * URGE_MS,
				  [](void *arg) {
					  EXPECT_EQ(&goid, arg);
					  ran_at = urge_now();
					  EXPECT_EQ(0, urge_sleep(URGE_MS)); /* it may block */
					  goid = urge_goid();
				  },
				  &goid);
			  EXPECT_TRUE(timer);
			  EXPECT_TRUE(eventually([] { return goid != 0; }));
			  EXPECT_LT(1u, goid);
			  EXPECT_LE(start + 20 * URGE_MS, ran_at);
			  EXPECT_FALSE(urge_timer_stop(timer));
			  urge_timer_free(timer);
			  return 0;
		  }));
}

TEST(Timer, StopSaysWhetherTheFunctionWillRun)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> ran{ 0 };
			  urge_timer *timer = urge_timer_after(far, count_up, &ran);

			  EXPECT_TRUE(urge_timer_stop(timer));
			  EXPECT_FALSE(urge_timer_stop(timer));
			  EXPECT_EQ(INT64_MAX, timers_earliest());
			  urge_timer_free(timer);

			  timer = urge_timer_after(20 * URGE_MS, count_up, &ran);
			  EXPECT_TRUE(urge_timer_stop(timer));
			  urge_sleep(60 * URGE_MS);
			  EXPECT_EQ(0, ran);
			  urge_timer_free(timer);

			  timer = urge_timer_after(URGE_MS, count_up, &ran);
			  EXPECT_TRUE(eventually([&] { return ran == 1; }));
			  EXPECT_FALSE(urge_timer_stop(timer));
			  urge_timer_free(timer);
			  urge_timer_free(nullptr);
			  return 0;
		  }));
}

TEST(Timer, ResetSetsItAnewAndSaysWhetherItWasSet)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> ran{ 0 };
			  urge_timer *timer = urge_timer_after(far, count_up, &ran);

			  EXPECT_TRUE(urge_timer_reset(timer, far));
			  EXPECT_TRUE(urge_timer_reset(timer, URGE_MS));
			  EXPECT_TRUE(eventually([&] { return ran == 1; }));
			  EXPECT_FALSE(urge_timer_reset(timer, URGE_MS)); /* it has run */
			  EXPECT_TRUE(eventually([&] { return ran == 2; }));
			  EXPECT_FALSE(urge_timer_reset(timer, far));
			  EXPECT_TRUE(urge_timer_stop(timer));
			  EXPECT_FALSE(urge_timer_reset(timer, 0)); /* it was stopped */
			  EXPECT_TRUE(eventually([&] { return ran == 3; }));
			  EXPECT_FALSE(urge_timer_stop(timer));
			  urge_timer_free(timer);
			  return 0;
		  }));
}

TEST(Timer, ResetToALaterTimePutsItOff)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> ran{ 0 };
			  urge_timer *timer = urge_timer_after(100 * URGE_MS, count_up, &ran);
			  int64_t from = urge_now();
			  bool always = true;

			  for (int i = 0; i < 20; i++) {
				  urge_sleep(10 * URGE_MS);
				  always &= urge_timer_reset(timer, 100 * URGE_MS);
				  from = always ? urge_now() : from;
			  }
			  EXPECT_TRUE(ran == 0 || urge_now() >= from + 99 * URGE_MS || !always);
			  EXPECT_TRUE(eventually([&] { return ran > 0; }));
			  EXPECT_LE(from + 99 * URGE_MS, urge_now());
			  urge_timer_free(timer);
			  return 0;
		  }));
}

TEST(Timer, RunsAtOnceForATimeThatIsPast)
{
	EXPECT_EQ(0, run_main([] {
			  for (int64_t ns : { (int64_t)0, (int64_t)-1, (int64_t)INT64_MIN }) {
				  std::atomic<int> ran{ 0 };
				  urge_timer *timer = urge_timer_after(ns, count_up, &ran);

				  EXPECT_TRUE(eventually([&] { return ran == 1; }));
				  EXPECT_FALSE(urge_timer_reset(timer, ns));
				  EXPECT_TRUE(eventually([&] { return ran == 2; }));
				  urge_timer_free(timer);
			  }
			  return 0;
		  }));
}

TEST(Timer, TimesThatDoNotFitAreFarAway)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> ran{ 0 };

			  for (int64_t ns : { INT64_MAX, INT64_MAX - 1, INT64_MAX / 2 }) {
				  urge_timer *timer = urge_timer_after(ns, count_up, &ran);

				  urge_sleep(URGE_MS);
				  EXPECT_TRUE(urge_timer_stop(timer));
				  urge_timer_free(timer);
			  }
			  EXPECT_EQ(0, ran);
			  return 0;
		  }));
}

/* The places of five timers, gap apart, in the order in which they ran. */
static std::string order_of_five(int64_t gap)
{
	static std::mutex lock;
	static std::string order;
	urge_timer *timers[5];
	const char names[] = "DAECB"; /* as they are set */

	order.clear();
	for (int i = 0; i < 5; i++)
		timers[i] = urge_timer_after((names[i] - 'A' + 1) * gap,
					     [](void *name) {
						     std::lock_guard<std::mutex> locked(lock);

						     order += *static_cast<const char *>(name);
					     },
					     (void *)&names[i]);
	EXPECT_TRUE(eventually([] {
		std::lock_guard<std::mutex> locked(lock);

		return order.size() == 5;
	}));
	for (urge_timer *timer : timers)
		urge_timer_free(timer);
	return order;
}

TEST(Timer, RunInTheOrderOfTheirTimes)
{
	EXPECT_EQ(0, run_main([] {
			  std::string order;

			  /* goroutines that are started late, together, run in any order */
			  for (int64_t gap = 10 * URGE_MS; gap < URGE_S && order != "ABCDE";
			       gap *= 2)
				  order = order_of_five(gap);
			  EXPECT_EQ("ABCDE", order);
			  return 0;
		  }));
}

TEST(Timer, MayBeFreedInItsOwnFunction)
{
	EXPECT_EQ(0, run_main([] {
			  struct Self {
				  urge_timer *timer;
				  std::atomic<bool> over;
			  } self = { nullptr, { false } };
			  self.timer = urge_timer_after(
				  20 * URGE_MS,
				  [](void *arg) {
					  auto *me = static_cast<Self *>(arg);

					  urge_timer_free(me->timer);
					  me->over = true;
				  },
				  &self);

			  EXPECT_TRUE(eventually([&] { return self.over.load(); }));
			  return 0;
		  }));
}

TEST(Timer, ThreadsOfTheProgramMaySetAndStop)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> ran{ 0 };
			  std::atomic<bool> done{ false };
			  std::thread outside([&] {
				  urge_timer *late = urge_timer_after(far, count_up, &ran);
				  urge_timer *soon = urge_timer_after(5 * URGE_MS, count_up, &ran);

				  EXPECT_TRUE(eventually([&] { return ran == 1; }));
				  EXPECT_FALSE(urge_timer_reset(soon, URGE_MS));
				  EXPECT_TRUE(eventually([&] { return ran == 2; }));
				  EXPECT_TRUE(urge_timer_stop(late));
				  urge_timer_free(soon);
				  urge_timer_free(late);
				  done = true;
			  });

			  EXPECT_TRUE(eventually([&] { return done.load(); }));
			  outside.join();
			  return 0;
		  }));
}

TEST(Timer, TheEndOfTheWorldStopsIt)
{
	static urge_timer *timers[1000];
	static std::atomic<int> ran;

	ran = 0;
	EXPECT_EQ(nullptr, urge_timer_after(1, count_up, &ran));
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(nullptr, urge_timer_after(1, nullptr, nullptr));
			  for (urge_timer *&timer : timers)
				  timer = urge_timer_after(far, count_up, &ran);
			  return 0;
		  }));
	for (int i = 0; i < 500; i++) {
		EXPECT_FALSE(urge_timer_reset(timers[i], 0));
		EXPECT_FALSE(urge_timer_stop(timers[i]));
		urge_timer_free(timers[i]);
	}
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(INT64_MAX, timers_earliest());
			  EXPECT_FALSE(urge_timer_stop(timers[500]));
			  for (int i = 500; i < 1000; i++)
				  EXPECT_FALSE(urge_timer_reset(timers[i], URGE_MS));
			  EXPECT_TRUE(eventually([] { return ran == 500; }));
			  for (int i = 500; i < 1000; i++)
				  urge_timer_free(timers[i]);
			  return 0;
		  }));
}

TEST(Timer, FullHeapsAreReported)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> ran{ 0 };
			  uint32_t max = timers_max;
			  std::vector<urge_timer *> timers;

			  urge_gomaxprocs(4);
			  timers_max = 10;
			  for (;;) {
				  urge_timer *timer = urge_timer_after(far, count_up, &ran);

				  if (!timer)
					  break;
				  timers.push_back(timer);
			  }
			  EXPECT_LE(10u, timers.size());
			  EXPECT_EQ(-ENOMEM, urge_sleep(URGE_S));
			  for (urge_timer *timer : timers) /* their own place is free again */
				  EXPECT_TRUE(urge_timer_reset(timer, far));
			  urge_gomaxprocs(1); /* and no place is lost that is taken */
			  for (urge_timer *timer : timers)
				  EXPECT_TRUE(urge_timer_reset(timer, 0));
			  EXPECT_TRUE(eventually([&] { return ran == (int)timers.size(); }));
			  timers_max = max;
			  for (urge_timer *timer : timers)
				  urge_timer_free(timer);
			  return 0;
		  }));
}

TEST(Timer, WaitsForMemoryForItsGoroutine)
{
	if (!IS_ENABLED(CONFIG_FAULT_INJECTION))
		GTEST_SKIP() << "built without CONFIG_FAULT_INJECTION";
	EXPECT_EQ(0, run_main([] {
			  std::vector<urge_timer *> timers;
			  std::atomic<int> ran{ 0 };
			  urge_waitgroup never = {};

			  urge_gomaxprocs(1); /* another P would keep free goroutines to itself */
			  urge_waitgroup_add(&never, 1); /* a wait that needs no memory */
			  fault_arm(FAULT_MAP, 0, 1000000);
			  while (go([&] { urge_waitgroup_wait(&never); }) == 0)
				  urge_yield(); /* until there is no stack left */
			  for (int i = 0; i < 10; i++)
				  timers.push_back(urge_timer_after(0, count_up, &ran));
			  urge_sleep(20 * URGE_MS);
			  EXPECT_EQ(0, ran);
			  for (int i = 0; i < 5; i++)
				  EXPECT_TRUE(urge_timer_stop(timers[i]));
			  fault_arm(FAULT_MAP, 0, 0);
			  EXPECT_TRUE(eventually([&] { return ran == 5; }));
			  for (urge_timer *timer : timers)
				  urge_timer_free(timer);
			  EXPECT_EQ(5, ran);
			  return 0;
		  }));
}

/* ---- many ---------------------------------------------------------------------------------- */

namespace
{

/* Timers of which each is stopped or runs, once. */
class Crowd
{
public:
	explicit Crowd(size_t n) : ran(n), timers(n) {}

	void start(size_t i, int64_t ns)
	{
		Mark *mark = new Mark{ this, i };

		timers[i] = urge_timer_after(
			ns,
			[](void *arg) {
				std::unique_ptr<Mark> mine(static_cast<Mark *>(arg));

				mine->crowd->ran[mine->i]++;
				mine->crowd->total++;
			},
			mark);
		marks.push_back(mark);
		ASSERT_TRUE(timers[i]);
	}

	/* Each one that has not run yet when its turn comes is stopped. */
	void stop(size_t i)
	{
		if (!urge_timer_stop(timers[i]))
			return;
		ran[i] += 100;
		delete marks[i];
		stopped++;
	}

	void expect_over()
	{
		size_t wrong = 0;

		EXPECT_TRUE(eventually([&] { return total + stopped == (int)timers.size(); },
				       60 * URGE_S));
		for (auto &times : ran)
			wrong += times != 1 && times != 100;
		EXPECT_EQ(0u, wrong);
		for (urge_timer *timer : timers)
			urge_timer_free(timer);
	}

	std::vector<std::atomic<int>> ran;
	std::atomic<int> total{ 0 };
	int stopped = 0;

private:
	struct Mark {
		Crowd *crowd;
		size_t i;
	};
	std::vector<urge_timer *> timers;
	std::vector<Mark *> marks;
};

} // namespace

TEST(Timer, AMillionRunOrAreStoppedEachOnce)
{
	Outcome outcome = in_child(
		[] {
			EXPECT_EQ(0, run_main([] {
					  const size_t n = many(1000000);
					  Random random(test_seed());
					  Crowd crowd(n);

					  for (size_t i = 0; i < n; i++)
						  crowd.start(i, random.below(3000) * URGE_MS);
					  for (size_t i = 0; i < n; i += 2)
						  crowd.stop(i);
					  crowd.expect_over();
					  EXPECT_EQ(INT64_MAX, timers_earliest());
					  return 0;
				  }));
		},
		120 * URGE_S);

	EXPECT_EXITED(0, outcome);
}

TEST(Timer, NoneIsLostWhenTheNumberOfPsChanges)
{
	Outcome outcome = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  Random random(test_seed());
				  const size_t n = many(20000);
				  Crowd crowd(n);

				  for (size_t i = 0; i < n; i++) {
					  if (i % 100 == 0)
						  urge_gomaxprocs(1 + (int)random.below(6));
					  crowd.start(i, random.below(300000) * URGE_US);
					  if (i % 50 == 0)
						  urge_yield();
				  }
				  while (crowd.total < (int)n) {
					  urge_gomaxprocs(1 + (int)random.below(6));
					  urge_sleep(URGE_MS);
				  }
				  crowd.expect_over();
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
}

/*
 * Whatever stops, resets and expiries meet: a timer's function runs as often as it was set, less
 * the times that a stop or a reset said it would not.
 */
TEST(Timer, RunsAsOftenAsItWasSetAndNotStopped)
{
	Outcome outcome = in_child([] {
		uint64_t seed = test_seed();

		EXPECT_EQ(0, run_main([&] {
				  const int workers = 6, rounds = 20000;
				  static std::atomic<int> ran;
				  std::atomic<int> left{ workers }, expected{ 0 };
				  urge_timer *timers[3];

				  urge_gomaxprocs(2);
				  ran = 0;
				  for (urge_timer *&timer : timers) {
					  timer = urge_timer_after(0, count_up, &ran);
					  expected++;
				  }
				  for (int i = 0; i < workers; i++)
					  EXPECT_EQ(
						  0, go([&, i] {
							  Random random(seed + (uint64_t)i);

							  for (int n = 0; n < rounds; n++) {
								  urge_timer *t =
									  timers[random.below(3)];
								  int64_t ns = random.below(20000);

								  if (random.below(4) == 0)
									  expected -=
										  urge_timer_stop(
											  t);
								  else
									  expected +=
										  !urge_timer_reset(
											  t, ns);
								  if (random.below(8) == 0)
									  urge_sleep(random.below(
										  20000));
							  }
							  left--;
						  }));
				  EXPECT_TRUE(eventually([&] { return left == 0; }));
				  for (urge_timer *timer : timers) {
					  expected -= urge_timer_stop(timer);
					  urge_timer_free(timer);
				  }
				  EXPECT_TRUE(eventually([&] { return ran == expected; }));
				  urge_sleep(5 * URGE_MS);
				  EXPECT_EQ(expected, ran);
				  EXPECT_LT(100, ran);
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
}

TEST(Timer, MayBeFreedRightAfterAnyStop)
{
	Outcome outcome = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  Random random(test_seed());
				  std::atomic<int> ran{ 0 };
				  int expected = 0;

				  urge_gomaxprocs(2);
				  for (int i = 0; i < 30000; i++) {
					  urge_timer *timer = urge_timer_after(random.below(5000),
									       count_up, &ran);

					  if (random.below(2))
						  urge_yield();
					  for (uint32_t n = random.below(1000); n > 0; n--)
						  cpu_relax();
					  expected += !urge_timer_stop(timer);
					  urge_timer_free(timer);
				  }
				  EXPECT_TRUE(eventually([&] { return ran == expected; }));
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
}

/* ---- the heap ------------------------------------------------------------------------------ */

namespace
{

struct Ordered {
	struct timer timer;
	int64_t when;
	static int64_t last;
	static size_t ran;

	static int64_t expire(struct timer *t, int64_t when, int64_t, struct due *)
	{
		EXPECT_EQ(reinterpret_cast<Ordered *>(t)->when, when);
		EXPECT_LE(last, when);
		last = when;
		ran++;
		return 0;
	}
};

int64_t Ordered::last;
size_t Ordered::ran;

} // namespace

TEST(TimerHeap, StaysInOrderWhateverIsTakenOut)
{
	static struct p pp;
	Random random(test_seed());
	std::vector<Ordered> timers(5000);
	size_t in = 0;

	ASSERT_EQ(0, timers_init(&pp.timers, RANK_TIMERS));
	for (int round = 0; round < 20; round++) {
		uint32_t range = round % 2 ? 20 : 1000000;

		for (Ordered &one : timers) {
			bool was_in = load_rlx_ptr(&one.timer.heap) != nullptr;

			if (random.below(3) == 0) {
				EXPECT_EQ(was_in, timer_remove(&one.timer));
				in -= was_in;
			} else if (!was_in) {
				one.timer.expire = Ordered::expire;
				one.when = Ordered::last + 1 + random.below(range);
				EXPECT_TRUE(timer_add(&pp, &one.timer, one.when));
				in++;
			}
		}
		EXPECT_EQ(in, pp.timers.n);
		Ordered::ran = 0;
		EXPECT_EQ(Ordered::ran, timers_run(&pp, Ordered::last));
		size_t ran = timers_run(&pp, Ordered::last + range / 2);

		EXPECT_EQ(Ordered::ran, ran);
		in -= ran;
	}
	timers_run(&pp, INT64_MAX - 1);
	EXPECT_EQ(0u, pp.timers.n);
	EXPECT_EQ(INT64_MAX, load_rlx_i64(&pp.timers.minwhen));
}

/* Those for which the first P has no room stay where they are, and are seen there. */
TEST(TimerHeap, OfADeadPKeepsWhatFindsNoRoom)
{
	EXPECT_EQ(0, run_main([] {
			  static std::atomic<int> ran;
			  std::vector<struct timer> timers(30);
			  uint32_t max = timers_max;
			  size_t n = 0;

			  ran = 0;
			  urge_gomaxprocs(3);
			  timers_max = 10;
			  enter();
			  for (struct p *pp = p_first(); pp;
			       pp = (struct p *)load_acq_ptr(&pp->next)) {
				  for (int i = 0; i < 10 && n < 30; i++, n++) {
					  timers[n].expire = [](struct timer *, int64_t, int64_t,
								struct due *) -> int64_t {
						  ran++;
						  return 0;
					  };
					  EXPECT_TRUE(timer_add(pp, &timers[n], urge_now() + far));
				  }
			  }
			  leave();
			  EXPECT_EQ(30u, n);
			  urge_gomaxprocs(1);
			  EXPECT_TRUE(timer_remove(&timers[29]));
			  enter();
			  for (int i = 0; i < 29; i++)
				  EXPECT_TRUE(
					  timer_reset(&timers[i], urge_now() + i * 100 * URGE_US));
			  leave();
			  EXPECT_TRUE(eventually([] { return ran == 29; }));
			  EXPECT_EQ(29, ran);
			  timers_max = max;
			  return 0;
		  }));
}

/* A thread that sleeps until the time of a timer that was stopped hides no deadlock. */
TEST(Timer, StoppedHidesNoDeadlock)
{
	Outcome outcome = in_child([] {
		run_main([] {
			std::atomic<int> ran{ 0 };
			urge_timer *timer = urge_timer_after(far, count_up, &ran);

			urge_sleep(20 * URGE_MS); /* somebody waits in netpoll meanwhile */
			urge_timer_stop(timer);
			EXPECT_EQ(-ETIMEDOUT,
				  urge_recv_until(nullptr, nullptr, urge_now() + 20 * URGE_MS));
			return urge_recv(nullptr, nullptr);
		});
	});

	EXPECT_EXITED(2, outcome);
	EXPECT_SAYS("all goroutines are asleep - deadlock!", outcome.err);
}
