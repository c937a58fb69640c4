/* SPDX-License-Identifier: MIT */
/* Goroutines that are locked to their thread. */
#include "tests/unit/child.h"
#include <atomic>
#include <set>
#include <sys/syscall.h>

namespace
{

pid_t tid()
{
	return (pid_t)syscall(SYS_gettid);
}

bool exists(pid_t thread)
{
	return syscall(SYS_tgkill, getpid(), thread, 0) == 0;
}

} // namespace

TEST(OsThread, StaysWhateverItDoes)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<bool> stop{ false };
			  urge_waitgroup wg = {}, others = {};
			  urge_chan *c = urge_chan_make(sizeof(int), 0);
			  int fds[2];

			  EXPECT_EQ(0, pipe(fds));
			  urge_gomaxprocs(3);
			  urge_waitgroup_add(&others, 20);
			  for (int i = 0; i < 20; i++) /* would like its thread, and its P */
				  EXPECT_EQ(0, go([&] {
						    while (!stop)
							    urge_yield();
						    urge_waitgroup_done(&others);
					    }));
			  urge_waitgroup_add(&wg, 8);
			  for (int i = 0; i < 8; i++)
				  EXPECT_EQ(
					  0, go([&, i] {
						  pid_t home;
						  int n = i;
						  char byte;

						  urge_lock_os_thread();
						  urge_lock_os_thread();
						  home = tid();
						  for (int round = 0; round < 50; round++) {
							  urge_yield();
							  EXPECT_EQ(home, tid());
							  urge_sleep(20 * URGE_US);
							  EXPECT_EQ(home, tid());
							  if (i % 2)
								  urge_send(c, &n);
							  else
								  urge_recv(c, &n);
							  EXPECT_EQ(home, tid());
							  EXPECT_EQ(
								  home,
								  urge_blocking(
									  [](void *) {
										  return (int)tid();
									  },
									  nullptr));
							  EXPECT_EQ(home, tid());
							  urge_entersyscall();
							  usleep(100);
							  urge_exitsyscall();
							  EXPECT_EQ(home, tid());
							  EXPECT_EQ(1, urge_write(fds[1], "x", 1));
							  EXPECT_EQ(1, urge_read(fds[0], &byte, 1));
							  EXPECT_EQ(home, tid());
						  }
						  urge_unlock_os_thread();
						  urge_yield();
						  EXPECT_EQ(home, tid());
						  urge_unlock_os_thread();
						  urge_unlock_os_thread(); /* one too many */
						  urge_waitgroup_done(&wg);
					  }));
			  urge_waitgroup_wait(&wg);
			  stop = true;
			  urge_waitgroup_wait(&others);
			  urge_chan_free(c);
			  EXPECT_EQ(0, urge_close(fds[0]));
			  EXPECT_EQ(0, urge_close(fds[1]));
			  return 0;
		  }));
}

TEST(OsThread, RunsNobodyElse)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<pid_t> home{ 0 };
			  std::atomic<bool> stop{ false };
			  urge_waitgroup wg = {}, others = {};

			  urge_gomaxprocs(2);
			  urge_waitgroup_add(&wg, 1);
			  EXPECT_EQ(0, go([&] {
					    urge_lock_os_thread();
					    home = tid();
					    while (!stop)
						    urge_sleep(50 * URGE_US);
					    urge_unlock_os_thread();
					    urge_waitgroup_done(&wg);
				    }));
			  EXPECT_TRUE(eventually([&] { return home != 0; }));
			  for (int i = 0; i < 2000; i++) {
				  urge_waitgroup_add(&others, 1);
				  EXPECT_EQ(0, go([&] {
						    EXPECT_NE(home, tid());
						    urge_yield();
						    EXPECT_NE(home, tid());
						    urge_waitgroup_done(&others);
					    }));
				  if (i % 16 == 0)
					  urge_sleep(10 * URGE_US);
			  }
			  urge_waitgroup_wait(&others);
			  stop = true;
			  urge_waitgroup_wait(&wg);
			  return 0;
		  }));
}

