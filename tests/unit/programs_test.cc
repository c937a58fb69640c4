/* SPDX-License-Identifier: MIT */
/* What needs preempted goroutines, so that C programs do it: see tests/programs. */
#include "tests/unit/child.h"
#include <sstream>

/* urge_main's return, ten times. The promise is 100 ms, on a machine that does nothing else. */
static void expect_return_among(const std::string &others, const std::string &form,
				const std::string &procs, int limit_ms)
{
	Outcome outcome = in_child(
		program("tests/programs/return_among_others" + form, { others, "10", procs }),
		300 * URGE_S);

	EXPECT_EXITED(0, outcome);
	EXPECT_SAYS("\nok\n", outcome.out);
	printf("worst of 10: %d ms\n", atoi(outcome.out.c_str()));
	EXPECT_LT(atoi(outcome.out.c_str()), limit_ms);
}

static const char *const no_preemption = "a program with a sanitizer is preempted at calls only";

/* Each program is there twice: with the archive and with the shared library. */
class Programs : public testing::TestWithParam<std::string>
{
protected:
	void SetUp() override
	{
		if (sanitized())
			GTEST_SKIP() << no_preemption;
	}

	std::function<void()> test_program(const std::string &name,
					   const std::vector<std::string> &args = {},
					   const std::vector<std::string> &env = {})
	{
		return program("tests/programs/" + name + GetParam(), args, env);
	}
};

INSTANTIATE_TEST_SUITE_P(Link, Programs, testing::Values("", ".shared"), [](const auto &info) {
	return info.param.empty() ? "Archive" : "Shared";
});

TEST_P(Programs, MainReturnsAmongLoops)
{
	expect_return_among("loop", GetParam(), "3", 2000);
}

TEST_P(Programs, MainReturnsAmongLoopsInMalloc)
{
	expect_return_among("malloc", GetParam(), "3", 30000);
}

TEST_P(Programs, MainReturnsAmongLoopsInPrintf)
{
	expect_return_among("printf", GetParam(), "3", 30000);
}

TEST_P(Programs, MainReturnsAmongAllOfThem)
{
	expect_return_among("mixed", GetParam(), "3", 30000);
}

/*
 * In a static program libc is a part of the program. Goroutines in there are not discarded, those
 * in the program's own loops are. Nothing is moved, so there are more Ps than goroutines.
 */
class StaticPrograms : public testing::Test
{
protected:
	void SetUp() override
	{
		if (sanitized())
			GTEST_SKIP() << "there are no static programs with a sanitizer";
	}
};

TEST_F(StaticPrograms, MainReturnsAmongLoops)
{
	expect_return_among("loop", ".static", "6", 2000);
}

TEST_F(StaticPrograms, MainReturnsAmongLoopsInMalloc)
{
	expect_return_among("malloc", ".static", "6", 30000);
}

TEST_F(StaticPrograms, MainReturnsAmongAllOfThem)
{
	expect_return_among("mixed", ".static", "6", 30000);
}

TEST_F(StaticPrograms, DumpsHaveFramesAndNames)
{
	Child child(program("tests/programs/dump_goroutines.static", { "6" }));

	ASSERT_TRUE(child.said("ready\n"));
	child.send(SIGQUIT);
	Outcome dump = child.finish();
	EXPECT_EXITED(2, dump);
	EXPECT_TRUE(found(dump.err, "waiter:\n([^\n]+\n)*waitgroup_wait_and_leave\\(\\.\\.\\.\\)\n"
				    "[^\n]+\ngostart\\(\\.\\.\\.\\)\n"))
		<< dump;
}

TEST_P(Programs, SigquitDumpsEveryGoroutineAndEndsWithStatus2)
{
	Child child(test_program("dump_goroutines"));

	ASSERT_TRUE(child.said("ready\n"));
	child.send(SIGQUIT);
	Outcome dump = child.finish();
	EXPECT_EXITED(2, dump);
	EXPECT_EQ(0u, dump.err.find("SIGQUIT: quit\n\ngoroutine ")) << dump;
	for (const char *header : { "goroutine 1 \\[sleep(, [0-9]+ seconds)?\\] main:\n",
				    "\\[sleep(, [0-9]+ seconds)?\\] sleeper:\n",
				    "\\[sync.WaitGroup.Wait(, [0-9]+ seconds)?\\] waiter:\n",
				    "\\[syscall\\] caller:\n" })
		EXPECT_TRUE(found(dump.err, header)) << header << dump;
	/* the loop's own frame, reached through the frame that was injected */
	EXPECT_TRUE(found(dump.err,
			  "\\[runnable\\] looper:\n([^\n]+\n)+looper\\(\\.\\.\\.\\)\n\t[^ \n]+ "
			  "\\+0x[0-9a-f]+( \\(preempted\\))?\n([^\n]+\n)*created by "))
		<< dump;
}

