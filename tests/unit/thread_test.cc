/* SPDX-License-Identifier: MIT */
#include "kernelshim/clock.h"
#include "kernelshim/membarrier.h"
#include "kernelshim/procfs.h"
#include "kernelshim/thread.h"
#include "tests/unit/errno_kept.h"
#include <atomic>
#include <climits>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <pthread.h>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

static const int64_t ms = 1000000;

static siginfo_t last_info;
static std::atomic<int> handled;

static void record_info(int, siginfo_t *info, void *)
{
	last_info = *info;
	handled++;
}

/* Has sig recorded in last_info while in scope. */
class RecordSignal
{
public:
	explicit RecordSignal(int sig) : sig(sig)
	{
		struct sigaction act = {};

		act.sa_sigaction = record_info;
		act.sa_flags = SA_SIGINFO;
		sigaction(sig, &act, &old);
		handled = 0;
	}
	~RecordSignal() { sigaction(sig, &old, nullptr); }

private:
	int sig;
	struct sigaction old;
};

/* A thread's settings die with it: each test that changes them does so on a thread of its own. */
static void on_new_thread(const std::function<void()> &fn)
{
	std::thread(fn).join();
}

TEST(Thread, GettidIsTheKernels)
{
	EXPECT_EQ(getpid(), thread_gettid());
	on_new_thread([] { EXPECT_NE(getpid(), thread_gettid()); });
}

TEST(Thread, TimerSlackIsSetAndNeverReset)
{
	on_new_thread([] {
		ErrnoKept kept;

		EXPECT_EQ(0, thread_set_timer_slack(1));
		EXPECT_EQ(1, prctl(PR_GET_TIMERSLACK));
		EXPECT_EQ(0, thread_set_timer_slack(12345));
		EXPECT_EQ(12345, prctl(PR_GET_TIMERSLACK));
		EXPECT_EQ(0, thread_set_timer_slack(0));
		EXPECT_EQ(1, prctl(PR_GET_TIMERSLACK));
	});
}

TEST(Thread, ShortSliceKeepsPolicyAndNice)
{
	on_new_thread([] {
		int nice = getpriority(PRIO_PROCESS, (id_t)thread_gettid());

		nice = nice < 19 ? nice + 1 : 19;
		ASSERT_EQ(0, setpriority(PRIO_PROCESS, (id_t)thread_gettid(), nice));
		for (uint64_t ns : { 100000ul, 500000ul, 1ul, 1000000000ul }) {
			ErrnoKept kept;
			int err = thread_set_short_slice(ns);

			if (err == -EOPNOTSUPP)
				GTEST_SKIP() << "before Linux 6.12";
			EXPECT_EQ(0, err) << ns;
		}
		EXPECT_EQ(SCHED_OTHER, sched_getscheduler(0));
		EXPECT_EQ(nice, getpriority(PRIO_PROCESS, (id_t)thread_gettid()));
	});
}

TEST(Thread, ShortSliceNeedsNoPrivilege)
{
	pid_t child = fork();

	if (child == 0) {
		if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
			_exit(2);
		int err = thread_set_short_slice(100000);
		_exit(err == 0 || err == -EOPNOTSUPP ? 0 : 1);
	}
	int status;
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

TEST(Thread, ShortSliceLeavesOtherPoliciesAlone)
{
	on_new_thread([] {
		struct sched_param param = {};

		ASSERT_EQ(0, sched_setscheduler(0, SCHED_IDLE, &param));
		EXPECT_EQ(-EOPNOTSUPP, thread_set_short_slice(100000));
		EXPECT_EQ(SCHED_IDLE, sched_getscheduler(0));
	});
}

TEST(Thread, NiceIsLowered)
{
	on_new_thread([] {
		ErrnoKept kept;
		int before = getpriority(PRIO_PROCESS, (id_t)thread_gettid());

		if (thread_lower_nice(20) == -EACCES)
			GTEST_SKIP() << "takes CAP_SYS_NICE";
		EXPECT_EQ(std::max(before - 20, -20),
			  getpriority(PRIO_PROCESS, (id_t)thread_gettid()));
	});
}

/* In a child that is an ordinary user's; the status that body returns. */
static int as_nobody(const std::function<int()> &body)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
			_exit(99);
		_exit(body());
	}
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

TEST(Thread, NiceStaysWithoutThePrivilege)
{
	EXPECT_EQ(0, as_nobody([] {
			  struct rlimit none = { 0, 0 };

			  setrlimit(RLIMIT_NICE, &none);
			  setpriority(PRIO_PROCESS, 0, 3);
			  if (thread_lower_nice(4) != -EACCES)
				  return 1;
			  return getpriority(PRIO_PROCESS, 0) == 3 ? 0 : 2;
		  }));
}

