/* SPDX-License-Identifier: MIT */
/* What a burst of goroutines, or of blocked threads, has taken comes back. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>

/*
 * Free stacks are given back after periods of five seconds in which nobody needed them. Here
 * periods are short, but longer than a burst; tests/programs/million.c waits for real ones.
 */
static const int64_t test_period = 500 * URGE_MS;
static const int64_t reclaim_limit = 40 * URGE_S;

class Reclaim : public testing::Test
{
protected:
	void SetUp() override { reclaim_period = test_period; }
};

/* Resident memory and page tables, kB. */
static int64_t memory_kb()
{
	return procfs_status_kb("VmRSS") + procfs_status_kb("VmPTE");
}

/* n goroutines that are all there at once; then they end. */
static void burst(
	int n, const std::function<void()> &while_there = [] {})
{
	urge_waitgroup gate = {}, ended = {};
	std::atomic<int> there{ 0 };

	struct Guest {
		urge_waitgroup *gate, *ended;
		std::atomic<int> *there;

		static void run(void *arg)
		{
			const Guest *me = (Guest *)arg;

			++*me->there;
			urge_waitgroup_wait(me->gate);
			urge_waitgroup_done(me->ended);
		}
	} guest = { &gate, &ended, &there };

	urge_waitgroup_add(&gate, 1);
	urge_waitgroup_add(&ended, n);
	for (int i = 0; i < n; i++)
		ASSERT_EQ(0, urge_go(Guest::run, &guest)) << i;
	EXPECT_TRUE(eventually([&] { return there == n; }, 100 * URGE_S)) << there;
	EXPECT_EQ((size_t)n + 1, urge_num_goroutine());
	while_there();
	urge_waitgroup_done(&gate);
	urge_waitgroup_wait(&ended);
	EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
}

TEST_F(Reclaim, MemoryAndThreadsComeBackAfterABurst)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers keep shadow memory";
	EXPECT_EXITED(
		0,
		in_child(
			[] {
				EXPECT_EQ(
					0, run_main([] {
						int64_t before, peak = 0, now = 0, start;
						int threads;

						burst(100);
						threads = thread_count();
						before = memory_kb();
						burst(100000, [&] { peak = memory_kb(); });
						EXPECT_GE(peak - before, 100000 * 4);
						start = urge_now();
						EXPECT_TRUE(eventually(
							[&] {
								now = memory_kb();
								return now - before <=
								       (peak - before) / 10;
							},
							reclaim_limit));
						printf("%ld kB before, %ld at the peak, %ld after %ld ms\n",
						       (long)before, (long)peak, (long)now,
						       (long)((urge_now() - start) / URGE_MS));
						/* those that found nothing to do end after 5 s */
						EXPECT_TRUE(eventually([&] {
							return thread_count() <= threads + 2;
						})) << thread_count();
						burst(1000); /* and it still works */
						return 0;
					}));
			},
			200 * URGE_S));
}

TEST_F(Reclaim, MemoryComesBackWhileOthersGoOnSpawning)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers keep shadow memory";
	EXPECT_EXITED(
		0, in_child(
			   [] {
				   EXPECT_EQ(0, run_main([] {
						     int64_t before, peak = 0, now = 0;

						     burst(100);
						     before = memory_kb();
						     burst(50000, [&] { peak = memory_kb(); });
						     EXPECT_TRUE(eventually(
							     [&] {
								     burst(50);
								     now = memory_kb();
								     return now - before <=
									    (peak - before) / 10;
							     },
							     reclaim_limit))
							     << before << " " << peak << " " << now;
						     return 0;
					     }));
			   },
			   200 * URGE_S));
}

