/* SPDX-License-Identifier: MIT */
/* Channels: what Go's tests of them look at (runtime/chan_test.go, test/chan), and what C adds. */
#include "tests/unit/chans.h"
#include <atomic>
#include <map>
#include <stdexcept>
#include <thread>

/* ---- order and hand-off -------------------------------------------------------------------- */

TEST(Chan, BufferIsFirstInFirstOut)
{
	with_procs([](int) {
		Chan<int> c(10);

		for (int round = 0; round < 25; round++) { /* the ring wraps at odd places */
			for (int i = 0; i < 7; i++)
				EXPECT_EQ(0, c.send(i));
			EXPECT_EQ(7u, urge_chan_len(c));
			for (int i = 0; i < 7; i++)
				EXPECT_EQ(i, c.recv());
		}
		EXPECT_EQ(0u, urge_chan_len(c));
		EXPECT_EQ(10u, urge_chan_cap(c));
	});
}

TEST(Chan, ManySendersKeepTheirOwnOrder)
{
	with_procs([](int) {
		for (size_t capacity : { 0, 1, 16 }) {
			Chan<std::pair<int, int>> c(capacity);
			std::map<int, int> last;

			for (int s = 0; s < 8; s++)
				EXPECT_EQ(0, go([&c, s] {
						  for (int i = 1; i <= 500; i++)
							  EXPECT_EQ(0, c.send({ s, i }));
					  }));
			for (int n = 0; n < 8 * 500; n++) {
				std::pair<int, int> v = c.recv();

				EXPECT_EQ(last[v.first] + 1, v.second);
				last[v.first] = v.second;
			}
		}
	});
}

TEST(Chan, WaitersAreServedInTheOrderOfTheirArrival)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> c, served(16);

			  for (int i = 0; i < 10; i++) {
				  EXPECT_EQ(0, go([&, i] {
						    EXPECT_EQ(i, c.recv());
						    served.send(i);
					    }));
				  EXPECT_TRUE(wait_for_waiters(c, (size_t)i + 1));
			  }
			  for (int i = 0; i < 10; i++)
				  EXPECT_EQ(0, c.send(i));
			  for (int i = 0; i < 10; i++)
				  served.recv();
			  for (int i = 0; i < 10; i++) {
				  EXPECT_EQ(0, go([&, i] { EXPECT_EQ(0, c.send(i)); }));
				  EXPECT_TRUE(wait_for_waiters(c, (size_t)i + 1));
			  }
			  for (int i = 0; i < 10; i++)
				  EXPECT_EQ(i, c.recv());
			  return 0;
		  }));
}

/* Each stage waits for the left one and hands on to the right one (test/chan/fifo.go). */
TEST(Chan, ChainOfGoroutinesHandsOn)
{
	with_procs([](int) {
		enum { STAGES = 100 };
		std::vector<std::unique_ptr<Chan<int>>> links;

		for (int i = 0; i <= STAGES; i++)
			links.push_back(std::make_unique<Chan<int>>());
		for (int i = 0; i < STAGES; i++)
			EXPECT_EQ(0, go([&, i] {
					  int v = links[(size_t)i]->recv();
					  EXPECT_EQ(i, v);
					  EXPECT_EQ(0, links[(size_t)i + 1]->send(v + 1));
				  }));
		EXPECT_EQ(0, links[0]->send(0));
		EXPECT_EQ((int)STAGES, links[STAGES]->recv());
	});
}

/* A full buffer with waiting senders: theirs come after what is buffered. */
TEST(Chan, WaitingSendersComeAfterTheBuffer)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> c(3);

			  for (int i = 0; i < 3; i++)
				  EXPECT_EQ(0, c.send(i));
			  for (int i = 3; i < 6; i++) {
				  EXPECT_EQ(0, go([&c, i] { EXPECT_EQ(0, c.send(i)); }));
				  EXPECT_TRUE(wait_for_waiters(c, (size_t)i - 2));
			  }
			  for (int i = 0; i < 6; i++)
				  EXPECT_EQ(i, c.recv());
			  return 0;
		  }));
}

/* ---- elements ------------------------------------------------------------------------------ */

