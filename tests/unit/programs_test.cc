/* SPDX-License-Identifier: MIT */
/* What needs preempted goroutines, so that C programs do it: see tests/programs. */
#include "tests/unit/child.h"
#include <regex>
#include <sstream>

/* Each program is there twice: with the archive and with the shared library. */
class Programs : public testing::TestWithParam<std::string>
{
protected:
	void SetUp() override
	{
		if (sanitized())
			GTEST_SKIP() << "a program with a sanitizer is preempted at calls only";
	}

	std::function<void()> test_program(const std::string &name,
					   const std::vector<std::string> &args = {},
					   const std::vector<std::string> &env = {})
	{
		return program("tests/programs/" + name + GetParam(), args, env);
	}

	/* The promise is 100 ms, on a machine that does nothing else. */
	void expect_return_among(const std::string &others, int limit_ms)
	{
		Outcome outcome = in_child(test_program("return_among_others", { others, "10" }),
					   300 * URGE_S);

		EXPECT_EXITED(0, outcome);
		EXPECT_SAYS("\nok\n", outcome.out);
		printf("worst of 10: %d ms\n", atoi(outcome.out.c_str()));
		EXPECT_LT(atoi(outcome.out.c_str()), limit_ms);
	}
};

INSTANTIATE_TEST_SUITE_P(Link, Programs, testing::Values("", ".shared"),
			 [](const auto &info) { return info.param.empty() ? "Static" : "Shared"; });

TEST_P(Programs, MainReturnsAmongLoops)
{
	expect_return_among("loop", 2000);
}

TEST_P(Programs, MainReturnsAmongLoopsInMalloc)
{
	expect_return_among("malloc", 30000);
}

TEST_P(Programs, MainReturnsAmongLoopsInPrintf)
{
	expect_return_among("printf", 30000);
}

TEST_P(Programs, MainReturnsAmongAllOfThem)
{
	expect_return_among("mixed", 30000);
}

TEST_P(Programs, SigquitDumpsEveryGoroutineAndEndsWithStatus2)
{
	Child child(test_program("dump_goroutines"));

	ASSERT_TRUE(child.said("ready\n"));
	child.send(SIGQUIT);
	Outcome dump = child.finish();
	EXPECT_EXITED(2, dump);
	EXPECT_EQ(0u, dump.err.find("SIGQUIT: quit\n\ngoroutine ")) << dump;
	for (const char *header :
	     { "goroutine 1 \\[sleep(, \\d+ seconds)?\\] main:\n",
	       "\\[sleep(, \\d+ seconds)?\\] sleeper:\n",
	       "\\[sync.WaitGroup.Wait(, \\d+ seconds)?\\] waiter:\n", "\\[syscall\\] caller:\n" })
		EXPECT_TRUE(std::regex_search(dump.err, std::regex(header))) << header << dump;
	/* the loop's own frame, reached through the frame that was injected */
	EXPECT_TRUE(std::regex_search(
		dump.err, std::regex("\\[runnable\\] looper:\n(.+\n)+looper\\(\\.\\.\\.\\)\n\t\\S+ "
				     "\\+0x[0-9a-f]+( \\(preempted\\))?\n(.+\n)*created by ")))
		<< dump;
}

TEST_P(Programs, SchedtraceIsGos)
{
	std::string n = "\\d+", numbers = "\\[ (\\d+ )+\\]";
	std::regex line("SCHED " + n + "ms: gomaxprocs=" + n + " idleprocs=" + n + " threads=" + n +
			" spinningthreads=" + n + " needspinning=" + n + " idlethreads=" + n +
			" runqueue=" + n + " " + numbers + " schedticks=" + numbers);
	Child child(test_program("dump_goroutines", {}, { "URGEDEBUG=schedtrace=20" }));
	int good = 0;

	ASSERT_TRUE(child.said("ready\n"));
	ASSERT_TRUE(child.complained("\nSCHED ", 5));
	child.send(SIGKILL);
	Outcome trace = child.finish();
	std::istringstream lines(trace.err);
	for (std::string text; std::getline(lines, text); good++)
		EXPECT_TRUE(std::regex_match(text, line)) << text;
	EXPECT_GE(good, 3) << trace;
}

TEST_P(Programs, DetailedSchedtraceIsGos)
{
	std::string n = "\\d+", id = "(\\d+|nil)", flag = "(true|false)";
	std::regex head("SCHED " + n + "ms: gomaxprocs=" + n + " idleprocs=" + n + " threads=" + n +
			" spinningthreads=" + n + " needspinning=" + n + " idlethreads=" + n +
			" runqueue=" + n + " gcwaiting=" + flag + " nmidlelocked=" + n +
			" stopwait=" + n + " sysmonwait=" + flag);
	std::regex p("  P" + n + ": status=" + n + " schedtick=" + n + " syscalltick=" + n +
		     " m=" + id + " runqsize=" + n + " gfreecnt=" + n + " timerslen=" + n);
	std::regex m("  M" + n + ": p=" + id + " curg=" + id + " mallocing=" + n +
		     " throwing=" + n + " preemptoff=\\S* locks=" + n + " dying=" + n +
		     " spinning=" + flag + " blocked=" + flag + " lockedg=" + id);
	std::regex g("  G" + n + ": status=" + n + "\\(.*\\) m=" + id + " lockedm=" + id);
	Child child(
		test_program("dump_goroutines", {}, { "URGEDEBUG=schedtrace=20,scheddetail=1" }));
	int heads = 0, ps = 0, ms = 0, gs = 0;

	ASSERT_TRUE(child.said("ready\n"));
	ASSERT_TRUE(child.complained("\nSCHED ", 5));
	child.send(SIGKILL);
	Outcome trace = child.finish();
	std::istringstream lines(trace.err);
	for (std::string text; std::getline(lines, text);) {
		heads += std::regex_match(text, head);
		ps += std::regex_match(text, p);
		ms += std::regex_match(text, m);
		gs += std::regex_match(text, g);
	}
	EXPECT_GE(heads, 3) << trace;
	EXPECT_GE(ps, heads - 1) << trace;
	EXPECT_GE(ms, 3) << trace;
	EXPECT_GE(gs, 5) << trace;
	EXPECT_EQ(heads + ps + ms + gs, occurrences(trace.err, "\n")) << trace;
	EXPECT_SAYS("(sync.WaitGroup.Wait) m=nil", trace.err);
}