/* Whom the signal hits: what it was doing, and not what the handler does. */
TEST_P(Programs, SigquitShowsTheFramesOfWhomItHits)
{
	Outcome dump = in_child(test_program("quit_here"));

	EXPECT_EXITED(2, dump);
	EXPECT_TRUE(found(dump.err, "^SIGQUIT: quit\n\ngoroutine 1 \\[running\\] main:\n"
				    "spin_here\\(\\.\\.\\.\\)\n[^\n]+\ncall_here\\("))
		<< dump;
	dump = in_child(test_program("quit_here", { "blocking" }));
	EXPECT_EXITED(2, dump);
	EXPECT_TRUE(
		found(dump.err,
		      "^SIGQUIT: quit\n\ngoroutine 1 \\[syscall\\] main:\n([^\n]+\n)*call_here\\("))
		<< dump;
}

TEST_P(Programs, SchedtraceIsGos)
{
	std::string n = "[0-9]+";
	Child child(test_program("dump_goroutines", {}, { "URGEDEBUG=schedtrace=20" }));
	int good = 0, before = -1;

	ASSERT_TRUE(child.said("ready\n"));
	ASSERT_TRUE(child.complained("\nSCHED ", 5));
	child.send(SIGKILL);
	Outcome trace = child.finish();
	std::istringstream lines(trace.err);
	for (std::string text; std::getline(lines, text); good++) {
		int ms = 0, procs = 0;

		ASSERT_EQ(2, sscanf(text.c_str(), "SCHED %dms: gomaxprocs=%d", &ms, &procs))
			<< text;
		EXPECT_GT(ms, before) << text;
		before = ms;
		std::string each = "\\[ ([0-9]+ ){" + std::to_string(procs) + "}\\]";
		EXPECT_TRUE(fits(text, "SCHED " + n + "ms: gomaxprocs=" + n + " idleprocs=" + n +
					       " threads=" + n + " spinningthreads=" + n +
					       " needspinning=" + n + " idlethreads=" + n +
					       " runqueue=" + n + " " + each +
					       " schedticks=" + each))
			<< text;
	}
	EXPECT_GE(good, 3) << trace;
}

TEST_P(Programs, DetailedSchedtraceIsGos)
{
	std::string n = "[0-9]+", id = "([0-9]+|nil)", flag = "(true|false)";
	std::string head = "SCHED " + n + "ms: gomaxprocs=" + n + " idleprocs=" + n +
			   " threads=" + n + " spinningthreads=" + n + " needspinning=" + n +
			   " idlethreads=" + n + " runqueue=" + n + " gcwaiting=" + flag +
			   " nmidlelocked=" + n + " stopwait=" + n + " sysmonwait=" + flag;
	std::string p = "  P" + n + ": status=" + n + " schedtick=" + n + " syscalltick=" + n +
			" m=" + id + " runqsize=" + n + " gfreecnt=" + n + " timerslen=" + n;
	std::string m = "  M" + n + ": p=" + id + " curg=" + id + " mallocing=" + n +
			" throwing=" + n + " preemptoff=[^ ]* locks=" + n + " dying=" + n +
			" spinning=" + flag + " blocked=" + flag + " lockedg=" + id;
	std::string g = "  G" + n + ": status=" + n + "\\(.*\\) m=" + id + " lockedm=" + id;
	Child child(
		test_program("dump_goroutines", {}, { "URGEDEBUG=schedtrace=20,scheddetail=1" }));
	int heads = 0, ps = 0, ms = 0, gs = 0;

	ASSERT_TRUE(child.said("ready\n"));
	ASSERT_TRUE(child.complained("\nSCHED ", 5));
	child.send(SIGKILL);
	Outcome trace = child.finish();
	std::istringstream lines(trace.err);
	for (std::string text; std::getline(lines, text);) {
		heads += fits(text, head);
		ps += fits(text, p);
		ms += fits(text, m);
		gs += fits(text, g);
	}
	EXPECT_GE(heads, 3) << trace;
	EXPECT_GE(ps, heads - 1) << trace;
	EXPECT_GE(ms, 3) << trace;
	EXPECT_GE(gs, 5) << trace;
	EXPECT_EQ(heads + ps + ms + gs, occurrences(trace.err, "\n")) << trace;
	EXPECT_SAYS("(sync.WaitGroup.Wait) m=nil", trace.err);
}