TEST(Chan, ElementsOfAllSizes)
{
	EXPECT_EQ(
		0, run_main([] {
			for (size_t size : { 0, 1, 3, 7, 8, 9, 16, 100, 4096, 65536 })
				for (size_t capacity : { 0, 1, 3 }) {
					urge_chan *c = urge_chan_make(size, capacity);
					urge_waitgroup wg = {};

					EXPECT_NE(nullptr, c) << size;
					urge_waitgroup_add(&wg, 1);
					EXPECT_EQ(0, go([&] {
							  for (int i = 0; i < 8; i++) {
								  std::string v(size,
										(char)('a' + i));

								  EXPECT_EQ(0, urge_send(c, &v[0]));
							  }
							  urge_waitgroup_done(&wg);
						  }));
					for (int i = 0; i < 8; i++) {
						std::string v(size + 1, '?');

						EXPECT_EQ(0, urge_recv(c, &v[0]));
						EXPECT_EQ(std::string(size, (char)('a' + i)) + '?',
							  v);
					}
					urge_waitgroup_wait(&wg);
					urge_chan_free(c);
				}
			return 0;
		}));
}

TEST(Chan, NoElementSendsZerosAndDiscards)
{
	EXPECT_EQ(0, run_main([] {
			  for (size_t capacity : { 0, 1 }) {
				  Chan<int> c(capacity);

				  EXPECT_EQ(0, go([&] { EXPECT_EQ(0, urge_send(c, nullptr)); }));
				  EXPECT_EQ(0, c.recv());
				  EXPECT_EQ(0, go([&] { EXPECT_EQ(0, c.send(7)); }));
				  EXPECT_EQ(0, urge_recv(c, nullptr));
				  /* the other way round: the receiver waits */
				  EXPECT_EQ(0, go([&] { EXPECT_EQ(0, c.recv()); }));
				  EXPECT_TRUE(wait_for_waiters(c, 1));
				  EXPECT_EQ(0, urge_send(c, nullptr));
				  EXPECT_EQ(0, go([&] { EXPECT_EQ(0, urge_recv(c, nullptr)); }));
				  EXPECT_TRUE(wait_for_waiters(c, 1));
				  EXPECT_EQ(0, c.send(8));
			  }
			  return 0;
		  }));
}

TEST(Chan, ZeroSizeHasAnyCapacity)
{
	EXPECT_EQ(0, run_main([] {
			  urge_chan *c = urge_chan_make(0, SIZE_MAX);

			  EXPECT_NE(nullptr, c);
			  EXPECT_EQ(SIZE_MAX, urge_chan_cap(c));
			  for (int i = 0; i < 1000; i++)
				  EXPECT_EQ(0, urge_send(c, nullptr));
			  EXPECT_EQ(1000u, urge_chan_len(c));
			  EXPECT_EQ(0, urge_recv(c, nullptr));
			  urge_chan_free(c);
			  return 0;
		  }));
}

TEST(Chan, WithoutMemoryThereIsErrno)
{
	if (sanitized())
		GTEST_SKIP() << "a sanitizer's malloc ends the program";
	errno = 0;
	EXPECT_EQ(nullptr, urge_chan_make(65536, (size_t)1 << 46));
	EXPECT_EQ(ENOMEM, errno);
}

/* ---- try ----------------------------------------------------------------------------------- */

TEST(Chan, TryNeverWaits)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> direct, buffered(1);
			  int v = 5;

			  for (urge_chan *c : { direct.c, buffered.c }) {
				  EXPECT_EQ(-EAGAIN, urge_try_recv(c, &v));
				  EXPECT_EQ(-EAGAIN, urge_recv_until(c, &v, 0));
				  EXPECT_EQ(5, v);
			  }
			  EXPECT_EQ(-EAGAIN, urge_try_send(direct, &v));
			  EXPECT_EQ(-EAGAIN, urge_send_until(direct, &v, 0));
			  EXPECT_EQ(0, urge_try_send(buffered, &v));
			  EXPECT_EQ(-EAGAIN, urge_try_send(buffered, &v));
			  EXPECT_EQ(0, urge_try_recv(buffered, &v));
			  EXPECT_EQ(5, v);

			  EXPECT_EQ(0, go([&] { EXPECT_EQ(0, direct.send(6)); }));
			  EXPECT_TRUE(wait_for_waiters(direct, 1));
			  EXPECT_EQ(0, urge_try_recv(direct, &v));
			  EXPECT_EQ(6, v);
			  EXPECT_EQ(0, go([&] { EXPECT_EQ(7, direct.recv()); }));
			  EXPECT_TRUE(wait_for_waiters(direct, 1));
			  EXPECT_EQ(0, direct.try_send(7));
			  return 0;
		  }));
}

