/* SPDX-License-Identifier: MIT */
/* Goroutines: making, ordering, waiting, ending, and what is used again. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include "tests/unit/resources.h"
#include <atomic>
#include <climits>
#include <set>
#include <thread>

static void nothing(void *) {}

TEST(Goroutine, RunsOnceWithItsArgument)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> sum{ 0 };

			  for (int i = 1; i <= 1000; i++)
				  EXPECT_EQ(0, go([&sum, i] { sum += i; }));
			  EXPECT_TRUE(eventually([&] { return sum == 500500; }));
			  EXPECT_TRUE(eventually([&] { return urge_num_goroutine() == 1; }));
			  return 0;
		  }));
}

TEST(Goroutine, YieldLetsTheOthersRunInTurn)
{
	EXPECT_EQ(0, run_main([] {
			  std::string order;
			  urge_waitgroup wg = {};

			  urge_gomaxprocs(1);
			  urge_set_time_slice(10 * URGE_S);
			  urge_waitgroup_add(&wg, 3);
			  for (char c : { 'b', 'c', 'a' })
				  EXPECT_EQ(0, go([&, c] {
						    for (int i = 0; i < 3; i++) {
							    order += c;
							    urge_yield();
						    }
						    urge_waitgroup_done(&wg);
					    }));
			  urge_waitgroup_wait(&wg);
			  EXPECT_EQ("abcabcabc", order);
			  urge_set_time_slice(10 * URGE_MS);
			  return 0;
		  }));
}

/* Hundreds that yield, on one P, fill the ring and the global queue. */
class Yielders
{
public:
	Yielders()
	{
		urge_gomaxprocs(1);
		urge_waitgroup_add(&wg, 1000);
		for (int i = 0; i < 1000; i++)
			EXPECT_EQ(0, go([this] {
					  while (!stop) {
						  yields++;
						  urge_yield();
					  }
					  urge_waitgroup_done(&wg);
				  }));
	}
	~Yielders()
	{
		stop = true;
		urge_waitgroup_wait(&wg);
	}

	std::atomic<uint64_t> yields{ 0 };
	std::atomic<bool> stop{ false };

private:
	urge_waitgroup wg = {};
};

/* Who is woken by a thread passes them by. */
TEST(Goroutine, WhoIsWokenDoesNotQueueBehindThoseThatYield)
{
	EXPECT_EQ(0, run_main([] {
			  urge_chan *c = urge_chan_make(sizeof(uint64_t), 0);
			  uint64_t fewest = UINT64_MAX;

			  {
				  Yielders others;
				  std::thread waker([&] {
					  while (!others.stop) {
						  uint64_t before = others.yields;

						  urge_try_send(c, &before);
						  usleep(1000);
					  }
				  });
				  for (int i = 0; i < 50;
				       i++) { /* a thread that loses its CPU counts more */
					  uint64_t before = 0;

					  EXPECT_EQ(0, urge_recv(c, &before));
					  fewest = std::min(fewest, others.yields - before);
				  }
				  others.stop = true;
				  waker.join();
			  }
			  urge_chan_free(c);
			  EXPECT_LT(fewest, 5000u);
			  return 0;
		  }));
}

/* So does who comes back from a call, and finds no P. */
TEST(Goroutine, WhoComesBackDoesNotQueueBehindThoseThatYield)
{
	EXPECT_EQ(0, run_main([] {
			  Yielders others;
			  uint64_t fewest = UINT64_MAX;

			  for (int i = 0; i < 50; i++) {
				  struct Call {
					  std::atomic<uint64_t> *yields;
					  uint64_t at_its_end;
				  } call = { &others.yields, 0 };
				  auto doze = [](void *arg) {
					  Call *call = (Call *)arg;

					  usleep(1000);
					  call->at_its_end = *call->yields;
					  return 0;
				  };

				  EXPECT_EQ(0, urge_blocking(doze, &call));
				  fewest = std::min(fewest, others.yields - call.at_its_end);
			  }
			  EXPECT_LT(fewest, 5000u);
			  return 0;
		  }));
}

