/* SPDX-License-Identifier: MIT */
/* The default of GOMAXPROCS, how it follows the system, and the controller. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include "tests/unit/tree.h"
#include <atomic>
#include <dirent.h>
#include <sched.h>

extern "C" {
#include "kernelshim/cgroup.h"
#include "sched/autoprocs.h"
#include "sched/maxprocs.h"
}

/* ---- what is granted ----------------------------------------------------------------------- */

static std::atomic<int> fake_cpus{ 8 };

/* A machine with fake_cpus CPUs, and a quota; looked at more often than others. */
class Maxprocs : public testing::Test
{
protected:
	static const int64_t PERIOD = 100 * URGE_MS;

	void SetUp() override
	{
		unsetenv("GOMAXPROCS");
		procfs_set_root(tree.path.c_str());
		maxprocs_cpus = [] { return fake_cpus.load(); };
		maxprocs_period = PERIOD;
		fake_cpus = 8;
		tree.write("/proc/self/mountinfo",
			   "40 26 0:30 / /cg rw,nosuid - cgroup2 cgroup2 rw\n");
		tree.write("/proc/self/cgroup", "0::/app\n");
	}
	void TearDown() override
	{
		unsetenv("GOMAXPROCS");
		unsetenv("URGEDEBUG");
		procfs_set_root(nullptr);
		maxprocs_cpus = thread_affinity_count;
		maxprocs_period = URGE_S;
	}
	void quota(const std::string &text) { tree.write("/cg/app/cpu.max", text + " 100000\n"); }

	/* In a world where somebody is busy, sysmon gets there; the deadline is generous. */
	static bool becomes(int n)
	{
		return eventually([n] { return urge_gomaxprocs(0) == n; });
	}

	Tree tree;
};

TEST_F(Maxprocs, TheDefaultIsTheLeastOfCpusAndQuota)
{
	const struct {
		int cpus;
		const char *quota;
		int n;
	} cases[] = { { 8, "max", 8 },    { 8, "300000", 3 },
		      { 8, "250001", 3 }, { 8, "100000", 2 },
		      { 8, "1000", 2 },   { 1, "max", 1 },
		      { 1, "500000", 1 }, { 3, "900000", 3 },
		      { 2, "100000", 2 }, { 100000, "max", CONFIG_MAX_PROCS } };

	for (auto &c : cases) {
		fake_cpus = c.cpus;
		quota(c.quota);
		EXPECT_EQ(0, run_main([&] {
				  EXPECT_EQ(c.n, urge_gomaxprocs(0)) << c.cpus << " " << c.quota;
				  return 0;
			  }));
	}
}

TEST_F(Maxprocs, FollowsQuotaAndCpus)
{
	quota("300000");
	EXPECT_EQ(0, run_main([&] {
			  EXPECT_EQ(3, urge_gomaxprocs(0));
			  quota("500000");
			  EXPECT_TRUE(becomes(5));
			  quota("200000");
			  EXPECT_TRUE(becomes(2));
			  quota("max");
			  EXPECT_TRUE(becomes(8));
			  fake_cpus = 4;
			  EXPECT_TRUE(becomes(4));
			  return 0;
		  }));
}