/* A channel that is never empty: what a try says is true at some instant (TestNonblockRecvRace). */
TEST(Chan, TryDoesNotMissWhatIsThere)
{
	with_procs([](int) {
		for (int round = 0; round < 500; round++) {
			Chan<int> c(1), done(1);

			EXPECT_EQ(0, c.send(1));
			EXPECT_EQ(0, go([&] {
					  EXPECT_EQ(0, urge_try_recv(c, nullptr));
					  done.send(1);
				  }));
			urge_close_chan(c); /* buffered or closed, never to be waited for */
			done.recv();
			EXPECT_EQ(-EPIPE, urge_try_recv(c, nullptr));
		}
	});
}

/* ---- close --------------------------------------------------------------------------------- */

TEST(Chan, ClosedGivesWhatIsBufferedThenZeros)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> c(4);
			  int v = 9;

			  EXPECT_EQ(0, c.send(1));
			  EXPECT_EQ(0, c.send(2));
			  urge_close_chan(c);
			  EXPECT_EQ(-EPIPE, c.send(3));
			  EXPECT_EQ(-EPIPE, c.try_send(3));
			  EXPECT_EQ(1, c.recv());
			  EXPECT_EQ(0, urge_try_recv(c, &v));
			  EXPECT_EQ(2, v);
			  for (int i = 0; i < 3; i++) {
				  v = 9;
				  EXPECT_EQ(-EPIPE, urge_recv(c, &v));
				  EXPECT_EQ(0, v);
				  v = 9;
				  EXPECT_EQ(-EPIPE, urge_try_recv(c, &v));
				  EXPECT_EQ(0, v);
				  EXPECT_EQ(-EPIPE, urge_recv(c, nullptr));
			  }
			  return 0;
		  }));
}

TEST(Chan, CloseWakesAllWhoWait)
{
	with_procs([](int) {
		Chan<int> in, out(1), over(64);
		int v;

		EXPECT_EQ(0, out.send(1));
		for (int i = 0; i < 20; i++) {
			EXPECT_EQ(0, go([&] {
					  int got = 5;

					  EXPECT_EQ(-EPIPE, urge_recv(in, &got));
					  EXPECT_EQ(0, got);
					  over.send(1);
				  }));
			EXPECT_EQ(0, go([&] {
					  EXPECT_EQ(-EPIPE, out.send(2));
					  over.send(1);
				  }));
		}
		EXPECT_TRUE(wait_for_waiters(in, 20));
		EXPECT_TRUE(wait_for_waiters(out, 20));
		urge_close_chan(in);
		urge_close_chan(out);
		for (int i = 0; i < 40; i++)
			over.recv();
		EXPECT_EQ(0, urge_recv(out, &v));
		EXPECT_EQ(1, v);
		EXPECT_EQ(-EPIPE, urge_recv(out, &v));
	});
}

TEST(Chan, MayBeFreedByWhoTakesTheLast)
{
	with_procs([](int) {
		for (int i = 0; i < 2000; i++) {
			urge_chan *c = urge_chan_make(sizeof(int), i % 2);

			EXPECT_EQ(0, urge_go(
					     [](void *chan) {
						     int v = 3;

						     EXPECT_EQ(0, urge_send((urge_chan *)chan, &v));
					     },
					     c));
			EXPECT_EQ(0, urge_recv(c, nullptr));
			urge_chan_free(c);
		}
	});
}

/* ---- deadlines ----------------------------------------------------------------------------- */

TEST(ChanUntil, EndsWithItsDeadline)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> direct, full(1);
			  int v = 5;

			  EXPECT_EQ(0, full.send(1));
			  for (int64_t ns : { -URGE_S, URGE_MS, 20 * URGE_MS }) {
				  int64_t deadline = urge_now() + ns;

				  EXPECT_EQ(-ETIMEDOUT, urge_recv_until(direct, &v, deadline));
				  EXPECT_EQ(-ETIMEDOUT, urge_send_until(direct, &v, deadline));
				  EXPECT_EQ(-ETIMEDOUT, urge_send_until(full, &v, deadline));
				  EXPECT_EQ(-ETIMEDOUT, urge_send_until(nullptr, &v, deadline));
				  EXPECT_EQ(-ETIMEDOUT, urge_recv_until(nullptr, &v, deadline));
				  EXPECT_LE(deadline, urge_now());
			  }
			  EXPECT_EQ(5, v);
			  EXPECT_EQ(0u, waiters(direct) + waiters(full));
			  return 0;
		  }));
}