TEST(Thread, NiceGoesAsFarAsTheLimit)
{
	struct rlimit before, some = { 25, 25 }; /* down to -5 */

	ASSERT_EQ(0, getrlimit(RLIMIT_NICE, &before));
	some.rlim_max = std::max(before.rlim_max, some.rlim_max);
	if (setrlimit(RLIMIT_NICE, &some) != 0)
		GTEST_SKIP() << "takes CAP_SYS_RESOURCE";
	EXPECT_EQ(0, as_nobody([] {
			  setpriority(PRIO_PROCESS, 0, 3);
			  if (thread_lower_nice(4) != 0 || getpriority(PRIO_PROCESS, 0) != -1)
				  return 1;
			  if (thread_lower_nice(20) != 0 || getpriority(PRIO_PROCESS, 0) != -5)
				  return 2;
			  return thread_lower_nice(1) == -EACCES ? 0 : 3;
		  }));
	setrlimit(RLIMIT_NICE, &before);
}

TEST(Thread, NameIsCutToFifteenBytes)
{
	on_new_thread([] {
		char name[16];
		ErrnoKept kept;

		thread_set_name("0123456789abcdefghi");
		EXPECT_EQ(0, pthread_getname_np(pthread_self(), name, sizeof(name)));
		EXPECT_STREQ("0123456789abcde", name);
	});
}

TEST(Thread, AffinityCountFollowsTheMask)
{
	cpu_set_t all;

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(all), &all));
	EXPECT_EQ(CPU_COUNT(&all), thread_affinity_count());
	on_new_thread([&all] {
		cpu_set_t one;
		unsigned cpu = 0;
		ErrnoKept kept;

		while (!CPU_ISSET(cpu, &all))
			cpu++;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		EXPECT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
		EXPECT_EQ(1, thread_affinity_count());
	});
	EXPECT_EQ(CPU_COUNT(&all), thread_affinity_count());
}

TEST(Thread, CpuIsTheOneThatItIsBoundTo)
{
	cpu_set_t all;

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(all), &all));
	on_new_thread([&all] {
		for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			cpu_set_t one;

			if (!CPU_ISSET(cpu, &all))
				continue;
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			EXPECT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
			EXPECT_EQ(cpu, thread_cpu());
		}
	});
}

TEST(Thread, TgkillReachesThatThread)
{
	RecordSignal record(SIGUSR1);
	ErrnoKept kept;

	EXPECT_EQ(0, thread_tgkill(thread_gettid(), SIGUSR1));
	EXPECT_EQ(1, handled);
	EXPECT_EQ(-ESRCH, thread_tgkill(1, 0));
	EXPECT_EQ(-EINVAL, thread_tgkill(thread_gettid(), 1000));
}

TEST(Thread, SigqueueBringsTheValueToAnotherThread)
{
	RecordSignal record(SIGURG);
	std::atomic<int> tid{ 0 };
	std::thread other([&] {
		tid = thread_gettid();
		while (!handled)
			std::this_thread::yield();
	});

	while (!tid)
		std::this_thread::yield();
	{
		ErrnoKept kept;
		EXPECT_EQ(0, thread_sigqueue(tid, SIGURG, 0xfedcba9876543210));
	}
	other.join();
	EXPECT_EQ(SIGURG, last_info.si_signo);
	EXPECT_EQ(SI_QUEUE, last_info.si_code);
	EXPECT_EQ(getpid(), last_info.si_pid);
	EXPECT_EQ(getuid(), last_info.si_uid);
	EXPECT_EQ((void *)0xfedcba9876543210, last_info.si_value.sival_ptr);
	EXPECT_EQ(-ESRCH, thread_sigqueue(1, 0, 0));
}

TEST(Thread, SigqueueBeyondTheLimitArrivesStripped)
{
	RecordSignal record(SIGURG);
	struct rlimit limit, none;

	ASSERT_EQ(0, getrlimit(RLIMIT_SIGPENDING, &limit));
	none = limit;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_SIGPENDING, &none));
	EXPECT_EQ(0, thread_sigqueue(thread_gettid(), SIGURG, 7));
	EXPECT_EQ(-EAGAIN, thread_sigqueue(thread_gettid(), SIGRTMIN, 7));
	ASSERT_EQ(0, setrlimit(RLIMIT_SIGPENDING, &limit));
	EXPECT_EQ(1, handled);
	EXPECT_EQ(SI_USER, last_info.si_code);
	EXPECT_EQ(0, last_info.si_pid);
}

