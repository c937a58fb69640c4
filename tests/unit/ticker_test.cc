/* SPDX-License-Identifier: MIT */
/* urge_after and tickers. */
#include "tests/stress/seed.h"
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <climits>
#include <thread>

namespace
{

const int64_t far = 1000 * URGE_S;

int64_t receive(urge_chan *chan)
{
	int64_t time = 0;

	EXPECT_EQ(0, urge_recv_until(chan, &time, urge_now() + 30 * URGE_S));
	return time;
}

} // namespace

TEST(After, SendsTheTimeOnceAndNotBefore)
{
	EXPECT_EQ(0, run_main([] {
			  for (int64_t ns : { (int64_t)0, (int64_t)-5, (int64_t)INT64_MIN, URGE_MS,
					      20 * URGE_MS }) {
				  int64_t start = urge_now();
				  urge_chan *chan = urge_after(ns);
				  int64_t time = receive(chan);

				  EXPECT_LE(start + (ns > 0 ? ns : 0), time);
				  EXPECT_LE(time, urge_now());
				  EXPECT_EQ(-ETIMEDOUT,
					    urge_recv_until(chan, nullptr, urge_now() + URGE_MS));
				  EXPECT_EQ(1u, urge_chan_cap(chan));
				  urge_chan_free(chan);
			  }
			  return 0;
		  }));
}

TEST(After, EndsASelect)
{
	EXPECT_EQ(0, run_main([] {
			  urge_chan *never = urge_chan_make(0, 0), *soon = urge_after(URGE_MS);
			  int64_t time = 0;
			  struct urge_case cases[] = { { never, URGE_RECV, nullptr, 1 },
						       { soon, URGE_RECV, &time, 1 } };

			  EXPECT_EQ(1, urge_select(cases, 2));
			  EXPECT_EQ(0, cases[1].result);
			  EXPECT_LT(0, time);
			  urge_chan_free(soon);
			  urge_chan_free(never);
			  return 0;
		  }));
}

TEST(After, MayBeFreedAtAnyTime)
{
	Outcome outcome = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  Random random(test_seed());

				  urge_gomaxprocs(2);
				  urge_chan_free(urge_after(far));
				  EXPECT_EQ(INT64_MAX, timers_earliest());
				  for (int i = 0; i < 20000; i++) {
					  urge_chan *chan = urge_after(random.below(3000));

					  if (random.below(3) == 0)
						  receive(chan);
					  else
						  for (uint32_t n = random.below(1000); n > 0; n--)
							  cpu_relax();
					  urge_chan_free(chan);
				  }
				  EXPECT_EQ(INT64_MAX, timers_earliest());
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
}

TEST(After, OutsideOfAWorldThereIsNone)
{
	static urge_chan *chan;
	static urge_ticker *ticker;

	EXPECT_EQ(nullptr, urge_after(1));
	EXPECT_EQ(nullptr, urge_ticker_new(1));
	EXPECT_EQ(0, run_main([] {
			  std::thread([] {
				  chan = urge_after(far);
				  ticker = urge_ticker_new(far);
			  }).join();
			  EXPECT_NE(INT64_MAX, timers_earliest());
			  return 0;
		  }));
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(INT64_MAX, timers_earliest());
			  EXPECT_EQ(-EAGAIN, urge_try_recv(chan, nullptr));
			  EXPECT_EQ(-EAGAIN, urge_try_recv(urge_ticker_chan(ticker), nullptr));
			  urge_ticker_stop(ticker);
			  return 0;
		  }));
	urge_chan_free(chan);
}

TEST(Ticker, TicksOnceAPeriodAtMost)
{
	EXPECT_EQ(0, run_main([] {
			  const int64_t period = 2 * URGE_MS;
			  int64_t start = urge_now(), last = 0;
			  urge_ticker *ticker = urge_ticker_new(period);

			  for (int i = 1; i <= 50; i++) {
				  int64_t time = receive(urge_ticker_chan(ticker));

				  EXPECT_LE(start + i * period, time);
				  EXPECT_LT(last, time);
				  last = time;
			  }
			  urge_ticker_stop(ticker);
			  EXPECT_EQ(INT64_MAX, timers_earliest());
			  return 0;
		  }));
}