/* A quota of version 1, of the process's group or of any above it. */
TEST_F(Maxprocs, FollowsEveryAncestorInVersion1)
{
	auto quota_of = [&](const std::string &group, int us) {
		tree.write("/cpu" + group + "/cpu.cfs_quota_us", std::to_string(us) + "\n");
	};

	tree.write("/proc/self/mountinfo", "41 26 0:31 / /cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
	tree.write("/proc/self/cgroup", "4:cpu,cpuacct:/pod/app\n1:name=systemd:/\n");
	for (const char *group : { "", "/pod", "/pod/app" }) {
		tree.write("/cpu" + std::string(group) + "/cpu.cfs_period_us", "50000\n");
		quota_of(group, -1);
	}
	quota_of("/pod/app", 300000);
	quota_of("/pod", 150000);
	quota_of("", 350000);
	tree.write("/cpu/else/cpu.cfs_period_us", "100000\n");
	tree.write("/cpu/else/cpu.cfs_quota_us", "1000000\n");
	EXPECT_EQ(0, run_main([&] {
			  EXPECT_EQ(3, urge_gomaxprocs(0));
			  quota_of("/pod", -1);
			  EXPECT_TRUE(becomes(6));
			  tree.write("/proc/self/cgroup", "4:cpu,cpuacct:/else\n"); /* moved */
			  EXPECT_TRUE(becomes(7)) << "the topmost group's";
			  return 0;
		  }));
}

TEST_F(Maxprocs, AnExplicitNumberEndsIt)
{
	EXPECT_EQ(0, run_main([&] {
			  EXPECT_EQ(8, urge_gomaxprocs(6));
			  quota("300000");
			  for (int i = 0; i < 25; i++) {
				  EXPECT_EQ(6, urge_gomaxprocs(0));
				  urge_sleep(PERIOD / 10);
			  }
			  return 0;
		  }));
}

TEST_F(Maxprocs, SoDoTheEnvironmentAndTheSwitch)
{
	for (const char *variable : { "GOMAXPROCS=5", "URGEDEBUG=updatemaxprocs=0" }) {
		Outcome outcome = in_child([&] {
			putenv((char *)variable);
			EXPECT_EQ(0, run_main([&] {
					  int n = urge_gomaxprocs(0);

					  EXPECT_EQ(getenv("GOMAXPROCS") ? 5 : 8, n);
					  fake_cpus = 3;
					  for (int i = 0; i < 25; i++) {
						  EXPECT_EQ(n, urge_gomaxprocs(0));
						  urge_sleep(PERIOD / 10);
					  }
					  return 0;
				  }));
		});
		EXPECT_EXITED(0, outcome);
	}
}

/* Asleep for a long time, the process is not woken to look; afterwards it sees what is new. */
TEST_F(Maxprocs, SeesWhatChangedWhileAllWereAsleep)
{
	EXPECT_EQ(0, run_main([&] {
			  urge_sleep(3 * PERIOD / 2);
			  fake_cpus = 12;
			  urge_sleep(3 * PERIOD / 2);
			  EXPECT_TRUE(becomes(12));
			  return 0;
		  }));
}

TEST(MaxprocsSettle, GrowsAtOnceShrinksAfterTwo)
{
	int low = 0;

	EXPECT_EQ(8, maxprocs_settle(4, 8, &low));
	EXPECT_EQ(8, maxprocs_settle(8, 3, &low));
	EXPECT_EQ(8, maxprocs_settle(8, 8, &low)); /* it was one sample only */
	EXPECT_EQ(8, maxprocs_settle(8, 5, &low));
	EXPECT_EQ(5, maxprocs_settle(8, 3, &low)); /* the larger of two */
	low = 0;
	for (int i = 0; i < 100; i++) /* one bad sample in two moves nothing */
		EXPECT_EQ(8, maxprocs_settle(8, i % 2 ? 8 : 1, &low));
}

/* ---- this machine -------------------------------------------------------------------------- */

/* Every thread of the process on the first n of the CPUs it may use now; false if it can't be. */
static bool pin_all_threads(const cpu_set_t &cpus)
{
	DIR *tasks = opendir("/proc/self/task");
	bool ok = tasks != nullptr;

	while (struct dirent *task = ok ? readdir(tasks) : nullptr)
		if (task->d_name[0] != '.' &&
		    sched_setaffinity(atoi(task->d_name), sizeof(cpus), &cpus) != 0)
			ok = errno == ESRCH;
	if (tasks)
		closedir(tasks);
	return ok;
}

TEST(MaxprocsOfThisMachine, AffinityIsFollowed)
{
	cpu_set_t all, one;

	unsetenv("GOMAXPROCS");
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(all), &all));
	if (CPU_COUNT(&all) < 2)
		GTEST_SKIP() << "one CPU only";
	CPU_ZERO(&one);
	for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	Outcome outcome = in_child([&] {
		EXPECT_EQ(0, run_main([&] {
				  int n = urge_gomaxprocs(0);

				  if (!pin_all_threads(one))
					  _exit(77);
				  EXPECT_TRUE(eventually([] { return urge_gomaxprocs(0) == 1; }));
				  EXPECT_TRUE(pin_all_threads(all));
				  EXPECT_TRUE(eventually([n] { return urge_gomaxprocs(0) == n; }));
				  return 0;
			  }));
	});
	if (outcome.exited(77))
		GTEST_SKIP() << "affinity can't be changed here";
	EXPECT_EXITED(0, outcome);
}