TEST(Goroutine, NumbersAreNeverUsedTwice)
{
	EXPECT_EQ(0u, urge_goid());
	for (int round = 0; round < 2; round++)
		EXPECT_EQ(0, run_main([] {
				  urge_mutex lock = {};
				  std::set<uint64_t> seen = { urge_goid() };
				  urge_waitgroup wg = {};

				  EXPECT_EQ(1u, urge_goid());
				  urge_waitgroup_add(&wg, 20000);
				  for (int i = 0; i < 20000; i++)
					  EXPECT_EQ(
						  0, go([&] {
							  urge_mutex_lock(&lock);
							  EXPECT_TRUE(
								  seen.insert(urge_goid()).second);
							  urge_mutex_unlock(&lock);
							  urge_waitgroup_done(&wg);
						  }));
				  urge_waitgroup_wait(&wg);
				  EXPECT_EQ(20001u, seen.size());
				  std::thread([] { EXPECT_EQ(0u, urge_goid()); }).join();
				  return 0;
			  }));
}

TEST(Goroutine, StacksOfTheDeadAreUsedAgain)
{
	EXPECT_EQ(0, run_main([] {
			  std::set<uintptr_t> stacks;
			  urge_waitgroup wg = {};

			  urge_gomaxprocs(1);
			  for (int i = 0; i < 20000; i++) {
				  urge_waitgroup_add(&wg, 1);
				  EXPECT_EQ(0, go([&] {
						    stacks.insert(
							    (uintptr_t)__builtin_frame_address(0) /
							    65536);
						    urge_waitgroup_done(&wg);
					    }));
				  urge_waitgroup_wait(&wg);
			  }
			  EXPECT_LE(stacks.size(), 200u);
			  return 0;
		  }));
}

TEST(Goroutine, EndOfMainsGoroutineLeavesTheOthers)
{
	Outcome later = in_child([] {
		run_main([]() -> int {
			EXPECT_EQ(0, go([] {
					  urge_sleep(10 * URGE_MS);
					  puts("still here");
					  exit(3);
				  }));
			urge_goexit();
		});
	});

	EXPECT_EXITED(3, later);
	EXPECT_EQ("still here\n", later.out);
}

TEST(Goroutine, GoexitEndsItInTheMiddle)
{
	EXPECT_EQ(0, run_main([] {
			  struct Middle {
				  static void deep(void *wg)
				  {
					  urge_waitgroup_done((urge_waitgroup *)wg);
					  urge_goexit();
				  }
			  };
			  urge_waitgroup wg = {};

			  urge_waitgroup_add(&wg, 100);
			  for (int i = 0; i < 100; i++)
				  EXPECT_EQ(0, urge_go(Middle::deep, &wg));
			  urge_waitgroup_wait(&wg);
			  EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
			  return 0;
		  }));
}

TEST(Goroutine, SleepTakesAtLeastItsTime)
{
	EXPECT_EQ(0, run_main([] {
			  for (int64_t ns : { INT64_C(1), URGE_US, 100 * URGE_US, 20 * URGE_MS }) {
				  int64_t start = urge_now();

				  EXPECT_EQ(0, urge_sleep(ns));
				  EXPECT_GE(urge_now() - start, ns);
			  }
			  EXPECT_EQ(0, urge_sleep(0));
			  EXPECT_EQ(0, urge_sleep(-1));
			  EXPECT_EQ(0, urge_sleep(INT64_MIN));
			  EXPECT_EQ(0, urge_sleep_until(0));
			  EXPECT_EQ(0, urge_sleep_until(urge_now() - 1));
			  return 0;
		  }));
}

