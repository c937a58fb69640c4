/* SPDX-License-Identifier: MIT */
#include "kernelshim/clock.h"
#include "kernelshim/epoll.h"
#include "tests/unit/errno_kept.h"
#include <algorithm>
#include <fcntl.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

static const int64_t ms = 1000000;

class Epoll : public testing::Test
{
protected:
	void SetUp() override
	{
		epfd = epoll_new();
		ASSERT_GE(epfd, 0);
	}
	void TearDown() override { close(epfd); }
	int poll(int timeout_ms)
	{
		ErrnoKept kept;

		return epoll_poll(epfd, events, 4, timeout_ms);
	}

	int epfd;
	struct epoll_event events[4] = {};
};

TEST_F(Epoll, EmptySetTimesOut)
{
	int64_t start = nanotime();

	EXPECT_EQ(0, poll(0));
	EXPECT_EQ(0, poll(20));
	EXPECT_GE(nanotime() - start, 20 * ms);
}

TEST_F(Epoll, FineTimeoutIsNotRoundedToMilliseconds)
{
	int64_t start = nanotime(), shortest = INT64_MAX;
	int fd = eventfd_new();
	ErrnoKept kept;

	if (epoll_poll_ns(epfd, events, 4, 0) == -ENOSYS) {
		close(fd);
		GTEST_SKIP() << "epoll_pwait2 needs Linux 5.11";
	}
	for (int i = 0; i < 1000; i++) {
		start = nanotime();
		ASSERT_EQ(0, epoll_poll_ns(epfd, events, 4, 20000));
		shortest = std::min(shortest, nanotime() - start);
		ASSERT_GE(shortest, 20000);
	}
	EXPECT_LT(shortest, ms) << "the shortest of 1000 sleeps of 20 us";
	ASSERT_EQ(0, epoll_add(epfd, fd, EPOLLIN, 7));
	eventfd_signal(fd);
	EXPECT_EQ(1, epoll_poll_ns(epfd, events, 4, 1000 * ms));
	EXPECT_EQ(7u, events[0].data.u64);
	close(fd);
}

TEST_F(Epoll, EventBringsItsData)
{
	int fd = eventfd_new();

	ASSERT_GE(fd, 0);
	{
		ErrnoKept kept;

		EXPECT_EQ(0, epoll_add(epfd, fd, EPOLLIN, 0x123456789abcdef0));
		EXPECT_EQ(-EEXIST, epoll_add(epfd, fd, EPOLLIN, 0));
		eventfd_signal(fd);
	}
	ASSERT_EQ(1, poll(-1));
	EXPECT_EQ((uint32_t)EPOLLIN, events[0].events);
	EXPECT_EQ(0x123456789abcdef0, events[0].data.u64);
	EXPECT_EQ(0, epoll_mod(epfd, fd, EPOLLIN | EPOLLONESHOT, 7));
	ASSERT_EQ(1, poll(-1));
	EXPECT_EQ(7u, events[0].data.u64);
	EXPECT_EQ(0, poll(0)) << "one-shot fired twice";
	EXPECT_EQ(0, epoll_mod(epfd, fd, EPOLLIN, 7));
	EXPECT_EQ(1, poll(0));
	EXPECT_EQ(0, epoll_del(epfd, fd));
	EXPECT_EQ(0, poll(0));
	EXPECT_EQ(-ENOENT, epoll_del(epfd, fd));
	EXPECT_EQ(-ENOENT, epoll_mod(epfd, fd, EPOLLIN, 7));
	close(fd);
}

TEST_F(Epoll, SignalsAreOneUntilDrained)
{
	int fd = eventfd_new();
	uint64_t nearly_full = UINT64_MAX - 1;

	ASSERT_EQ(0, epoll_add(epfd, fd, EPOLLIN, 0));
	{
		ErrnoKept kept;

		eventfd_drain(fd);
		eventfd_signal(fd);
		eventfd_signal(fd);
	}
	EXPECT_EQ(1, poll(0));
	eventfd_drain(fd);
	EXPECT_EQ(0, poll(0));
	ASSERT_EQ(8, write(fd, &nearly_full, 8));
	{
		ErrnoKept kept;

		eventfd_signal(fd); /* a full counter must not block the signaller */
	}
	EXPECT_EQ(1, poll(0));
	eventfd_drain(fd);
	EXPECT_EQ(0, poll(0));
	close(fd);
}