TEST(Thread, SigmaskBlocksAndRestores)
{
	RecordSignal record(SIGUSR2);
	uint64_t set = 1ull << (SIGUSR2 - 1);
	uint64_t old, now;
	ErrnoKept kept;

	EXPECT_EQ(0, thread_sigmask(SIG_BLOCK, &set, &old));
	EXPECT_EQ(0u, old & set);
	EXPECT_EQ(0, thread_tgkill(thread_gettid(), SIGUSR2));
	EXPECT_EQ(0, handled);
	EXPECT_EQ(0, thread_sigmask(SIG_BLOCK, nullptr, &now));
	EXPECT_EQ(old | set, now);
	EXPECT_EQ(0, thread_sigmask(SIG_SETMASK, &old, nullptr));
	EXPECT_EQ(1, handled);
	EXPECT_EQ(-EINVAL, thread_sigmask(4711, &set, nullptr));
}

TEST(Thread, MembarrierWorksOnceRegistered)
{
	ErrnoKept kept;
	int err = membarrier_init();

	if (err == -ENOSYS || err == -EPERM)
		GTEST_SKIP() << "membarrier is not allowed";
	EXPECT_EQ(0, err);
	EXPECT_EQ(0, membarrier_init());
	EXPECT_EQ(0, membarrier_expedited());
}

/* A thread that was joined is in the kernel's count for a moment yet. */
static int count_becomes(int count)
{
	int64_t deadline = nanotime() + 10000 * ms;

	while (thread_count() != count && nanotime() < deadline)
		;
	return thread_count();
}

TEST(Thread, CountFollowsThreads)
{
	int before = count_becomes(1 + IS_ENABLED(CONFIG_TSAN)); /* TSan has one */
	std::atomic<bool> end{ false };

	ASSERT_GE(before, 1);
	std::thread a([&] {
		while (!end)
			std::this_thread::yield();
	});
	std::thread b([&] {
		while (!end)
			std::this_thread::yield();
	});
	{
		ErrnoKept kept;
		EXPECT_EQ(before + 2, thread_count());
	}
	end = true;
	a.join();
	b.join();
	EXPECT_EQ(before, count_becomes(before));
}

TEST(Thread, CountIsExactWhileOthersEnd)
{
	std::atomic<bool> end{ false };
	std::atomic<int> alive{ 0 };
	std::thread churn([&] {
		while (!end)
			std::thread([] {}).join();
	});
	std::vector<std::thread> staying;

	for (int i = 0; i < 5; i++)
		staying.emplace_back([&] {
			alive++;
			while (!end)
				usleep(1000);
		});
	while (alive < 5)
		std::this_thread::yield();
	for (int i = 0; i < 5000; i++)
		ASSERT_GE(thread_count(), 7);
	end = true;
	churn.join();
	for (std::thread &thread : staying)
		thread.join();
}

TEST(Thread, RunnableUnlessItSleeps)
{
	std::atomic<int> spinner{ 0 }, sleeper{ 0 };
	std::atomic<bool> end{ false };
	std::thread spins([&] {
		spinner = thread_gettid();
		while (!end)
			;
	});
	std::thread sleeps([&] {
		sleeper = thread_gettid();
		pause();
	});
	int64_t deadline = nanotime() + 30000 * ms;
	ErrnoKept kept;

	signal(SIGUSR1, [](int) {});
	while (!spinner || !sleeper)
		std::this_thread::yield();
	for (int i = 0; i < 1000; i++)
		ASSERT_TRUE(thread_runnable(spinner));
	while (thread_runnable(sleeper) && nanotime() < deadline)
		std::this_thread::yield();
	EXPECT_FALSE(thread_runnable(sleeper));
	EXPECT_FALSE(thread_runnable(1)); /* no thread of ours */
	EXPECT_FALSE(thread_runnable(INT_MAX));
	end = true;
	spins.join();
	thread_tgkill(sleeper, SIGUSR1);
	sleeps.join();
	signal(SIGUSR1, SIG_DFL);
}

TEST(Thread, CountIsFoundBehindAnyName)
{
	namespace fs = std::filesystem;
	fs::path root = fs::path(testing::TempDir()) / ("urge_stat_" + std::to_string(getpid()));

	fs::create_directories(root / "proc/self");
	procfs_set_root(root.c_str());
	std::ofstream(root / "proc/self/stat")
		<< "1 (a ) b (3) R 0 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 4711 0 5 0 0\n";
	EXPECT_EQ(4711, thread_count());
	std::ofstream(root / "proc/self/stat") << "1 (a) R 0 1 1 0\n";
	EXPECT_EQ(-EINVAL, thread_count());
	fs::remove_all(root);
	EXPECT_EQ(-ENOENT, thread_count());
	procfs_set_root(nullptr);
}