/* Nine pages of each stack. */
static void burst_that_uses_stack(int n)
{
	urge_waitgroup all = {}, gate = {};

	urge_waitgroup_add(&gate, 1);
	urge_waitgroup_add(&all, n);
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, go([&] {
				  volatile char page[32768];

				  for (size_t at = 0; at < sizeof(page); at += 4096)
					  page[at] = 1;
				  urge_waitgroup_wait(&gate);
				  urge_waitgroup_done(&all);
			  }));
	urge_waitgroup_done(&gate);
	urge_waitgroup_wait(&all);
	EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
}

TEST_F(Reclaim, IdlePsKeepNoStacks)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers keep shadow memory";
	EXPECT_EXITED(0, in_child(
				 [] {
					 EXPECT_EQ(0, run_main([] {
							   int64_t before, now = 0;

							   burst(10);
							   before = memory_kb();
							   burst_that_uses_stack(300);
							   EXPECT_GE(memory_kb() - before, 6000);
							   /* rare looks: they keep a P busy */
							   for (int i = 0; i < 40; i++) {
								   urge_sleep(2 * test_period);
								   now = memory_kb();
								   if (now - before <= 1000)
									   break;
							   }
							   EXPECT_LE(now - before, 1000);
							   return 0;
						   }));
				 },
				 200 * URGE_S));
}

TEST_F(Reclaim, BigStacksComeBackToo)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers keep shadow memory";
	EXPECT_EXITED(
		0,
		in_child(
			[] {
				EXPECT_EQ(
					0, run_main([] {
						urge_waitgroup gate = {}, ended = {};
						struct urge_attr attr = URGE_ATTR_INIT;
						std::atomic<int> there{ 0 };
						int64_t before, peak;

						burst(100);
						before = memory_kb();
						attr.stack_size = 1 << 20;
						urge_waitgroup_add(&gate, 1);
						urge_waitgroup_add(&ended, 200);
						for (int i = 0; i < 200; i++)
							EXPECT_EQ(
								0,
								go(
									[&] {
										volatile char *top =
											(char *)__builtin_frame_address(
												0);

										for (size_t below =
											     1024;
										     below <
										     1000000;
										     below += 4096)
											top[-(ptrdiff_t)
												    below] =
												1;
										there++;
										urge_waitgroup_wait(
											&gate);
										urge_waitgroup_done(
											&ended);
									},
									&attr));
						EXPECT_TRUE(
							eventually([&] { return there == 200; }));
						peak = memory_kb();
						urge_waitgroup_done(&gate);
						urge_waitgroup_wait(&ended);
						EXPECT_GE(peak - before, 100000);
						EXPECT_TRUE(eventually(
							[&] {
								return memory_kb() - before <=
								       (peak - before) / 10;
							},
							reclaim_limit))
							<< before << " " << peak << " "
							<< memory_kb();
						return 0;
					}));
			},
			200 * URGE_S));
}

TEST_F(Reclaim, ThreadsEndAfterBlockingCalls)
{
	EXPECT_EXITED(0, in_child([] {
			      EXPECT_EQ(0, run_main([] {
						std::atomic<int> inside{ 0 }, most{ 0 };
						std::atomic<bool> open{ false };
						urge_waitgroup wg = {};
						int procs = 2;
						/* sysmon and the like, and TSan's: two in a child */
						int others = 4 + 2 * IS_ENABLED(CONFIG_TSAN);

						urge_gomaxprocs(procs);
						urge_waitgroup_add(&wg, 200);
						for (int i = 0; i < 200; i++)
							EXPECT_EQ(0, go([&] {
									  urge_entersyscall();
									  inside++;
									  while (!open)
										  usleep(1000);
									  urge_exitsyscall();
									  urge_waitgroup_done(&wg);
								  }));
						EXPECT_TRUE(eventually([&] {
							return inside == 200;
						})) << inside;
						most = thread_count();
						EXPECT_GE(most, 200);
						open = true;
						urge_waitgroup_wait(&wg);
						EXPECT_TRUE(eventually([&] {
							return thread_count() <= 2 * procs + others;
						})) << thread_count();
						return 0;
					}));
		      }));
}