TEST_F(Epoll, SignalEndsABlockedPoll)
{
	int fd = eventfd_new();

	ASSERT_EQ(0, epoll_add(epfd, fd, EPOLLIN, 0));
	std::thread poller([&] { EXPECT_EQ(1, poll(-1)); });
	eventfd_signal(fd);
	poller.join();
	close(fd);
}

TEST_F(Epoll, TimerFiresAtItsDeadlineNotBefore)
{
	int fd = timerfd_new();
	int64_t deadline = nanotime() + 20 * ms;

	ASSERT_EQ(0, epoll_add(epfd, fd, EPOLLIN, 0));
	{
		ErrnoKept kept;
		ASSERT_EQ(0, timerfd_arm(fd, deadline));
	}
	EXPECT_EQ(1, poll(-1));
	EXPECT_GE(nanotime(), deadline);
	EXPECT_LT(nanotime(), deadline + 5000 * ms);
	EXPECT_EQ(1, poll(0)) << "stays readable until armed again";
	ASSERT_EQ(0, timerfd_arm(fd, INT64_MAX));
	EXPECT_EQ(0, poll(0));
	close(fd);
}

TEST_F(Epoll, PastDeadlinesFireAtOnce)
{
	int fd = timerfd_new();

	ASSERT_EQ(0, epoll_add(epfd, fd, EPOLLIN, 0));
	for (int64_t deadline : { INT64_MIN, (int64_t)-1, (int64_t)0, (int64_t)1, nanotime() }) {
		ASSERT_EQ(0, timerfd_arm(fd, INT64_MAX));
		EXPECT_EQ(0, poll(0));
		ASSERT_EQ(0, timerfd_arm(fd, deadline));
		EXPECT_EQ(1, poll(1000)) << deadline;
	}
	close(fd);
}

TEST_F(Epoll, DisarmedTimerDoesNotFire)
{
	int fd = timerfd_new();

	ASSERT_EQ(0, epoll_add(epfd, fd, EPOLLIN, 0));
	ASSERT_EQ(0, timerfd_arm(fd, nanotime() + 10 * ms));
	ASSERT_EQ(0, timerfd_arm(fd, INT64_MAX));
	EXPECT_EQ(0, poll(30));
	ASSERT_EQ(0, timerfd_arm(fd, INT64_MAX - 1));
	EXPECT_EQ(0, poll(0)) << "a deadline in 292 years";
	close(fd);
}

TEST(EpollFds, AreHighCloseOnExecAndNonBlocking)
{
	struct rlimit limit;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur <= FD_HIGH + 3)
		GTEST_SKIP() << "RLIMIT_NOFILE is too low";
	int fds[] = { epoll_new(), eventfd_new(), timerfd_new() };
	for (int fd : fds) {
		EXPECT_GE(fd, FD_HIGH);
		EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	EXPECT_TRUE(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	EXPECT_TRUE(fcntl(fds[2], F_GETFL) & O_NONBLOCK);
	for (int fd : fds)
		close(fd);
}

TEST(EpollFds, StayLowWhereTheLimitLeavesNoRoom)
{
	struct rlimit limit, low;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	low = limit;
	low.rlim_cur = 64;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
	int fd;
	{
		ErrnoKept kept;
		fd = eventfd_new();
	}
	EXPECT_GE(fd, 0);
	EXPECT_LT(fd, 64);
	EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
}

TEST(EpollFds, ExhaustionIsAnError)
{
	struct rlimit limit, low;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	low = limit;
	low.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
	{
		ErrnoKept kept;

		EXPECT_EQ(-EMFILE, epoll_new());
		EXPECT_EQ(-EMFILE, eventfd_new());
		EXPECT_EQ(-EMFILE, timerfd_new());
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
}
