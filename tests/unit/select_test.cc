/* SPDX-License-Identifier: MIT */
/* select: what Go's tests of it look at (runtime/chan_test.go, test/chan/select*.go), and more. */
#include "tests/unit/chans.h"
#include <atomic>
#include <cmath>
#include <numeric>
#include <thread>

static struct urge_case sends(urge_chan *c, void *elem)
{
	return { c, URGE_SEND, elem, 77 };
}

static struct urge_case receives(urge_chan *c, void *elem)
{
	return { c, URGE_RECV, elem, 77 };
}

using Cases = std::vector<struct urge_case>;

static int select(Cases &cases)
{
	return urge_select(cases.data(), cases.size());
}

static int try_select(Cases &cases)
{
	return urge_try_select(cases.data(), cases.size());
}

/* ---- what goes ----------------------------------------------------------------------------- */

TEST(Select, DoesWhatIsPossibleAndNothingElse)
{
	EXPECT_EQ(
		0, run_main([] {
			Chan<int> empty, some(2), full(1);
			int a = 1, b = 2, d = 3;

			EXPECT_EQ(0, some.send(42));
			EXPECT_EQ(0, full.send(1));

			Cases one = { receives(empty, &a), sends(full, &b), receives(some, &d) };
			EXPECT_EQ(2, select(one));
			EXPECT_EQ(0, one[2].result);
			EXPECT_EQ(1, a);
			EXPECT_EQ(42, d);
			EXPECT_EQ(1u, urge_chan_len(full));

			Cases two = { sends(empty, &a), sends(some, &b), receives(empty, nullptr) };
			EXPECT_EQ(1, select(two));
			EXPECT_EQ(0, two[1].result);
			EXPECT_EQ(2, some.recv());
			return 0;
		}));
}

TEST(Select, ClosedChannelsAreReady)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> open, closed;
			  int v = 5;

			  urge_close_chan(closed);
			  Cases recv = { receives(open, nullptr), receives(closed, &v) };
			  EXPECT_EQ(1, select(recv));
			  EXPECT_EQ(-EPIPE, recv[1].result);
			  EXPECT_EQ(0, v);
			  Cases send = { sends(closed, &v), receives(open, nullptr) };
			  EXPECT_EQ(0, select(send));
			  EXPECT_EQ(-EPIPE, send[0].result);
			  return 0;
		  }));
}

TEST(Select, WaitsForWhicheverComesFirst)
{
	with_procs([](int) {
		for (int round = 0; round < 200; round++) {
			Chan<int> c[3], over(1);
			int which = round % 3, got = 0, sent = 10 + round;

			EXPECT_EQ(0, go([&] {
					  Cases cases = { receives(c[0], &got),
							  receives(c[1], &got),
							  receives(c[2], &got),
							  receives(nullptr, &got) };

					  EXPECT_EQ(which, select(cases));
					  EXPECT_EQ(0, cases[(size_t)which].result);
					  over.send(got);
				  }));
			if (round % 2) {
				EXPECT_TRUE(wait_for_waiters(c[which], 1));
			}
			EXPECT_EQ(0, c[which].send(sent));
			EXPECT_EQ(sent, over.recv());
			for (auto &each : c)
				EXPECT_EQ(0u, waiters(each));
		}
	});
}

TEST(Select, WaitingSendIsTaken)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> a, b, over(1);

			  EXPECT_EQ(0, go([&] {
					    int x = 1, y = 2;
					    Cases cases = { sends(a, &x), sends(b, &y) };

					    EXPECT_EQ(1, select(cases));
					    EXPECT_EQ(0, cases[1].result);
					    over.send(1);
				    }));
			  EXPECT_TRUE(wait_for_waiters(a, 1));
			  EXPECT_EQ(2, b.recv());
			  over.recv();
			  EXPECT_EQ(0u, waiters(a));
			  return 0;
		  }));
}

TEST(Select, CloseWakesIt)
{
	with_procs([](int) {
		Chan<int> in, out, over(64);

		for (int i = 0; i < 20; i++)
			EXPECT_EQ(0, go([&] {
					  int v = 5;
					  Cases cases = { receives(in, &v), sends(out, &v) };
					  int went = select(cases);

					  EXPECT_LE(0, went);
					  EXPECT_EQ(-EPIPE, cases[(size_t)went].result);
					  over.send(went);
				  }));
		EXPECT_TRUE(wait_for_waiters(out, 20));
		urge_close_chan(in);
		urge_close_chan(out);
		for (int i = 0; i < 20; i++)
			over.recv();
	});
}