/* Looked at at times that are made up. */
TEST(Ticker, DoesNotDriftHoweverLateItsTicksAre)
{
	EXPECT_EQ(0, run_main([] {
			  urge_ticker *ticker = urge_ticker_new(far);
			  int64_t first = timers_earliest(), ticks = 0;

			  for (int64_t late :
			       { (int64_t)0, (int64_t)1, far - 1, far, 7 * far / 2, (int64_t)77 }) {
				  int64_t now = first + ticks * far + late, time = 0;

				  enter();
				  EXPECT_EQ(1u, timers_run_all(now));
				  leave();
				  ticks += 1 + late / far;
				  EXPECT_EQ(first + ticks * far, timers_earliest());
				  EXPECT_EQ(0, urge_try_recv(urge_ticker_chan(ticker), &time));
				  EXPECT_EQ(now, time);
			  }
			  urge_ticker_stop(ticker);
			  return 0;
		  }));
}

TEST(Ticker, DropsTicksForASlowReader)
{
	EXPECT_EQ(0, run_main([] {
			  urge_ticker *ticker = urge_ticker_new(URGE_MS);
			  urge_chan *chan = urge_ticker_chan(ticker);
			  int64_t first, second;

			  urge_sleep(30 * URGE_MS);
			  EXPECT_EQ(1u, urge_chan_len(chan));
			  first = receive(chan);
			  second = receive(chan);
			  EXPECT_LT(first, urge_now() - 15 * URGE_MS);
			  EXPECT_LT(first + 15 * URGE_MS, second);
			  urge_ticker_stop(ticker);
			  return 0;
		  }));
}

TEST(Ticker, NeedsAPeriod)
{
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(nullptr, urge_ticker_new(0));
			  EXPECT_EQ(nullptr, urge_ticker_new(-1));
			  EXPECT_EQ(nullptr, urge_ticker_new(INT64_MIN));
			  urge_ticker *slow = urge_ticker_new(INT64_MAX);

			  EXPECT_EQ(-ETIMEDOUT, urge_recv_until(urge_ticker_chan(slow), nullptr,
								urge_now() + URGE_MS));
			  urge_ticker_stop(slow);
			  urge_ticker_stop(nullptr);
			  return 0;
		  }));
}

TEST(Ticker, MayBeStoppedWhileItTicks)
{
	Outcome outcome = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  Random random(test_seed());

				  urge_gomaxprocs(2);
				  for (int i = 0; i < 5000; i++) {
					  urge_ticker *ticker =
						  urge_ticker_new(1 + random.below(2000));

					  for (uint32_t n = random.below(4); n > 0; n--)
						  receive(urge_ticker_chan(ticker));
					  for (uint32_t n = random.below(1000); n > 0; n--)
						  cpu_relax();
					  urge_ticker_stop(ticker);
				  }
				  EXPECT_EQ(INT64_MAX, timers_earliest());
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
}

TEST(Ticker, TicksOnWhenTheNumberOfPsChanges)
{
	EXPECT_EQ(0, run_main([] {
			  urge_ticker *tickers[8];

			  for (urge_ticker *&ticker : tickers) {
				  urge_gomaxprocs(4);
				  urge_yield();
				  ticker = urge_ticker_new(URGE_MS);
			  }
			  for (int i = 0; i < 40; i++) {
				  urge_gomaxprocs(1 + i % 4);
				  receive(urge_ticker_chan(tickers[i % 8]));
			  }
			  for (urge_ticker *ticker : tickers)
				  urge_ticker_stop(ticker);
			  EXPECT_EQ(INT64_MAX, timers_earliest());
			  return 0;
		  }));
}
