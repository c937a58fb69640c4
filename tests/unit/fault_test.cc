/* SPDX-License-Identifier: MIT */
/*
 * Every fault injection point: the call that needed what is not there returns its error, nothing is
 * lost, and the runtime runs afterwards as if nothing had happened.
 */
#include <gtest/gtest.h>

#include "kernelshim/fault.h"
#include "tests/unit/resources.h"

extern "C" {
#include "sched/urge.h"
extern bool have_membarrier;
}

namespace
{

struct Work {
	urge_waitgroup wg = {};
	int ran = 0;
	int refused = 0;
};

void task(void *arg)
{
	auto *work = static_cast<Work *>(arg);

	urge_yield();
	__atomic_add_fetch(&work->ran, 1, __ATOMIC_RELAXED);
	urge_waitgroup_done(&work->wg);
}

constexpr int kTasks = 300;

int spawn(void *arg)
{
	auto *work = static_cast<Work *>(arg);

	for (int i = 0; i < kTasks; i++) {
		urge_waitgroup_add(&work->wg, 1);
		int err = urge_go(task, work);

		if (err) {
			EXPECT_EQ(err, -ENOMEM);
			urge_waitgroup_done(&work->wg);
			work->refused++;
		}
	}
	urge_sleep(URGE_MS);
	urge_waitgroup_wait(&work->wg);
	return 77;
}

/* Runs a world; what was spawned has run, whatever failed. */
int run_world()
{
	Work work;
	int result = urge_main(spawn, &work);

	if (result == 77) {
		EXPECT_EQ(work.ran + work.refused, kTasks);
	} else {
		EXPECT_EQ(work.ran, 0);
	}
	return result;
}

class Fault : public testing::Test
{
protected:
	void SetUp() override
	{
		if (!IS_ENABLED(CONFIG_FAULT_INJECTION))
			GTEST_SKIP() << "built without CONFIG_FAULT_INJECTION";
		EXPECT_EQ(run_world(), 77); /* what is made once per process is made */
		fds_ = open_fds();
	}

	void TearDown() override
	{
		if (!IS_ENABLED(CONFIG_FAULT_INJECTION))
			return;
		for (int i = 0; i < FAULT_POINTS_N; i++)
			fault_arm(static_cast<fault_point>(i), 0, 0);
		EXPECT_EQ(run_world(), 77);
		EXPECT_EQ(open_fds(), fds_);
	}

	int fds_ = 0;
};

TEST_F(Fault, NoDescriptorsMeansNoWorldAndNoLeak)
{
	for (uint32_t skip = 0; skip < 2; skip++) { /* netpoll's and sysmon's */
		fault_arm(FAULT_EPOLL, skip, 1);
		EXPECT_EQ(run_world(), -EMFILE);
		fault_arm(FAULT_EVENTFD, skip, 1);
		EXPECT_EQ(run_world(), -EMFILE);
		fault_arm(FAULT_TIMERFD, skip, 1);
		EXPECT_EQ(run_world(), -EMFILE);
	}
	for (uint32_t skip = 0; skip < 4; skip++) {
		fault_arm(FAULT_EPOLL_ADD, skip, 1);
		EXPECT_EQ(run_world(), -ENOSPC);
		EXPECT_EQ(open_fds(), fds_);
	}
}

TEST_F(Fault, NoThreadsForSysmonMeansNoWorld)
{
	for (uint32_t skip = 0; skip < 3; skip++) { /* sysmon, the reclaimer, the template thread */
		fault_arm(FAULT_THREAD, skip, 1);
		EXPECT_EQ(run_world(), -EAGAIN);
	}
}

TEST_F(Fault, NoMoreThreadsMeansFewerThreads)
{
	fault_arm(FAULT_THREAD, 3, 1000000);
	EXPECT_EQ(run_world(), 77);
}

TEST_F(Fault, ThreadsThatComeLateAreUsed)
{
	fault_arm(FAULT_THREAD, 3, 3);
	EXPECT_EQ(run_world(), 77);
}

TEST_F(Fault, NoAlternateStack)
{
	for (uint32_t skip = 0; skip < 2; skip++) { /* the calling thread, sysmon */
		fault_arm(FAULT_ALTSTACK, skip, 1);
		EXPECT_EQ(run_world(), -ENOMEM) << "skip " << skip;
	}
	fault_arm(FAULT_ALTSTACK, 2, 5); /* Ms: others take their work */
	EXPECT_EQ(run_world(), 77);
}

TEST_F(Fault, EveryMappingMayFail)
{
	int worlds = 0;

	for (uint32_t skip = 0; skip < 24; skip++) {
		fault_arm(FAULT_MAP, skip, 1);
		int result = run_world();

		EXPECT_TRUE(result == 77 || result == -ENOMEM) << "skip " << skip << ": " << result;
		worlds += result == 77;
	}
	EXPECT_GT(worlds, 0);
}

TEST_F(Fault, WithoutMembarrierFencesDo)
{
	fault_arm(FAULT_MEMBARRIER, 0, 1);
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(run_world(), 77);
		if (i == 0) {
			EXPECT_FALSE(have_membarrier);
			fault_arm(FAULT_MEMBARRIER, 0, 1000000);
		}
	}
}

} // namespace
