/* SPDX-License-Identifier: MIT */
/* Which threads take over: those that were last on the CPU of who hands them the P. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <algorithm>
#include <atomic>
#include <fstream>
#include <sched.h>
#include <sstream>

extern "C" {
#include "sched/m.h"
}

namespace
{

std::vector<struct m *> all_threads()
{
	std::vector<struct m *> all;

	forEachM([](struct m *mp, void *arg) { ((std::vector<struct m *> *)arg)->push_back(mp); },
		 &all);
	return all;
}

/* Where a sleeping thread was last, by the kernel's word; -1: it does not sleep. */
int last_cpu(uint32_t tid)
{
	std::ifstream stat("/proc/self/task/" + std::to_string(tid) + "/stat");
	std::string line, field;

	std::getline(stat, line);
	std::istringstream fields(line.substr(line.find(')') + 2));
	for (int i = 3; i <= 39 && fields >> field; i++)
		if (i == 3 && field != "S")
			return -1;
	return field.empty() ? -1 : std::stoi(field);
}

} // namespace

/*
 * Made-up CPUs, one for each thread. As many are taken as leave half of the slots full, so that
 * nobody fills them meanwhile, and in an order that is not that of the slots: the last threads
 * first, which have never been anything but spare.
 */
static void take_by_cpu()
{
	enum { TAKEN = 6, CPUS = 1000 };
	const size_t slots = (size_t)urge_gomaxprocs(0) + 1;
	std::vector<struct m *> all, taken;
	int right = 0;

	EXPECT_TRUE(eventually([&] {
		all = all_threads();
		return all.size() > slots && template_starting() == 0;
	})) << all.size()
	    << " threads";
	urge_sleep(50 * URGE_MS); /* until the last one waits */
	std::sort(all.begin(), all.end(), [](struct m *a, struct m *b) { return a->id > b->id; });
	urge_nopreempt_begin();
	for (struct m *mp : all)
		store_rlx_u32(&mp->cpu, CPUS + mp->id);
	for (int i = 0; i < TAKEN; i++) {
		struct m *mp = template_take_spare(CPUS + all[i]->id);

		if (!mp)
			break;
		right += mp == all[i];
		taken.push_back(mp);
	}
	urge_nopreempt_end();
	EXPECT_EQ((size_t)TAKEN, taken.size());
	EXPECT_GE(right, TAKEN - 1) << "one may have been idle, and no spare";
	for (struct m *mp : taken) { /* as at the end of the world */
		mrunning_less();
		mp->nextp = nullptr;
		mwake(mp);
	}
}

TEST(Spare, OneThatWasOnTheCpuIsTaken)
{
	if (CONFIG_SPARE_MS <= 12)
		GTEST_SKIP() << "built with less than a slot for each P, and one";
	EXPECT_EXITED(0, in_child([] {
			      setenv("GOMAXPROCS", "12", 1); /* slots are filled at the start */
			      EXPECT_EQ(0, run_main([] {
						take_by_cpu();
						return 0;
					}));
		      }));
}

/* One that is on no CPU asked for is better than none. */
TEST(Spare, AnyIsTakenWhenNoneWasThere)
{
	EXPECT_EQ(0, run_main([] {
			  struct m *mp = nullptr;

			  EXPECT_TRUE(eventually([&] {
				  return (mp = template_take_spare(THREAD_NO_CPU - 1)) != nullptr;
			  }));
			  mrunning_less();
			  mp->nextp = nullptr;
			  mwake(mp);
			  return 0;
		  }));
}

/* Computes, on the CPUs of the mask in turn. */
static void hop(const std::atomic<bool> &stop, const cpu_set_t &cpus)
{
	cpu_set_t one;

	for (int cpu = 0; !stop; cpu = (cpu + 1) % CPU_SETSIZE) {
		int64_t end = urge_now() + 100 * URGE_US;

		if (!CPU_ISSET(cpu, &cpus))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		while (!stop && urge_now() < end)
			;
	}
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

/*
 * Threads that wait in the handler say where: of those that are met asleep, all but the few that the
 * kernel moved on their way there. They are made to change CPUs all the time.
 */
TEST(Spare, ParkedThreadsTellTheirCpu)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers: goroutines are preempted at calls only";
	if (thread_affinity_count() < 2)
		GTEST_SKIP() << "one CPU: there is nothing to confuse";
	EXPECT_EQ(0, run_main([] {
			  enum { LOOPS = 5, SAMPLES = 400 };
			  cpu_set_t cpus;
			  std::atomic<bool> stop{ false };
			  urge_waitgroup wg = {};
			  int right = 0, wrong = 0;
			  int64_t deadline = urge_now() + 30 * URGE_S;

			  sched_getaffinity(0, sizeof(cpus), &cpus);
			  urge_gomaxprocs(2);
			  urge_set_time_slice(URGE_MS);
			  urge_waitgroup_add(&wg, LOOPS);
			  for (int i = 0; i < LOOPS; i++)
				  EXPECT_EQ(0, go([&] {
						    hop(stop, cpus);
						    urge_waitgroup_done(&wg);
					    }));
			  while (right + wrong < SAMPLES && urge_now() < deadline) {
				  urge_sleep(URGE_MS);
				  for (struct m *mp : all_threads()) {
					  uint32_t cpu = load_rlx_u32(&mp->cpu);
					  int last = -1;

					  if (__atomic_load_n(&mp->parked_at, __ATOMIC_RELAXED))
						  last = last_cpu(load_rlx_u32(&mp->tid));
					  if (last >= 0 &&
					      __atomic_load_n(&mp->parked_at, __ATOMIC_RELAXED) &&
					      load_rlx_u32(&mp->cpu) == cpu)
						  ++(last == (int)cpu ? right : wrong);
				  }
			  }
			  stop = true;
			  urge_waitgroup_wait(&wg);
			  urge_set_time_slice(10 * URGE_MS);
			  printf("%d on the CPU that they tell, %d elsewhere\n", right, wrong);
			  EXPECT_GE(right + wrong, SAMPLES);
			  EXPECT_LT(wrong * 4, right + wrong);
			  return 0;
		  }));
}
