/* SPDX-License-Identifier: MIT */
#include "kernelshim/clock.h"
#include "kernelshim/futex.h"
#include "kernelshim/thread.h"
#include "tests/unit/errno_kept.h"
#include <atomic>
#include <climits>
#include <csignal>
#include <thread>

static const int64_t ms = 1000000;

static void wake_until(const uint32_t *word, const std::atomic<bool> &done)
{
	while (!done)
		futex_wake(word, INT_MAX);
}

TEST(Futex, DifferentValueReturnsAtOnce)
{
	uint32_t word = 1;
	ErrnoKept kept;

	EXPECT_EQ(0, futex_wait(&word, 2, INT64_MAX));
	EXPECT_EQ(0, futex_wait(&word, 2, -1));
}

TEST(Futex, DeadlineIsAbsoluteAndHonoured)
{
	uint32_t word = 0;
	int64_t deadline = nanotime() + 20 * ms;
	ErrnoKept kept;

	EXPECT_EQ(-ETIMEDOUT, futex_wait(&word, 0, deadline));
	EXPECT_GE(nanotime(), deadline);
	EXPECT_LT(nanotime(), deadline + 5000 * ms);
}

TEST(Futex, PastDeadlineTimesOutAtOnce)
{
	uint32_t word = 0;
	ErrnoKept kept;

	EXPECT_EQ(-ETIMEDOUT, futex_wait(&word, 0, 0));
	EXPECT_EQ(-ETIMEDOUT, futex_wait(&word, 0, nanotime() - 1));
}

TEST(Futex, WakeWithoutWaitersWakesNone)
{
	uint32_t word = 0;
	ErrnoKept kept;

	EXPECT_EQ(0, futex_wake(&word, INT_MAX));
}

TEST(Futex, WakeEndsAnEndlessWait)
{
	for (int64_t forever : { INT64_MAX, (int64_t)-1 }) {
		uint32_t word = 0;
		std::atomic<bool> done{ false };
		std::thread waiter([&] {
			ErrnoKept kept;

			EXPECT_EQ(0, futex_wait(&word, 0, forever));
			done = true;
		});

		wake_until(&word, done);
		waiter.join();
	}
}

TEST(Futex, WakesNoMoreThanAsked)
{
	static const int waiters = 3;
	uint32_t word = 0;
	std::atomic<int> woken{ 0 };
	std::thread threads[waiters];
	int64_t deadline = nanotime() + 10000 * ms;
	int count = 0;

	for (auto &thread : threads) {
		thread = std::thread([&] {
			EXPECT_EQ(0, futex_wait(&word, 0, INT64_MAX));
			woken++;
		});
	}
	while (count < waiters && nanotime() < deadline) {
		int n = futex_wake(&word, 1);

		ASSERT_LE(n, 1);
		count += n;
	}
	EXPECT_EQ(waiters, count);
	for (auto &thread : threads)
		thread.join();
	EXPECT_EQ(waiters, woken);
}

TEST(Futex, SignalHandlerGivesEintr)
{
	uint32_t word = 0;
	std::atomic<int> tid{ 0 };
	std::atomic<bool> done{ false };
	struct sigaction act = {}, old;

	act.sa_handler = [](int) {};
	sigaction(SIGUSR1, &act, &old);
	std::thread waiter([&] {
		ErrnoKept kept;

		tid = thread_gettid();
		EXPECT_EQ(-EINTR, futex_wait(&word, 0, INT64_MAX));
		done = true;
	});
	while (!tid)
		std::this_thread::yield();
	while (!done) {
		thread_tgkill(tid, SIGUSR1);
		std::this_thread::yield();
	}
	waiter.join();
	sigaction(SIGUSR1, &old, nullptr);
}