TEST(Goroutine, ManySleepersWakeNoneBeforeItsTime)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> early{ 0 };
			  urge_waitgroup wg = {};

			  urge_waitgroup_add(&wg, 1000);
			  for (int i = 0; i < 1000; i++)
				  EXPECT_EQ(0, go([&, ns = i * 7919 % 1000 * 50 * URGE_US] {
						    int64_t deadline = urge_now() + ns;

						    urge_sleep_until(deadline);
						    early += urge_now() < deadline;
						    urge_waitgroup_done(&wg);
					    }));
			  urge_waitgroup_wait(&wg);
			  EXPECT_EQ(0, early);
			  EXPECT_EQ(0, go([] { urge_sleep(INT64_MAX); }));
			  urge_yield();
			  return 0;
		  }));
}

TEST(Goroutine, AttributesOutOfRangeAreRefused)
{
	EXPECT_EQ(0, run_main([] {
			  struct urge_attr attr = URGE_ATTR_INIT;

			  EXPECT_EQ(-EINVAL, urge_go(nullptr, nullptr));
			  EXPECT_EQ(-EINVAL, urge_go_attr(&attr, nullptr, nullptr));
			  EXPECT_EQ(0, urge_go_attr(nullptr, nothing, nullptr));
			  EXPECT_EQ(0, urge_go_attr(&attr, nothing, nullptr));
			  for (size_t size : { ((size_t)1 << 30) + 1, (size_t)2 << 30, SIZE_MAX,
					       SIZE_MAX - 4095 }) {
				  attr.stack_size = size;
				  EXPECT_EQ(-EINVAL, urge_go_attr(&attr, nothing, nullptr)) << size;
			  }
			  attr.stack_size = 0;
			  for (int preempt : { -1, URGE_PREEMPT_OFF + 1, 17 }) {
				  attr.preempt = preempt;
				  EXPECT_EQ(-EINVAL, urge_go_attr(&attr, nothing, nullptr))
					  << preempt;
			  }
			  attr.preempt = URGE_PREEMPT_OFF;
			  EXPECT_EQ(0, urge_go_attr(&attr, nothing, nullptr));
			  EXPECT_EQ(-EINVAL, urge_gomaxprocs(CONFIG_MAX_PROCS + 1));
			  EXPECT_EQ(-EINVAL, urge_gomaxprocs(INT_MAX));
			  EXPECT_GE(urge_gomaxprocs(INT_MIN), 1);
			  return 0;
		  }));
}

TEST(Goroutine, NamesAreCutForDumps)
{
	Outcome dump = in_child([] {
		run_main([] {
			struct urge_attr attr = URGE_ATTR_INIT;
			char name[] = "a name that is longer than all";

			attr.name = name;
			EXPECT_EQ(0, go([] { urge_sleep(3600 * URGE_S); }, &attr));
			memset(name, '#', sizeof(name) - 1); /* it was copied */
			urge_sleep(10 * URGE_MS);
			urge_dump(1);
			return 0;
		});
	});

	EXPECT_EXITED(0, dump);
	EXPECT_SAYS("\ngoroutine 2 [sleep] a name that is longer t:\n", dump.out);
	EXPECT_SAYS("\ngoroutine 1 [running] main:\n", dump.out);
}

TEST(Goroutine, DumpGoesWhereItIsTold)
{
	EXPECT_EQ(0, run_main([] {
			  urge_dump(-1); /* nowhere */
			  return 0;
		  }));
}

TEST(Waitgroup, NegativeCounterIsFatal)
{
	Outcome fatal = in_child([] {
		run_main([] {
			urge_waitgroup wg = {};

			urge_waitgroup_done(&wg);
			return 0;
		});
	});

	EXPECT_EXITED(2, fatal);
	EXPECT_EQ(0u,
		  fatal.err.find("fatal error: sync: negative WaitGroup counter\n\ngoroutine 1 "))
		<< fatal.err;
}