TEST(ChanUntil, PastDeadlineStillDoesWhatIsPossible)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> c(1);
			  int v = 5, past = 1;

			  EXPECT_EQ(0, urge_send_until(c, &v, past));
			  v = 0;
			  EXPECT_EQ(0, urge_recv_until(c, &v, past));
			  EXPECT_EQ(5, v);
			  urge_close_chan(c);
			  EXPECT_EQ(-EPIPE, urge_recv_until(c, &v, past));
			  EXPECT_EQ(-EPIPE, urge_send_until(c, &v, past));
			  return 0;
		  }));
}

/* One who gave up in the middle of the queue is passed over. */
TEST(ChanUntil, TheOthersKeepTheirTurn)
{
	EXPECT_EQ(0, run_main([] {
			  Chan<int> c, served(8);

			  for (int i = 0; i < 6; i++) {
				  EXPECT_EQ(
					  0, go([&, i] {
						  int v = 0;

						  if (i % 2) {
							  EXPECT_EQ(-ETIMEDOUT,
								    urge_recv_until(
									    c, &v,
									    urge_now() +
										    30 * URGE_MS));
							  v = -1;
						  } else {
							  EXPECT_EQ(0,
								    urge_recv_until(
									    c, &v,
									    urge_now() +
										    100 * URGE_S));
							  EXPECT_EQ(i / 2, v);
						  }
						  served.send(v);
					  }));
				  urge_yield();
			  }
			  for (int i = 0; i < 3; i++)
				  EXPECT_EQ(-1, served.recv());
			  for (int i = 0; i < 3; i++)
				  EXPECT_EQ(0, c.send(i));
			  for (int i = 0; i < 3; i++)
				  served.recv();
			  return 0;
		  }));
}

/* Deadlines that pass while senders come: each element is received once, or was not sent. */
TEST(ChanUntil, RacesWithTheOtherSide)
{
	with_procs([](int) {
		enum { EACH = 1000 };
		std::atomic<long> sent{ 0 }, received{ 0 }, in{ 0 }, out{ 0 };
		Chan<long> c, over(8);

		for (int i = 0; i < 4; i++) {
			EXPECT_EQ(0, go([&] {
					  for (long v = 1; v <= EACH; v++)
						  if (urge_send_until(c, &v,
								      urge_now() +
									      v % 7 * 10 * URGE_US +
									      1) == 0) {
							  sent += v;
							  in++;
						  }
					  over.send(1);
				  }));
			EXPECT_EQ(0, go([&] {
					  long v;

					  for (int n = 0; n < EACH; n++)
						  if (urge_recv_until(c, &v,
								      urge_now() +
									      n % 5 * 10 * URGE_US +
									      1) == 0) {
							  received += v;
							  out++;
						  }
					  over.send(1);
				  }));
		}
		for (int i = 0; i < 8; i++)
			over.recv();
		EXPECT_EQ(sent, received);
		EXPECT_EQ(in, out);
		EXPECT_EQ(0u, waiters(c));
	});
}

/* ---- nil ----------------------------------------------------------------------------------- */

TEST(Chan, NilIsNeverReady)
{
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(-EAGAIN, urge_try_send(nullptr, nullptr));
			  EXPECT_EQ(-EAGAIN, urge_try_recv(nullptr, nullptr));
			  EXPECT_EQ(0u, urge_chan_len(nullptr));
			  EXPECT_EQ(0u, urge_chan_cap(nullptr));
			  urge_chan_free(nullptr);
			  EXPECT_EQ(0, go([] {
					    urge_send(nullptr, nullptr);
					    ADD_FAILURE();
				    }));
			  EXPECT_EQ(0, go([] {
					    urge_recv(nullptr, nullptr);
					    ADD_FAILURE();
				    }));
			  for (int i = 0; i < 100; i++)
				  urge_yield();
			  EXPECT_EQ(3u, urge_num_goroutine());
			  return 0;
		  }));
}

/* ---- threads of the program ---------------------------------------------------------------- */

