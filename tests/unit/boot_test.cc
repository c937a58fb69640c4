/* SPDX-License-Identifier: MIT */
/* The start of the runtime: order of the phases, environment, refusals; and calls without it. */
#include "kernelshim/thread.h"
#include "tests/unit/child.h"
#include "tests/unit/resources.h"
#include <atomic>
#include <filesystem>
#include <fstream>
#include <pthread.h>
#include <sys/resource.h>
#include <thread>

/* urge_main under an environment; in a child, since what it prints is looked at. */
static Outcome boot_with(
	const char *name, const char *value, const std::function<int()> &body = [] { return 0; })
{
	return in_child([=] {
		setenv(name, value, 1);
		EXPECT_EQ(0, run_main(body));
	});
}

TEST(Boot, PhasesComeInGosOrder)
{
	std::string phase = " @[0-9]+\\.[0-9]{3} ms, [0-9]+\\.[0-9]{3} ms clock";
	std::string trace = "init args" + phase + "\ninit osinit" + phase + ", ncpu=[1-9][0-9]*" +
			    "(\ninit numa" + phase + ", nodes=[1-9][0-9]*)?\ninit schedinit" +
			    phase + ", err=0\ninit newproc" + phase + ", err=0\ninit sysmon" +
			    phase + ", err=0\ninit main" + phase +
			    ", gomaxprocs=[1-9][0-9]*\nfirst line of main\n";
	Outcome boot = boot_with("URGEDEBUG", "inittrace=1", [] {
		fputs("first line of main\n", stderr);
		return 0;
	});

	EXPECT_EXITED(0, boot);
	EXPECT_TRUE(fits(boot.err, trace)) << boot.err;
}

/* sysmon comes before the program's threads, as far as the process may ask for it; nobody else. */
TEST(Boot, OnlySysmonIsPreferredByTheKernel)
{
	const int before = getpriority(PRIO_PROCESS, 0);
	int preferred = before, sysmons = 0;

	std::thread([&] {
		thread_lower_nice(10);
		preferred = getpriority(PRIO_PROCESS, (id_t)thread_gettid());
	}).join();
	EXPECT_EQ(0, run_main([&] {
			  for (const auto &task :
			       std::filesystem::directory_iterator("/proc/self/task")) {
				  std::string name, tid = task.path().filename();

				  std::getline(std::ifstream(task.path() / "comm"), name);
				  sysmons += name == "urge-sysmon";
				  EXPECT_EQ(name == "urge-sysmon" ? preferred : before,
					    getpriority(PRIO_PROCESS, (id_t)std::stoi(tid)))
					  << name;
			  }
			  return 0;
		  }));
	EXPECT_EQ(1, sysmons);
	if (preferred == before)
		printf("without the privilege nothing differs\n");
}

TEST(Boot, NothingIsPrintedUnasked)
{
	Outcome boot = boot_with("URGEDEBUG", "inittrace=0,schedtrace=0,slice=1000");

	EXPECT_EXITED(0, boot);
	EXPECT_EQ("", boot.err);
	EXPECT_EQ("", boot.out);
}

TEST(Boot, GomaxprocsComesFromTheEnvironment)
{
	EXPECT_EXITED(0, boot_with("GOMAXPROCS", "3", [] {
			      EXPECT_EQ(3, urge_gomaxprocs(0));
			      return 0;
		      }));
	EXPECT_EXITED(0, boot_with("GOMAXPROCS", "", [] {
			      EXPECT_GE(urge_gomaxprocs(0), 1);
			      return 0;
		      }));
}

TEST(Boot, AbsurdGomaxprocsIsNamedAndIgnored)
{
	for (const char *value : { "-1", "0", "abc", "999999999", "3x", " 3", "0x10",
				   "99999999999999999999999999999999999999" }) {
		Outcome boot = boot_with("GOMAXPROCS", value, [] {
			EXPECT_GE(urge_gomaxprocs(0), 1);
			EXPECT_LE(urge_gomaxprocs(0), CONFIG_MAX_PROCS);
			return 0;
		});

		EXPECT_EXITED(0, boot);
		EXPECT_EQ("urge: GOMAXPROCS=" + std::string(value) + ": needs a number from 1 to " +
				  std::to_string(CONFIG_MAX_PROCS) + "; ignored\n",
			  boot.err);
	}
}

