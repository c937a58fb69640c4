/* SPDX-License-Identifier: MIT */
/* Foreign code: urge_blocking. */
#include "tests/unit/child.h"
#include <atomic>
#include <sys/syscall.h>
#include <thread>

namespace
{

/* urge_blocking with a C++ function. */
int blocking(const std::function<int()> &body)
{
	return urge_blocking(
		[](void *arg) { return (*static_cast<const std::function<int()> *>(arg))(); },
		(void *)&body);
}

uint64_t threads()
{
	struct urge_stats stats;

	urge_stats_read(&stats);
	return stats.threads;
}

} // namespace

TEST(Blocking, ReturnsTheResultAndKeepsErrno)
{
	EXPECT_EQ(0, run_main([] {
			  for (int i = 0; i < 1000; i++) {
				  errno = 7;
				  EXPECT_EQ(-i, blocking([&] {
					  EXPECT_EQ(7, *__errno_location());
					  *__errno_location() = 9;
					  return -i;
				  }));
				  EXPECT_EQ(9, errno);
			  }
			  EXPECT_EQ(-EINVAL, urge_blocking(nullptr, nullptr));
			  return 0;
		  }));
	EXPECT_EQ(-EPERM, blocking([] { return 0; }));
}

TEST(Blocking, HasTheThreadsStack)
{
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(
				  1, blocking([] {
					  volatile char deep[1 << 20]; /* a goroutine has 256 KiB */

					  deep[0] = deep[sizeof(deep) - 1] = 1;
					  return (int)deep[0];
				  }));
			  return 0;
		  }));
}

TEST(Blocking, OthersRunMeanwhile)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> ran{ 0 };

			  urge_gomaxprocs(1);
			  for (int i = 0; i < 10; i++)
				  EXPECT_EQ(0, go([&] { ran++; }));
			  /* those that come later too, for which sysmon takes the P */
			  EXPECT_EQ(0, go([&] {
					    for (int i = 0; i < 10; i++) {
						    urge_sleep(URGE_MS);
						    ran++;
					    }
				    }));
			  EXPECT_EQ(20, blocking([&] {
					    for (int i = 0; i < 30000 && ran < 20; i++)
						    usleep(1000);
					    return (int)ran;
				    }));
			  return 0;
		  }));
}

TEST(Blocking, ManyAtOnceAreThreadsThatEndAgain)
{
	EXPECT_EQ(0, run_main([] {
			  enum { N = 300 };
			  std::atomic<int> in{ 0 };
			  urge_waitgroup wg = {};

			  urge_waitgroup_add(&wg, N);
			  for (int i = 0; i < N; i++)
				  EXPECT_EQ(0, go([&] {
						    EXPECT_EQ(1, blocking([&] {
								      in++;
								      for (int ms = 0;
									   ms < 60000 && in < N;
									   ms++)
									      usleep(1000);
								      return in == N;
							      }));
						    urge_waitgroup_done(&wg);
					    }));
			  urge_waitgroup_wait(&wg);
			  EXPECT_GT(threads(), (uint64_t)N);
			  EXPECT_TRUE(eventually([] { return threads() < 20; }, 60 * URGE_S));
			  return 0;
		  }));
}

TEST(Blocking, OtherCallsInBetweenAreFatal)
{
	Outcome outcome = in_child([] {
		run_main([] {
			return blocking([] {
				urge_yield();
				return 0;
			});
		});
	});

	EXPECT_EXITED(2, outcome);
	EXPECT_SAYS("between urge_entersyscall and urge_exitsyscall", outcome.err);
}

TEST(Blocking, MainReturnsWithoutThoseThatBlock)
{
	static int fds[2];

	SKIP_WHERE_SIGNALS_WAIT();
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pipe(fds));
		EXPECT_EQ(5, run_main([] {
				  std::atomic<bool> in{ false };

				  EXPECT_EQ(0, go([&] {
						    blocking([&] {
							    char c;

							    in = true;
							    return (int)read(fds[0], &c, 1);
						    });
						    abort(); /* this world has ended */
					    }));
				  EXPECT_TRUE(eventually([&] { return in.load(); }));
				  urge_sleep(5 * URGE_MS);
				  return 5;
			  }));
		EXPECT_EQ(1, write(fds[1], "x", 1)); /* the stray comes home */
		usleep(1000);
		close(fds[0]);
		close(fds[1]);
	}
}

/* The one that blocks is on the calling thread itself. */
TEST(Blocking, MainReturnsFromABlockedThreadOfItsOwn)
{
	static int fds[2];

	SKIP_WHERE_SIGNALS_WAIT();
	ASSERT_EQ(0, pipe(fds));
	EXPECT_EQ(6, run_main([] {
			  pid_t home = getpid();
			  std::atomic<bool> in{ false };

			  urge_gomaxprocs(1);
			  for (int i = 0; i < 100 && !in; i++)
				  EXPECT_EQ(0, go([&] {
						    blocking([&] {
							    char c;

							    if (syscall(SYS_gettid) != home ||
								in.exchange(true))
								    return 0;
							    return (int)read(fds[0], &c, 1);
						    });
					    }));
			  urge_sleep(50 * URGE_MS);
			  return 6;
		  }));
	close(fds[0]);
	close(fds[1]);
}

TEST(Blocking, MoreThreadsThanThereMayBeIsFatal)
{
	if (CONFIG_MAX_MS > 1000)
		GTEST_SKIP() << "the limit is " << CONFIG_MAX_MS
			     << " threads: see the debug configuration";
	Outcome outcome = in_child([] {
		run_main([] {
			for (int i = 0; i < 2 * CONFIG_MAX_MS; i++)
				go([] { blocking([] { return pause(); }); });
			urge_sleep(60 * URGE_S);
			return 0;
		});
	});

	EXPECT_EXITED(2, outcome);
	EXPECT_SAYS("fatal error: thread exhaustion: more than ", outcome.err);
}