/* Two selects, of opposite directions, meet each other and never themselves (test/chan/select3.go). */
TEST(Select, MeetsAnotherButNotItself)
{
	with_procs([](int) {
		Chan<int> c, over(2);
		std::atomic<int> sent{ 0 }, received{ 0 };

		for (int i = 0; i < 2; i++)
			EXPECT_EQ(
				0, go([&, i] {
					for (int n = 0; n < 1000; n++) {
						int out = i, in = -1;
						Cases cases = { sends(c, &out), receives(c, &in) };

						if (select(cases) == 0) {
							sent++;
						} else {
							EXPECT_EQ(1 - i, in);
							received++;
						}
					}
					over.send(i);
				}));
		over.recv();
		over.recv();
		EXPECT_EQ(1000, sent);
		EXPECT_EQ(1000, received);
		EXPECT_EQ(0u, waiters(c));
	});
}

TEST(Select, TheSameChannelManyTimes)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> c, over;
			  int v[20] = {};
			  Cases cases;

			  for (int &each : v)
				  cases.push_back(receives(c, &each));
			  for (int round = 1; round <= 50; round++) {
				  EXPECT_EQ(0, go([&] {
						    EXPECT_LE(0, select(cases));
						    over.send(std::accumulate(v, v + 20, 0));
					    }));
				  if (round % 2) {
					  EXPECT_TRUE(wait_for_waiters(c, 20));
				  }
				  std::fill(v, v + 20, 0);
				  EXPECT_EQ(0, c.send(round));
				  EXPECT_EQ(round, over.recv());
				  EXPECT_EQ(0u, waiters(c));
			  }
			  return 0;
		  }));
}

/* ---- what does not ------------------------------------------------------------------------- */

TEST(Select, TryNeverWaits)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> empty, full(1);
			  int v = 5;
			  Cases cases = { receives(empty, &v), sends(full, &v),
					  receives(nullptr, &v), sends(nullptr, &v) };

			  EXPECT_EQ(0, full.send(1));
			  EXPECT_EQ(-EAGAIN, try_select(cases));
			  EXPECT_EQ(-EAGAIN, urge_select_until(cases.data(), cases.size(), 0));
			  EXPECT_EQ(-EAGAIN, urge_try_select(nullptr, 0));
			  EXPECT_EQ(5, v);
			  EXPECT_EQ(1, full.recv());
			  EXPECT_EQ(1, try_select(cases));
			  return 0;
		  }));
}

/* The token is always in one of the channels: a try that finds none has not looked at one instant. */
TEST(Select, TryLooksAtAllAtOneInstant)
{
	with_procs([](int) {
		Chan<int> a(1), b(1), over;
		std::atomic<bool> stop{ false };

		EXPECT_EQ(0, a.send(1));
		EXPECT_EQ(
			0, go([&] {
				while (!stop) { /* never none: the new one before the old one goes */
					EXPECT_EQ(0, b.send(1));
					EXPECT_EQ(1, a.recv());
					EXPECT_EQ(0, a.send(1));
					EXPECT_EQ(1, b.recv());
				}
				over.send(1);
			}));
		for (int i = 0; i < 20000; i++) {
			Cases cases = { receives(a, nullptr), receives(b, nullptr) };
			int went = try_select(cases);

			EXPECT_LE(0, went);
			if (went < 0)
				break;
			EXPECT_EQ(0, (went ? b : a).send(1));
		}
		stop = true;
		over.recv();
	});
}

TEST(Select, WithoutAPossibleCaseWaitsForEver)
{
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(0, go([] {
					    urge_select(nullptr, 0);
					    ADD_FAILURE();
				    }));
			  EXPECT_EQ(0, go([] {
					    Cases nil = { receives(nullptr, nullptr),
							  sends(nullptr, nullptr) };

					    select(nil);
					    ADD_FAILURE();
				    }));
			  for (int i = 0; i < 100; i++)
				  urge_yield();
			  EXPECT_EQ(3u, urge_num_goroutine());
			  return 0;
		  }));
	Outcome outcome = in_child([] { run_main([] { return urge_select(nullptr, 0); }); });

	EXPECT_EXITED(2, outcome);
	EXPECT_SAYS("all goroutines are asleep - deadlock!", outcome.err);
	EXPECT_SAYS("[select (no cases)]", outcome.err);
}

TEST(Select, RefusesWhatMakesNoSense)
{
	EXPECT_EQ(0, run_main([] {
			  Cases odd = { receives(nullptr, nullptr), { nullptr, 3, nullptr, 0 } };
			  Cases many(65537, receives(nullptr, nullptr));

			  EXPECT_EQ(-EINVAL, try_select(odd));
			  EXPECT_EQ(-EINVAL, try_select(many));
			  return 0;
		  }));
}

TEST(Select, EndsWithItsDeadline)
{
	EXPECT_EQ(
		0, run_main([] {
			Chan<int> a, b;
			Cases cases = { receives(a, nullptr), sends(b, nullptr),
					receives(nullptr, nullptr) };

			for (int64_t ns : { -URGE_S, URGE_MS, 10 * URGE_MS }) {
				int64_t deadline = urge_now() + ns;

				EXPECT_EQ(-ETIMEDOUT, urge_select_until(cases.data(), 3, deadline));
				EXPECT_EQ(-ETIMEDOUT, urge_select_until(nullptr, 0, deadline));
				EXPECT_LE(deadline, urge_now());
			}
			EXPECT_EQ(0u, waiters(a) + waiters(b));
			EXPECT_EQ(0, go([&] { EXPECT_EQ(0, a.send(1)); }));
			EXPECT_EQ(0, urge_select_until(cases.data(), 3, urge_now() + 100 * URGE_S));
			return 0;
		}));
}