/* A real group of our own, if one can be made; the CPUs are made up, since there may be two only. */
TEST(MaxprocsOfThisMachine, AQuotaIsFollowed)
{
	struct cgroup_mount mount;

	unsetenv("GOMAXPROCS");
	if (cgroup_find(&mount) != 0)
		GTEST_SKIP() << "no cpu controller is mounted";
	std::string group = std::string(mount.point) + "/urge-procs-" + std::to_string(getpid());
	auto quota = [&](int cpus) {
		std::string us = std::to_string(100000 * cpus);

		return mount.v1 ? write_text(group + "/cpu.cfs_quota_us", us)
				: write_text(group + "/cpu.max", us + " 100000");
	};
	if (mkdir(group.c_str(), 0755) != 0)
		GTEST_SKIP() << "no group can be made in " << mount.point << ": "
			     << strerror(errno);
	Outcome outcome = in_child([&] {
		if (!quota(3) || !write_text(group + "/cgroup.procs", std::to_string(getpid())))
			_exit(77);
		fake_cpus = 8;
		maxprocs_cpus = [] { return fake_cpus.load(); };
		EXPECT_EQ(0, run_main([&] {
				  EXPECT_EQ(3, urge_gomaxprocs(0));
				  for (int cpus : { 5, 2 }) {
					  EXPECT_TRUE(quota(cpus));
					  EXPECT_TRUE(eventually(
						  [&] { return urge_gomaxprocs(0) == cpus; }));
				  }
				  return 0;
			  }));
	});
	rmdir(group.c_str());
	if (outcome.exited(77))
		GTEST_SKIP() << "the group takes no quota, or no process";
	EXPECT_EXITED(0, outcome);
}

/* ---- the controller ------------------------------------------------------------------------ */

/* A machine that gives the program so many CPUs, and a program that could use so many. */
struct Plant {
	int cpus, demand, n = 1, changes = 0, turns = 0;
	struct autoprocs state = {};
	int64_t now = 0;

	void run(int64_t seconds, int noise = 0)
	{
		for (int64_t end = now + seconds * URGE_S; now < end; now += 160 * URGE_MS) {
			int busy = n < demand ? n : demand, running = busy < cpus ? busy : cpus;
			struct autoprocs_window seen = {};

			seen.n = n;
			seen.granted = 16;
			seen.waiting = (demand - busy) * 100;
			seen.idle = (n - busy) * 100;
			seen.cpu = running * 100;
			seen.involuntary = busy > running ? 100 * busy : 0;
			if (noise && rand() % noise == 0)
				seen.waiting = seen.waiting ? 0 : 300;
			int to = autoprocs_decide(&state, &seen, now);
			changes += to != n;
			turns += (to > n && last < 0) || (to < n && last > 0);
			last = to > n ? 1 : to < n ? -1 : last;
			n = to;
		}
	}
	int last = 0;
};

TEST(Autoprocs, FindsWhatTheProgramCanUse)
{
	for (int demand : { 1, 2, 5, 16, 40 }) {
		Plant plant{ 16, demand };

		plant.run(60);
		EXPECT_GE(plant.n, demand < 16 ? demand : 16);
		EXPECT_LE(plant.n, demand < 16 ? demand + 1 : 16);
		plant.changes = 0;
		plant.run(600);
		EXPECT_EQ(0, plant.changes) << demand;
	}
}