TEST(Boot, BadDebugKeysAreNamedOneByOneAndIgnored)
{
	Outcome boot = boot_with("URGEDEBUG", "foo=1,schedtrace=x,,inittrace,slice=1,=,bar,"
					      "scheddetail=2,slice=99999999999999999999");

	EXPECT_EXITED(0, boot);
	EXPECT_EQ("urge: URGEDEBUG: foo=1: unknown key; ignored\n"
		  "urge: URGEDEBUG: schedtrace=x: needs a number in its range; ignored\n"
		  "urge: URGEDEBUG: inittrace: needs a number in its range; ignored\n"
		  "urge: URGEDEBUG: slice=1: needs a number in its range; ignored\n"
		  "urge: URGEDEBUG: =: unknown key; ignored\n"
		  "urge: URGEDEBUG: bar: unknown key; ignored\n"
		  "urge: URGEDEBUG: scheddetail=2: needs a number in its range; ignored\n"
		  "urge: URGEDEBUG: slice=99999999999999999999: needs a number in its range; "
		  "ignored\n",
		  boot.err);
}

TEST(Boot, GoodKeysBesideBadOnesCount)
{
	Outcome boot = boot_with("URGEDEBUG", "foo=1,inittrace=1");

	EXPECT_SAYS("foo=1: unknown key", boot.err);
	EXPECT_SAYS("init main @", boot.err);
}

TEST(Boot, ANullFunctionIsRefused)
{
	EXPECT_EQ(-EINVAL, urge_main(nullptr, nullptr));
}

/*
 * At whatever it fails, and what it has got by then. Before the tests that run urge_main in this
 * process, which keeps what was reserved once.
 */
TEST(Boot, TooLittleAddressSpaceIsAnError)
{
	if (sanitized())
		GTEST_SKIP() << "sanitizers need the address space themselves";
	EXPECT_EXITED(0, in_child([] {
			      int result = 0, failures = 0;

			      for (rlim_t megabytes = 16; result != 7 && megabytes < 4096;
				   megabytes += 8) {
				      bool ran = false;

				      limit(RLIMIT_AS, megabytes << 20);
				      result = run_main([&] {
					      ran = true;
					      return 7;
				      });
				      EXPECT_EQ(ran, result == 7);
				      if (result == 7)
					      break;
				      EXPECT_TRUE(result == -ENOMEM || result == -EAGAIN) << result;
				      failures++;
			      }
			      EXPECT_EQ(7, result);
			      EXPECT_GT(failures, 2);
			      limit(RLIMIT_AS, RLIM_INFINITY);
			      EXPECT_EQ(7, run_main([] { return 7; }));
		      }));
}

TEST(Boot, ASecondRuntimeIsRefused)
{
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(-EBUSY, run_main([] { return 1; }));
			  std::thread([] { EXPECT_EQ(-EBUSY, run_main([] { return 2; })); }).join();
			  return 0;
		  }));
}

/* ---- what the system may refuse ------------------------------------------------------------ */

TEST(Boot, TooFewDescriptorsAreAnError)
{
	EXPECT_EXITED(0, in_child([] {
			      int open = dup(0); /* the first free one: those below are in use */
			      bool ran = false;

			      close(open);
			      for (rlim_t spare = 0; spare < 6;
				   spare++) { /* two waiting points of three each */
				      limit(RLIMIT_NOFILE, (rlim_t)open + spare);
				      EXPECT_EQ(-EMFILE, run_main([&] { return ran = true; }))
					      << spare;
			      }
			      EXPECT_FALSE(ran);
			      limit(RLIMIT_NOFILE, RLIM_INFINITY);
			      EXPECT_EQ(open, dup(0)); /* none was kept */
			      close(open);
			      EXPECT_EQ(7, run_main([] { return 7; }));
		      }));
}

