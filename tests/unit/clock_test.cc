/* SPDX-License-Identifier: MIT */
#include "kernelshim/clock.h"
#include "kernelshim/thread.h"
#include "tests/unit/errno_kept.h"
#include <atomic>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

static const int64_t ms = 1000000;

static void burn_cpu(int64_t ns)
{
	int64_t until = thread_cputime(thread_gettid()) + ns;

	while (thread_cputime(thread_gettid()) < until)
		;
}

TEST(Clock, NanotimeNeverGoesBack)
{
	int64_t last = nanotime();
	ErrnoKept kept;

	for (int i = 0; i < 100000; i++) {
		int64_t now = nanotime();

		ASSERT_GE(now, last);
		last = now;
	}
}

TEST(Clock, NanotimeIsTheMonotonicClock)
{
	struct timespec ts;
	int64_t before = nanotime();
	int64_t libc;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	libc = ts.tv_sec * 1000 * ms + ts.tv_nsec;
	EXPECT_LE(before, libc);
	EXPECT_LE(libc, nanotime());
}

TEST(Clock, ThreadCputimeIsThatOfTheThread)
{
	int64_t before = thread_cputime(thread_gettid());
	struct timespec ts;

	burn_cpu(5 * ms);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	int64_t own = ts.tv_sec * 1000 * ms + ts.tv_nsec;
	EXPECT_LE(before + 5 * ms, own);
	EXPECT_LE(own, thread_cputime(thread_gettid()));
	int64_t thread = thread_cputime(thread_gettid()); /* read first: both clocks go on */
	EXPECT_LE(thread, process_cputime() + ms); /* and are not brought up to date together */
}

TEST(Clock, ThreadCputimeMovesOnlyWhileTheThreadRuns)
{
	std::atomic<int> tid{ 0 };
	std::atomic<bool> release{ false };
	int to_thread[2];
	char byte = 0;

	ASSERT_EQ(0, pipe(to_thread));
	std::thread other([&] {
		char got;

		tid = thread_gettid();
		EXPECT_EQ(1, read(to_thread[0], &got, 1));
		while (!release)
			;
	});
	while (!tid)
		std::this_thread::yield();
	/* asleep sooner or later: two equal readings with 10 ms of our own work between them */
	int64_t asleep;
	int64_t deadline = nanotime() + 10000 * ms;
	do {
		asleep = thread_cputime(tid);
		burn_cpu(10 * ms);
	} while (thread_cputime(tid) != asleep && nanotime() < deadline);
	EXPECT_EQ(asleep, thread_cputime(tid));
	ASSERT_EQ(1, write(to_thread[1], &byte, 1));
	while (thread_cputime(tid) < asleep + ms && nanotime() < deadline)
		std::this_thread::yield();
	EXPECT_GE(thread_cputime(tid), asleep + ms);
	release = true;
	other.join();
	close(to_thread[0]);
	close(to_thread[1]);
}

TEST(Clock, ThreadCputimeOfNoThreadOfOursIsEsrch)
{
	std::atomic<int> tid{ 0 };
	std::thread gone([&] { tid = thread_gettid(); });
	int64_t deadline = nanotime() + 10000 * ms;

	gone.join();
	ErrnoKept kept;
	/* join returns a moment before the kernel has taken the thread out of its tables */
	while (thread_cputime(tid) >= 0 && nanotime() < deadline)
		;
	EXPECT_EQ(-ESRCH, thread_cputime(tid));
	EXPECT_EQ(-ESRCH, thread_cputime(1)); /* init, or a thread of it: not of this process */
	EXPECT_EQ(-ESRCH, thread_cputime(0));
	EXPECT_EQ(-ESRCH, thread_cputime(-1));
}