TEST(Chan, ThreadsMayTryAndCloseButNotWait)
{
	Chan<int> c(1);
	int v = 4;

	EXPECT_EQ(-EPERM, urge_send(c, &v));
	EXPECT_EQ(-EPERM, urge_recv(c, &v));
	EXPECT_EQ(-EPERM, urge_recv_until(c, &v, URGE_FOREVER));
	EXPECT_EQ(0, urge_try_send(c, &v)); /* also without a runtime */
	EXPECT_EQ(0, run_main([&] {
			  Chan<int> from_thread;
			  int sum = 0;

			  EXPECT_EQ(4, c.recv());
			  urge_external_begin();
			  std::thread thread([&] {
				  for (int i = 1; i <= 200; i++)
					  while (from_thread.try_send(i) == -EAGAIN)
						  std::this_thread::yield();
				  for (int i = 1; i <= 200; i++)
					  while (urge_try_recv(c, nullptr) == -EAGAIN)
						  std::this_thread::yield();
				  urge_close_chan(from_thread);
			  });
			  for (int i = 1; i <= 200; i++)
				  sum += from_thread.recv();
			  for (int i = 1; i <= 200; i++)
				  EXPECT_EQ(0, c.send(i));
			  EXPECT_EQ(-EPIPE, urge_recv(from_thread, nullptr));
			  thread.join();
			  urge_external_end();
			  EXPECT_EQ(200 * 201 / 2, sum);
			  return 0;
		  }));
}

/* Who waited when urge_main returned is no more: the channel is as good as new. */
TEST(Chan, OutlivesUrgeMain)
{
	Chan<int> c, full(1);
	int v = 0;

	for (int round = 0; round < 3; round++) {
		EXPECT_EQ(0, run_main([&] {
				  EXPECT_EQ(-EAGAIN, c.try_send(1));
				  EXPECT_EQ(0, full.send(round));
				  EXPECT_EQ(0, go([&] {
						    c.recv();
						    ADD_FAILURE();
					    }));
				  EXPECT_EQ(0, go([&] {
						    full.send(7);
						    ADD_FAILURE();
					    }));
				  EXPECT_TRUE(wait_for_waiters(c, 1));
				  EXPECT_TRUE(wait_for_waiters(full, 1));
				  return 0;
			  }));
		EXPECT_EQ(-EAGAIN, c.try_send(1));
		EXPECT_EQ(0, urge_try_recv(full, &v));
		EXPECT_EQ(round, v);
		EXPECT_EQ(-EAGAIN, urge_try_recv(full, &v));
	}
}

/* ---- misuse -------------------------------------------------------------------------------- */

static void expect_fatal(const char *words, const std::function<void()> &body)
{
	Outcome outcome = in_child([&] {
		run_main([&] {
			body();
			return 0;
		});
	});

	EXPECT_EXITED(2, outcome);
	EXPECT_SAYS(std::string("fatal error: ") + words, outcome.err);
}

TEST(ChanMisuse, IsFatalInGosWords)
{
	expect_fatal("close of nil channel", [] { urge_close_chan(nullptr); });
	expect_fatal("close of closed channel", [] {
		urge_chan *c = urge_chan_make(0, 0);

		urge_close_chan(c);
		urge_close_chan(c);
	});
	expect_fatal("makechan: size out of range", [] { urge_chan_make(8, SIZE_MAX / 4); });
	expect_fatal("makechan: size out of range", [] { urge_chan_make(65537, 0); });
	expect_fatal("urge: free of a channel on which goroutines wait", [] {
		urge_chan *c = urge_chan_make(0, 0);

		EXPECT_EQ(0, go([c] { urge_recv(c, nullptr); }));
		EXPECT_TRUE(wait_for_waiters(c, 1));
		urge_chan_free(c);
	});
	expect_fatal("all goroutines are asleep - deadlock!", [] {
		Chan<int> c;

		c.recv();
	});
}

TEST(ChanMisuse, DumpsTellWhatIsWaitedFor)
{
	Outcome outcome = in_child([] {
		run_main([] {
			Chan<int> c, full(1);

			full.send(1);
			EXPECT_EQ(0, go([&] { c.recv(); }));
			EXPECT_EQ(0, go([&] { full.send(2); }));
			EXPECT_EQ(0, go([] { urge_send(nullptr, nullptr); }));
			urge_recv(nullptr, nullptr);
			return 0;
		});
	});

	EXPECT_EXITED(2, outcome);
	for (const char *words : { "[chan receive]", "[chan send]", "[chan send (nil chan)]",
				   "[chan receive (nil chan)]" })
		EXPECT_SAYS(words, outcome.err);
}