TEST(Waitgroup, WakesGoroutinesAndThreadsTogether)
{
	EXPECT_EQ(0, run_main([] {
			  for (int round = 0; round < 50; round++) {
				  urge_waitgroup gate = {}, all = {};
				  std::atomic<int> through{ 0 };
				  std::vector<std::thread> threads;

				  urge_waitgroup_add(&gate, 1);
				  urge_waitgroup_add(&all, 8);
				  for (int i = 0; i < 8; i++) {
					  auto wait = [&] {
						  urge_waitgroup_wait(&gate);
						  through++;
						  urge_waitgroup_done(&all);
					  };

					  if (i % 4 == 0)
						  threads.emplace_back(wait);
					  else
						  EXPECT_EQ(0, go(wait));
				  }
				  if (round % 2)
					  urge_sleep(URGE_MS);
				  urge_waitgroup_done(&gate);
				  urge_waitgroup_wait(&all);
				  EXPECT_EQ(8, through);
				  for (std::thread &thread : threads)
					  thread.join();
			  }
			  return 0;
		  }));
}

/* The memory may be freed as soon as wait has returned. */
TEST(Waitgroup, ItsMemoryMayGoAfterTheWait)
{
	EXPECT_EQ(0, run_main([] {
			  for (int round = 0; round < 2000; round++) {
				  urge_waitgroup *wg = (urge_waitgroup *)calloc(1, sizeof(*wg));

				  urge_waitgroup_add(wg, 2);
				  for (int i = 0; i < 2; i++)
					  EXPECT_EQ(0, go([=] { urge_waitgroup_done(wg); }));
				  urge_waitgroup_wait(wg);
				  memset(wg, 0xa5, sizeof(*wg));
				  free(wg);
			  }
			  return 0;
		  }));
}

TEST(Stats, CountWhatHappens)
{
	EXPECT_EQ(0, run_main([] {
			  struct urge_stats before, after;
			  urge_waitgroup wg = {};

			  urge_stats_read(&before);
			  EXPECT_EQ(1u, before.goroutines);
			  EXPECT_GE(before.threads, 3u); /* the caller, sysmon, the template */
			  urge_waitgroup_add(&wg, 100);
			  for (int i = 0; i < 100; i++)
				  EXPECT_EQ(0, go([&] {
						    urge_sleep(URGE_MS);
						    urge_waitgroup_done(&wg);
					    }));
			  urge_waitgroup_wait(&wg);
			  EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
			  urge_stats_read(&after);
			  EXPECT_EQ(before.spawned + 100, after.spawned);
			  EXPECT_GE(after.switches, before.switches + 200);
			  EXPECT_GE(after.parks, before.parks + 101);
			  EXPECT_EQ(1u, after.goroutines);
			  for (uint64_t word : after.reserved)
				  EXPECT_EQ(0u, word);
			  return 0;
		  }));
}

/* ---- a runtime short of something ---------------------------------------------------------- */

TEST(Limits, WithoutAddressSpaceSpawningFailsAndTheRestGoesOn)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers need the address space themselves";
	EXPECT_EXITED(0, in_child([] {
			      EXPECT_EQ(0, run_main([] {
						static urge_waitgroup gate, all;
						struct urge_attr attr = URGE_ATTR_INIT;
						int started = 0, err;

						urge_gomaxprocs(2); /* threads take some too */
						urge_waitgroup_add(&gate, 1);
						limit(RLIMIT_AS,
						      ((rlim_t)procfs_status_kb("VmSize") << 10) +
							      (64 << 20));
						for (;;) {
							urge_waitgroup_add(&all, 1);
							err = urge_go(
								[](void *) {
									urge_waitgroup_wait(&gate);
									urge_waitgroup_done(&all);
								},
								nullptr);
							if (err)
								break;
							started++;
						}
						urge_waitgroup_done(&all);
						EXPECT_EQ(-ENOMEM, err);
						EXPECT_GE(started, 32);
						EXPECT_LE(started, 1000);
						attr.stack_size = (size_t)1 << 30;
						EXPECT_EQ(-ENOMEM,
							  urge_go_attr(&attr, nothing, nullptr));
						urge_waitgroup_done(&gate);
						urge_waitgroup_wait(&all);
						/* their stacks are there to be used again */
						for (int i = 0; i < 1000; i++) {
							EXPECT_EQ(0, urge_go(nothing, nullptr));
							urge_yield();
						}
						limit(RLIMIT_AS, RLIM_INFINITY);
						EXPECT_EQ(0, urge_go_attr(&attr, nothing, nullptr));
						urge_yield();
						return 0;
					}));
		      }));
}

