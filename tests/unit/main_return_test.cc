/* SPDX-License-Identifier: MIT */
/*
 * The return of urge_main, whatever the other goroutines do; and what is left behind: nothing. With
 * preempted goroutines: tests/programs/return_among_others.c.
 */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include "tests/unit/resources.h"
#include <atomic>
#include <thread>

/* The promise is 100 ms; a machine that runs other things too gets this long. */
static const int64_t return_limit = 2 * URGE_S;

/*
 * No other is left. The kernel counts a thread a little longer than anybody can wait for it: when
 * pthread_join returns, its memory is gone, and it is not.
 */
static void expect_one_thread()
{
	EXPECT_TRUE(eventually([] { return thread_count() == 1; })) << thread_count();
}

TEST(MainReturn, ResultIsPassedThrough)
{
	for (int i = -50; i < 50; i++)
		EXPECT_EQ(i, run_main([=] { return i; }));
}

TEST(MainReturn, AnyThreadMayCallIt)
{
	for (int i = 0; i < 50; i++)
		std::thread([=] {
			EXPECT_EQ(i, run_main([=] {
					  EXPECT_EQ(0, go([] { urge_sleep(URGE_S); }));
					  urge_sleep(URGE_US);
					  return i;
				  }));
		}).join();
}

TEST(MainReturn, ThreadsTakeTurns)
{
	std::vector<std::thread> threads;
	std::atomic<int> mains{ 0 }, sum{ 0 };

	for (int t = 0; t < 4; t++)
		threads.emplace_back([&] {
			for (int left = 25; left > 0;) {
				int got = run_main([&] {
					EXPECT_EQ(0, mains++);
					urge_yield();
					mains--;
					return 1;
				});

				EXPECT_TRUE(got == 1 || got == -EBUSY) << got;
				if (got == 1) {
					sum++;
					left--;
				} else {
					usleep(100);
				}
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(100, sum);
}

/* main returns beside what others(n) has started; measured from the end of its function. */
static void returns_beside(const std::function<void(int)> &others, int rounds = 20)
{
	for (int round = 0; round < rounds; round++) {
		int64_t returned = 0, back;

		EXPECT_EQ(7, run_main([&] {
				  urge_gomaxprocs(1 + round % 4);
				  for (int i = 0; i < 20; i++)
					  others(i);
				  urge_sleep(round % 3 * URGE_MS);
				  returned = urge_now();
				  return 7;
			  }));
		back = urge_now();
		EXPECT_LT(back - returned, return_limit);
	}
}

TEST(MainReturn, OthersThatSleepAreDiscarded)
{
	returns_beside([](int) { EXPECT_EQ(0, go([] { urge_sleep(3600 * URGE_S); })); });
}

TEST(MainReturn, OthersThatWaitAreDiscarded)
{
	static urge_waitgroup never;

	never = {};
	urge_waitgroup_add(&never, 1);
	returns_beside([](int) { EXPECT_EQ(0, go([] { urge_waitgroup_wait(&never); })); });
}

/* Their queues do not outlive them: what they waited for serves the next run. */
TEST(MainReturn, LocksOnWhichTheDiscardedWaitedServeTheNextRun)
{
	static urge_mutex mutex, of_cond;
	static urge_rwmutex rwmutex;
	static urge_cond cond;
	static urge_sem sem;
	static urge_waitgroup never;

	mutex = of_cond = {};
	rwmutex = {};
	cond = {};
	sem = {};
	never = {};
	for (int round = 0; round < 5; round++)
		EXPECT_EQ(0, run_main([&] {
				  std::atomic<int> waiting{ 0 }, through{ 0 };

				  if (round > 0) {
					  urge_mutex_unlock(&mutex);
					  urge_rwmutex_unlock(&rwmutex);
					  urge_cond_broadcast(&cond);
					  urge_waitgroup_done(&never);
					  for (int i = 0; i < 4; i++) {
						  go([&] {
							  urge_mutex_lock(&mutex);
							  urge_yield();
							  urge_mutex_unlock(&mutex);
							  urge_rwmutex_rlock(&rwmutex);
							  urge_yield();
							  urge_rwmutex_runlock(&rwmutex);
							  EXPECT_EQ(0, urge_sem_acquire(&sem));
							  urge_waitgroup_wait(&never);
							  through++;
						  });
						  urge_sem_release(&sem);
					  }
					  EXPECT_TRUE(eventually([&] { return through == 4; }));
				  }
				  urge_mutex_lock(&mutex);
				  urge_rwmutex_lock(&rwmutex);
				  urge_waitgroup_add(&never, 1);
				  for (int i = 0; i < 10; i++) {
					  go([&] { waiting++, urge_mutex_lock(&mutex); });
					  go([&] { waiting++, urge_rwmutex_rlock(&rwmutex); });
					  go([&] { waiting++, urge_rwmutex_lock(&rwmutex); });
					  go([&] { waiting++, urge_sem_acquire(&sem); });
					  go([&] { waiting++, urge_waitgroup_wait(&never); });
					  go([&] {
						  urge_mutex_lock(&of_cond);
						  waiting++;
						  urge_cond_wait(&cond, &of_cond);
					  });
				  }
				  EXPECT_TRUE(eventually([&] { return waiting == 60; }));
				  urge_sleep(URGE_MS);
				  return 0;
			  }));
}

TEST(MainReturn, OthersThatRunAreDiscarded)
{
	returns_beside([](int) {
		EXPECT_EQ(0, go([] {
				  for (;;)
					  urge_yield();
			  }));
	});
}

TEST(MainReturn, OthersThatSpawnAreDiscarded)
{
	struct Spawner {
		static void run(void *)
		{
			for (;;) {
				urge_go(nothing, nullptr);
				urge_yield();
			}
		}
		static void nothing(void *) {}
	};

	returns_beside([](int) { EXPECT_EQ(0, urge_go(Spawner::run, nullptr)); });
}

TEST(MainReturn, OthersInDeclaredSystemCallsAreLeftBehind)
{
	SKIP_WHERE_SIGNALS_WAIT();
	for (int round = 0; round < 10; round++) {
		int64_t returned = 0;
		int fds[2];

		ASSERT_EQ(0, pipe(fds));
		EXPECT_EQ(0, run_main([&] {
				  std::atomic<int> inside{ 0 };

				  for (int i = 0; i < 5; i++)
					  EXPECT_EQ(0, go([&, from = fds[0]] {
							    char c;

							    inside++;
							    urge_entersyscall();
							    if (read(from, &c, 1) < 0)
								    abort();
							    urge_exitsyscall();
							    ADD_FAILURE()
								    << "came back after the end";
						    }));
				  EXPECT_TRUE(eventually([&] { return inside == 5; }));
				  returned = urge_now();
				  return 0;
			  }));
		EXPECT_LT(urge_now() - returned, return_limit);
		close(fds[1]); /* they all return from the read, and end */
		expect_one_thread();
		close(fds[0]);
	}
}

/*
 * A goroutine blocks in an undeclared read, on the thread that called urge_main or on another one.
 * urge_main must come back on its thread all the same.
 */
static void returns_beside_read(bool on_first_thread)
{
	for (int round = 0; round < 5; round++) {
		int64_t returned = 0;
		int first = thread_gettid();
		int fds[2];

		ASSERT_EQ(0, pipe(fds));
		EXPECT_EQ(0, run_main([&] {
				  std::atomic<bool> found{ false };

				  urge_gomaxprocs(4);
				  EXPECT_EQ(
					  0, go([&, from = fds[0]] {
						  char c;

						  if (!eventually([&] {
							      return (thread_gettid() == first) ==
								     on_first_thread;
						      }))
							  abort();
						  found = true;
						  if (read(from, &c, 1) < 0)
							  abort();
						  urge_yield(); /* on the other thread: ends here */
						  ADD_FAILURE() << "came back after the end";
					  }));
				  EXPECT_TRUE(eventually([&] { return found.load(); }));
				  urge_sleep(URGE_MS);
				  returned = urge_now();
				  return 0;
			  }));
		EXPECT_LT(urge_now() - returned, return_limit);
		EXPECT_EQ(first, thread_gettid());
		free(malloc(1000));
		EXPECT_EQ(5, run_main([] {
				  EXPECT_EQ(0, go([] {}));
				  urge_yield();
				  return 5;
			  }));
		close(fds[1]);
		close(fds[0]);
	}
}

TEST(MainReturn, OneBlockedInReadOnAnotherThreadIsLeftBehind)
{
	SKIP_WHERE_SIGNALS_WAIT();
	EXPECT_EXITED(0, in_child([] { returns_beside_read(false); }));
}

TEST(MainReturn, OneBlockedInReadOnTheCallersThreadIsAbandoned)
{
	SKIP_WHERE_SIGNALS_WAIT();
	EXPECT_EXITED(0, in_child([] { returns_beside_read(true); }));
}

/* The program's code is over, with the destructors of what is local to the runtime's threads. */
TEST(MainReturn, DestructorsOfThreadLocalValuesAreOver)
{
	static std::atomic<int> made, destroyed;
	static pthread_key_t key;
	struct Local {
		Local() { made++; }
		~Local()
		{
			usleep(20000);
			destroyed++;
		}
	};
	int first = thread_gettid();

	ASSERT_EQ(0, pthread_key_create(&key, [](void *rounds) {
			  usleep(10000);
			  if ((uintptr_t)rounds > 1)
				  pthread_setspecific(key, (void *)((uintptr_t)rounds - 1));
			  else
				  destroyed++;
		  }));
	for (int round = 0; round < 10; round++) {
		made = destroyed = 0;
		EXPECT_EQ(0, run_main([&] {
				  std::atomic<int> others{ 0 };

				  urge_gomaxprocs(4);
				  for (int i = 0; i < 4; i++)
					  go([&] {
						  if (!eventually([&] {
							      return thread_gettid() != first;
						      }))
							  abort();
						  static thread_local Local local;
						  if (!pthread_getspecific(key)) {
							  pthread_setspecific(key, (void *)2);
							  made++;
						  }
						  others++;
					  });
				  EXPECT_TRUE(eventually([&] { return others == 4; }));
				  return 0;
			  }));
		EXPECT_GE(made, 2);
		EXPECT_EQ(made, destroyed);
	}
	pthread_key_delete(key);
}

/* ---- what is left -------------------------------------------------------------------------- */

static void round_of_everything()
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> done{ 0 };
			  struct urge_attr big = URGE_ATTR_INIT;

			  big.stack_size = 4 << 20;
			  urge_gomaxprocs(4);
			  for (int i = 0; i < 200; i++)
				  EXPECT_EQ(0, go([&done, i] {
						    if (i % 4 == 0) {
							    urge_entersyscall();
							    usleep(100);
							    urge_exitsyscall();
						    }
						    done++;
						    urge_sleep(i % 2 ? 1 : 3600 * URGE_S);
					    }));
			  EXPECT_EQ(0, go([&done] { done++; }, &big));
			  EXPECT_TRUE(eventually([&] { return done == 201; }));
			  return 0;
		  }));
}