/* ---- programs ------------------------------------------------------------------------------ */

/* A filter for each prime that is found (test/chan/sieve1.go). */
TEST(ChanPrograms, PrimeSieve)
{
	static const int primes[] = { 2,  3,  5,  7,  11, 13, 17, 19, 23, 29, 31, 37,
				      41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89 };

	with_procs([](int) {
		std::vector<std::unique_ptr<Chan<int>>> chans;
		auto make = [&chans] {
			chans.push_back(std::make_unique<Chan<int>>());
			return chans.back()->c;
		};
		urge_chan *numbers = make();

		EXPECT_EQ(0, go([numbers] {
				  for (int i = 2; urge_send(numbers, &i) == 0; i++)
					  ;
			  }));
		for (int prime : primes) {
			urge_chan *filtered = make(), *from = numbers;
			int v = 0;

			EXPECT_EQ(0, urge_recv(from, &v));
			EXPECT_EQ(prime, v);
			EXPECT_EQ(0, go([from, filtered, prime] {
					  int i;

					  while (urge_recv(from, &i) == 0)
						  if (i % prime != 0 &&
						      urge_send(filtered, &i) != 0)
							  break;
				  }));
			numbers = filtered;
		}
		for (auto &c : chans)
			urge_close_chan(*c);
		EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
	});
}

/* The exponential series, coefficients as floating point (after test/chan/powser1.go). */
TEST(ChanPrograms, PowerSeries)
{
	with_procs([](int) {
		Chan<double> f, integral, product, one, other;

		EXPECT_EQ(0, go([&] { /* f = 1 + integral of f: its own input */
				      double next = 1;

				      for (int n = 1; f.send(next) == 0; n++) {
					      double c = 0;

					      if (!one.recv(&c))
						      break;
					      next = c / n;
				      }
			  }));
		EXPECT_EQ(0, go([&] { /* splits f */
				      double c;

				      while (f.recv(&c) && one.send(c) == 0 && other.send(c) == 0)
					      ;
			  }));
		double factorial = 1;

		for (int n = 0; n < 18; n++) {
			EXPECT_NEAR(1, other.recv() * factorial, 1e-9);
			factorial *= n + 1;
		}
		urge_close_chan(f);
		urge_close_chan(one);
		urge_close_chan(other);
		EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
	});
}

/* Parallel merge of a binary tree of goroutines. */
TEST(ChanPrograms, TreeOfGoroutinesAddsUp)
{
	if (IS_ENABLED(CONFIG_TSAN))
		GTEST_SKIP() << "a goroutine is one of at most 8128 threads to ThreadSanitizer";
	static std::function<void(urge_chan *, long, long)> sum = [](urge_chan *up, long from,
								     long n) {
		long total = from;

		if (n > 1) {
			Chan<long> down;

			total = 0;
			for (int i = 0; i < 10; i++)
				EXPECT_EQ(0, go([&down, from, n, i] {
						  sum(down, from + i * (n / 10), n / 10);
					  }));
			for (int i = 0; i < 10; i++)
				total += down.recv();
		}
		EXPECT_EQ(0, urge_send(up, &total));
	};

	with_procs([](int) {
		Chan<long> c;

		EXPECT_EQ(0, go([&] { sum(c, 0, 10000); }));
		EXPECT_EQ(10000L * 9999 / 2, c.recv());
	});
}

/* ---- C++ ----------------------------------------------------------------------------------- */

/* Exceptions that are being handled while others throw on the same thread. */
TEST(ChanCxx, ExceptionsSurviveBlockingCalls)
{
	with_procs([](int) {
		Chan<int> c, over(16);

		for (int i = 0; i < 16; i++)
			EXPECT_EQ(
				0, go([&, i] {
					for (int round = 0; round < 20; round++) {
						try {
							throw std::runtime_error(std::to_string(i));
						} catch (const std::runtime_error &e) {
							if (i % 2)
								c.send(i);
							else
								c.recv();
							EXPECT_EQ(std::to_string(i), e.what());
							try {
								std::rethrow_exception(
									std::current_exception());
							} catch (const std::runtime_error &again) {
								EXPECT_EQ(std::to_string(i),
									  again.what());
							}
						}
					}
					over.send(1);
				}));
		for (int i = 0; i < 16; i++)
			over.recv();
	});
}