TEST(Autoprocs, LeavesCpusToOthersWithoutOscillating)
{
	Plant plant{ 4, 40 };

	plant.run(600);
	EXPECT_GE(plant.n, 3);
	EXPECT_LE(plant.n, 6);
	EXPECT_LE(plant.turns, 7); /* log4(600 s / 0.5 s), and one or two */
	plant.turns = 0;
	plant.run(600);
	EXPECT_LE(plant.turns, 2);
}

TEST(Autoprocs, NoiseDoesNotMoveIt)
{
	srand(1);
	Plant plant{ 16, 6 };

	plant.run(60);
	plant.turns = 0;
	plant.run(600, 5);
	EXPECT_LE(plant.turns, 16);
}

TEST(Autoprocs, AnswersANewLoadSoon)
{
	Plant plant{ 16, 2 };

	plant.run(600);
	EXPECT_LE(plant.n, 3);
	plant.demand = 16;
	plant.run(10);
	EXPECT_EQ(16, plant.n);
	plant.demand = 1;
	plant.run(30);
	EXPECT_LE(plant.n, 2);
}

TEST(Autoprocs, ObeysASmallerGrantAndOneCpu)
{
	struct autoprocs state = {};
	struct autoprocs_window seen = {};

	seen.n = 8;
	seen.granted = 3;
	autoprocs_decide(&state, &seen, URGE_S);
	EXPECT_EQ(3, autoprocs_decide(&state, &seen, 2 * URGE_S));
	seen.n = seen.granted = 1;
	seen.waiting = 900;
	seen.involuntary = 1000;
	for (int i = 3; i < 100; i++)
		EXPECT_EQ(1, autoprocs_decide(&state, &seen, i * URGE_S));
}

/* What it decides depends on what else the machine does; that it decides is in its trace. */
TEST_F(Maxprocs, AutoIsOffUntilItIsAskedForAndEndsByACall)
{
	fake_cpus = 6;
	EXPECT_EQ(-EPERM, urge_gomaxprocs_auto(true));
	Child child([] {
		putenv((char *)"URGEDEBUG=autoprocstrace=1");
		EXPECT_EQ(0, run_main([] {
				  std::atomic<bool> stop{ false };
				  urge_waitgroup wg = {};

				  urge_gomaxprocs(1);
				  urge_waitgroup_add(&wg, 12);
				  for (int i = 0; i < 12; i++)
					  EXPECT_EQ(0, go([&] {
							    while (!stop)
								    urge_yield();
							    urge_waitgroup_done(&wg);
						    }));
				  urge_sleep(1500 * URGE_MS);
				  fprintf(stderr, "on\n");
				  EXPECT_EQ(1, urge_gomaxprocs(0));
				  EXPECT_EQ(0, urge_gomaxprocs_auto(true));
				  urge_sleep(3 * URGE_S);
				  EXPECT_LE(urge_gomaxprocs(5), 6);
				  fprintf(stderr, "off\n");
				  urge_sleep(1500 * URGE_MS);
				  EXPECT_EQ(5, urge_gomaxprocs(0));
				  EXPECT_EQ(0, urge_gomaxprocs_auto(false));
				  stop = true;
				  urge_waitgroup_wait(&wg);
				  return 0;
			  }));
	});
	Outcome outcome = child.finish();
	size_t on = outcome.err.find("on\n"), off = outcome.err.find("off\n");

	EXPECT_EXITED(0, outcome);
	ASSERT_NE(std::string::npos, on);
	ASSERT_NE(std::string::npos, off);
	EXPECT_EQ(0, occurrences(outcome.err.substr(0, on), "AUTOPROCS")) << outcome;
	EXPECT_GE(occurrences(outcome.err.substr(on, off - on), "AUTOPROCS"), 1) << outcome;
	EXPECT_LE(occurrences(outcome.err.substr(off), "AUTOPROCS"), 1) << outcome; /* under way */
}