TEST(MainReturn, NothingLeaks)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers map memory of their own for each thread";
	EXPECT_EXITED(0, in_child([] {
			      int fds, maps;
			      int64_t size;

			      for (int i = 0; i < 20; i++) /* libc's caches fill */
				      round_of_everything();
			      fds = open_fds();
			      maps = mappings();
			      size = procfs_status_kb("VmSize");
			      for (int i = 0; i < 50; i++)
				      round_of_everything();
			      EXPECT_EQ(fds, open_fds());
			      expect_one_thread();
			      /* libc keeps a thread's stack or arena more or less; a leak would be one a round */
			      EXPECT_LE(mappings(), maps + 20);
			      EXPECT_LE(procfs_status_kb("VmSize"), size + 20 * 64 * 1024);
		      }));
}

TEST(MainReturn, SignalHandlersAreGivenBack)
{
	struct sigaction before[3], after;
	static const int signals[] = { SIGSEGV, SIGQUIT, SIGUSR1 };

	for (int i = 0; i < 3; i++)
		sigaction(signals[i], nullptr, &before[i]);
	EXPECT_EQ(0, run_main([] { return 0; }));
	for (int i = 0; i < 3; i++) {
		sigaction(signals[i], nullptr, &after);
		EXPECT_EQ(before[i].sa_handler, after.sa_handler) << signals[i];
	}
}