TEST(Boot, TooFewThreadsAreAnError)
{
	EXPECT_EXITED(0, in_child([] {
			      bool ran = false;

			      if (getuid() == 0) { /* root has no such limit */
				      ASSERT_EQ(0, setgid(65534) | setuid(65534));
			      }
			      limit(RLIMIT_NPROC, 1);
			      EXPECT_EQ(-EAGAIN, run_main([&] { return ran = true; }));
			      EXPECT_FALSE(ran);
			      limit(RLIMIT_NPROC, RLIM_INFINITY);
			      EXPECT_EQ(7, run_main([] { return 7; }));
		      }));
}

/* ---- calls on threads that are no goroutines ----------------------------------------------- */

static void expect_refusals()
{
	struct urge_stats stats;

	EXPECT_EQ(-EPERM, urge_sleep(1));
	EXPECT_EQ(-EPERM, urge_sleep(0));
	EXPECT_EQ(-EPERM, urge_sleep_until(urge_now() + 1));
	EXPECT_EQ(-EPERM, urge_stop_the_world("test"));
	EXPECT_EQ(0u, urge_goid());
	urge_yield();
	urge_entersyscall();
	urge_exitsyscall();
	urge_nopreempt_begin();
	urge_nopreempt_end();
	urge_external_begin();
	urge_external_end();
	urge_stats_read(&stats);
	EXPECT_EQ(stats.goroutines, urge_num_goroutine());
	EXPECT_EQ(-EINVAL, urge_set_time_slice(49 * URGE_US));
	EXPECT_EQ(-EINVAL, urge_set_time_slice(10 * URGE_S + 1));
	EXPECT_EQ(-EINVAL, urge_set_preempt(17));
	EXPECT_EQ(-EINVAL, urge_set_preempt(-1));
	EXPECT_EQ(0, urge_set_preempt(URGE_PREEMPT_PARK));
	EXPECT_EQ(0, urge_set_preempt(URGE_PREEMPT_AUTO));
	EXPECT_NE(nullptr, urge_preempt_reason(0));
	EXPECT_EQ(nullptr, urge_preempt_reason(URGE_PREEMPT_REASONS_MAX));
	EXPECT_STREQ("0.1.0", urge_version());
}

static void nothing(void *) {}

TEST(Boot, CallsWithoutARuntimeAreRefused)
{
	auto without = [] {
		expect_refusals();
		EXPECT_EQ(-EPERM, urge_go(nothing, nullptr));
		EXPECT_EQ(-EINVAL, urge_go(nullptr, nullptr));
		EXPECT_EQ(-EPERM, urge_gomaxprocs(2));
		EXPECT_EQ(0u, urge_num_goroutine());
		urge_dump(2);
	};

	Outcome never_booted = in_child(without);
	EXPECT_EXITED(0, never_booted);
	EXPECT_EQ("", never_booted.err);
	Outcome afterwards = in_child([&] {
		EXPECT_EQ(0, run_main([] { return go([] { urge_sleep(URGE_S); }); }));
		without();
	});
	EXPECT_EXITED(0, afterwards);
	EXPECT_EQ("", afterwards.err);
}

TEST(Boot, WaitgroupsNeedNoRuntime)
{
	urge_waitgroup wg = {};

	urge_waitgroup_wait(&wg);
	urge_waitgroup_add(&wg, 2);
	std::thread waiter([&] { urge_waitgroup_wait(&wg); });
	std::thread other([&] {
		urge_waitgroup_done(&wg);
		urge_waitgroup_done(&wg);
	});
	urge_waitgroup_wait(&wg);
	waiter.join();
	other.join();
	EXPECT_EQ(0u, wg.state_);
}

TEST(Boot, ForeignThreadsMaySpawnAndWaitButNotSleep)
{
	EXPECT_EQ(0, run_main([] {
			  std::atomic<int> ran{ 0 };
			  std::thread([&] {
				  urge_waitgroup wg = {};

				  expect_refusals();
				  urge_waitgroup_add(&wg, 10);
				  for (int i = 0; i < 10; i++)
					  EXPECT_EQ(0, go([&] {
							    ran++;
							    urge_waitgroup_done(&wg);
						    }));
				  EXPECT_EQ(-EINVAL, urge_go(nullptr, nullptr));
				  urge_waitgroup_wait(&wg);
				  EXPECT_EQ(10, ran);
			  }).join();
			  return 0;
		  }));
}