/* The only one that waits is for another thread, which needs the P of the one that yields. */
TEST(OsThread, GetsThePOfOneThatYields)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> received{ 0 };
			  urge_chan *c = urge_chan_make(sizeof(int), 1);

			  urge_gomaxprocs(1);
			  EXPECT_EQ(0, go([&] {
					    int i;

					    urge_lock_os_thread();
					    while (urge_recv(c, &i) == 0)
						    received++;
					    received = -1;
				    }));
			  for (int i = 0; i < 100; i++) {
				  int64_t deadline = urge_now() + 10 * URGE_S;

				  EXPECT_EQ(0, urge_send(c, &i));
				  while (received <= i && urge_now() < deadline)
					  urge_yield();
				  if (received <= i) {
					  ADD_FAILURE() << "lost in round " << i;
					  break;
				  }
			  }
			  urge_close_chan(c);
			  EXPECT_TRUE(eventually([&] { return received == -1; }));
			  urge_chan_free(c);
			  return 0;
		  }));
}

TEST(OsThread, EndsWithAGoroutineThatEndsLocked)
{
	EXPECT_EQ(0, run_main([] {
			  for (int i = 0; i < 50; i++) {
				  std::atomic<pid_t> home{ 0 };
				  bool early = i % 2;

				  EXPECT_EQ(0, go([&home, early] {
						    urge_lock_os_thread();
						    home = tid();
						    if (early)
							    urge_goexit();
						    urge_yield();
					    }));
				  EXPECT_TRUE(eventually([&] { return home != 0; }));
				  if (home != getpid()) {
					  EXPECT_TRUE(eventually([&] { return !exists(home); }));
				  }
			  }
			  EXPECT_TRUE(exists(getpid()));
			  /* and the runtime goes on with others */
			  urge_waitgroup wg = {};
			  urge_waitgroup_add(&wg, 100);
			  for (int i = 0; i < 100; i++)
				  EXPECT_EQ(0, go([&] { urge_waitgroup_done(&wg); }));
			  urge_waitgroup_wait(&wg);
			  return 0;
		  }));
}

TEST(OsThread, UnlockedItsThreadLivesOn)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<pid_t> home{ 0 };

			  EXPECT_EQ(0, go([&] {
					    urge_lock_os_thread();
					    urge_unlock_os_thread();
					    home = tid();
				    }));
			  EXPECT_TRUE(eventually([&] { return home != 0; }));
			  urge_sleep(20 * URGE_MS);
			  EXPECT_TRUE(exists(home));
			  return 0;
		  }));
	urge_lock_os_thread(); /* no goroutine: no effect */
	urge_unlock_os_thread();
}

TEST(OsThread, MainReturnsWhileOthersAreLocked)
{
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(3, run_main([=] {
				  std::atomic<int> ready{ 0 };

				  for (int n = 0; n < 10; n++)
					  EXPECT_EQ(0, go([&, n] {
							    urge_lock_os_thread();
							    ready++;
							    for (;;)
								    if (n % 2)
									    urge_sleep(URGE_US *
										       (n + 1));
								    else
									    urge_sleep(URGE_S);
						    }));
				  EXPECT_TRUE(eventually([&] { return ready == 10; }));
				  if (i % 2)
					  urge_lock_os_thread();
				  return 3;
			  }));
}

TEST(OsThread, DeadlocksOfLockedGoroutinesAreSeen)
{
	Outcome outcome = in_child([] {
		run_main([] {
			for (int i = 0; i < 3; i++)
				go([] {
					urge_lock_os_thread();
					urge_recv(nullptr, nullptr);
				});
			urge_lock_os_thread();
			return urge_recv(nullptr, nullptr);
		});
	});

	EXPECT_EXITED(2, outcome);
	EXPECT_SAYS("all goroutines are asleep - deadlock!", outcome.err);
}