/* ---- many ---------------------------------------------------------------------------------- */

TEST(Select, ManyCases)
{
	EXPECT_EQ(0, run_main([] {
			  for (size_t n : { 8, 9, 64, 65, 1000, 65536 }) {
				  std::vector<std::unique_ptr<Chan<size_t>>> chans;
				  Chan<int> over;
				  size_t got = 0;
				  Cases cases;

				  for (size_t i = 0; i < n; i++) {
					  chans.push_back(std::make_unique<Chan<size_t>>());
					  cases.push_back(receives(*chans.back(), &got));
				  }
				  EXPECT_EQ(-EAGAIN, try_select(cases));
				  for (size_t i : { (size_t)0, n / 3, n - 1 }) {
					  EXPECT_EQ(0, go([&] { over.send(select(cases)); }));
					  EXPECT_TRUE(wait_for_waiters(*chans[n - 1], 1));
					  EXPECT_EQ(0, chans[i]->send(i + 1));
					  EXPECT_EQ((int)i, over.recv());
					  EXPECT_EQ(i + 1, got);
					  EXPECT_EQ(0u,
						    waiters(*chans[0]) + waiters(*chans[n / 2]));
				  }
			  }
			  return 0;
		  }));
}

/* ---- chance -------------------------------------------------------------------------------- */

/*
 * 95 % of all fair choices among k pass chi-square's 0.05; this bound is passed by all but one in
 * a billion: the test must not fail by chance.
 */
static void expect_fair(const std::vector<int> &counts)
{
	double total = std::accumulate(counts.begin(), counts.end(), 0.0);
	double expected = total / (double)counts.size(), chi = 0;
	double freedom = (double)counts.size() - 1;

	for (int count : counts)
		chi += (count - expected) * (count - expected) / expected;
	EXPECT_LT(chi, freedom + 9 * std::sqrt(2 * freedom) + 20) << testing::PrintToString(counts);
}

TEST(Select, ChoosesFairlyAmongReadyOnes)
{
	EXPECT_EQ(0, run_main([] {
			  for (size_t n : { 2, 3, 5, 8, 70, 200 }) {
				  std::vector<std::unique_ptr<Chan<int>>> chans;
				  std::vector<int> counts;
				  std::vector<size_t> ready;
				  Cases cases;

				  for (size_t i = 0; i < n;
				       i++) { /* gaps: every third is never ready */
					  chans.push_back(std::make_unique<Chan<int>>(1));
					  cases.push_back(receives(*chans.back(), nullptr));
					  if (i % 3 != 2) {
						  EXPECT_EQ(0, chans[i]->send(1));
						  ready.push_back(i);
					  }
				  }
				  counts.resize(n);
				  for (size_t i = 0; i < 1000 * n; i++) {
					  int went = select(cases);

					  counts[(size_t)went]++;
					  EXPECT_EQ(0, chans[(size_t)went]->send(1));
				  }
				  std::vector<int> of_ready;

				  for (size_t i : ready)
					  of_ready.push_back(counts[i]);
				  EXPECT_EQ((int)(1000 * n),
					    std::accumulate(of_ready.begin(), of_ready.end(), 0));
				  expect_fair(of_ready);
			  }
			  return 0;
		  }));
}

/* A receiver that always has work on one channel still sees the other (test/chan/fair...). */
TEST(Select, ABusyChannelDoesNotStarveAnother)
{
	with_procs([](int) {
		Chan<int> busy, rare, over;
		std::atomic<bool> stop{ false };
		int from_rare = 0;

		EXPECT_EQ(0, go([&] {
				  while (!stop)
					  busy.try_send(1), urge_yield();
				  over.send(1);
			  }));
		EXPECT_EQ(0, go([&] {
				  for (int i = 0; i < 100; i++)
					  EXPECT_EQ(0, rare.send(1));
				  over.send(1);
			  }));
		while (from_rare < 100) {
			Cases cases = { receives(busy, nullptr), receives(rare, nullptr) };

			from_rare += select(cases);
		}
		stop = true;
		over.recv();
		over.recv();
	});
}

/* ---- threads of the program ---------------------------------------------------------------- */

TEST(Select, ThreadsMayTryButNotWait)
{
	Chan<int> c(1);
	int v = 3;
	Cases cases = { receives(nullptr, nullptr), sends(c, &v), sends(c, &v) };

	EXPECT_EQ(-EPERM, select(cases));
	EXPECT_EQ(-EPERM, urge_select_until(cases.data(), 3, URGE_FOREVER));
	EXPECT_LE(1, try_select(cases));
	EXPECT_EQ(-EAGAIN, try_select(cases));
}