TEST(Limits, WithoutThreadsBlockingCallsTakeTurns)
{
	EXPECT_EXITED(0, in_child([] {
			      if (getuid() == 0) { /* root has no such limit */
				      ASSERT_EQ(0, setgid(65534) | setuid(65534));
			      }
			      EXPECT_EQ(0, run_main([] {
						std::atomic<int> done{ 0 }, computed{ 0 };

						urge_gomaxprocs(4);
						limit(RLIMIT_NPROC, 1);
						for (int i = 0; i < 60; i++) {
							EXPECT_EQ(0, go([&] {
									  urge_entersyscall();
									  usleep(2000);
									  urge_exitsyscall();
									  done++;
								  }));
							EXPECT_EQ(0, go([&] {
									  urge_sleep(URGE_MS);
									  computed++;
								  }));
						}
						EXPECT_TRUE(eventually([&] {
							return done == 60 && computed == 60;
						})) << done
						    << " " << computed;
						limit(RLIMIT_NPROC, RLIM_INFINITY);
						return 0;
					}));
		      }));
}

/* ---- declared system calls ----------------------------------------------------------------- */

TEST(Syscall, OthersRunMeanwhile)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<bool> told{ false };
			  int fds[2];
			  char c = 0;

			  EXPECT_EQ(0, pipe(fds));
			  urge_gomaxprocs(1);
			  EXPECT_EQ(0, go([&] {
					    told = true;
					    EXPECT_EQ(1, write(fds[1], "x", 1));
				    }));
			  /* on the only P: unless it is taken away, nobody ever writes */
			  urge_entersyscall();
			  EXPECT_EQ(1, read(fds[0], &c, 1));
			  urge_exitsyscall();
			  EXPECT_EQ('x', c);
			  EXPECT_TRUE(told);
			  close(fds[0]);
			  close(fds[1]);
			  return 0;
		  }));
}

TEST(Syscall, ErrnoSurvives)
{
	EXPECT_EQ(0, run_main([] {
			  urge_waitgroup wg = {};

			  urge_gomaxprocs(2);
			  urge_waitgroup_add(&wg, 20);
			  for (int i = 0; i < 20; i++)
				  EXPECT_EQ(0, go([&, i] {
						    for (int k = 0; k < 50; k++) {
							    int made = 1000 + i;

							    urge_entersyscall();
							    usleep(k % 3 ? 0 : 1000);
							    errno = made;
							    urge_exitsyscall();
							    EXPECT_EQ(made, errno);
							    urge_yield();
							    EXPECT_EQ(made, errno);
						    }
						    urge_waitgroup_done(&wg);
					    }));
			  urge_waitgroup_wait(&wg);
			  return 0;
		  }));
}

TEST(Syscall, ManyShortOnesLoseNothing)
{
	EXPECT_EQ(0, run_main([] {
			  for (int procs : { 1, 2, 4 }) {
				  std::atomic<int> calls{ 0 };
				  urge_waitgroup wg = {};

				  urge_gomaxprocs(procs);
				  urge_waitgroup_add(&wg, 16);
				  for (int i = 0; i < 16; i++)
					  EXPECT_EQ(0, go([&] {
							    for (int k = 0; k < 3000; k++) {
								    urge_entersyscall();
								    if (k % 100 == 0)
									    usleep(50);
								    urge_exitsyscall();
								    calls++;
							    }
							    urge_waitgroup_done(&wg);
						    }));
				  urge_waitgroup_wait(&wg);
				  EXPECT_EQ(16 * 3000, calls);
			  }
			  return 0;
		  }));
}
