/* SPDX-License-Identifier: MIT */
/* The programs of examples/: exact output and exit status. */
#include "tests/unit/child.h"

/* A slice so long that a busy machine does not change the order. */
static const std::vector<std::string> no_preemption = { "URGEDEBUG=slice=10000000" };

static const char *const ten_lines = "A:  9\nA:  0\nA:  1\nA:  2\nA:  3\nA:  4\nA:  5\nA:  6\n"
				     "A:  7\nA:  8\n";

TEST(Examples, HelloSaysHello)
{
	Outcome hello = in_child(program("examples/hello"));

	EXPECT_EXITED(0, hello);
	EXPECT_EQ("hello world in goroutine\n", hello.out);
	EXPECT_EQ("", hello.err);
}

TEST(Examples, TenRunsTheLastOneFirst)
{
	Outcome ten = in_child(program("examples/ten", { "sleep" }, no_preemption));

	EXPECT_EXITED(0, ten);
	EXPECT_EQ(ten_lines, ten.out);
	EXPECT_EQ("", ten.err);
}

TEST(Examples, TenBlockedForEverIsADeadlock)
{
	if (IS_ENABLED(CONFIG_TSAN))
		GTEST_SKIP()
			<< "ThreadSanitizer has a thread of its own, which might wake somebody";
	Outcome ten = in_child(program("examples/ten", { "block" }, no_preemption));

	EXPECT_EXITED(2, ten);
	EXPECT_EQ(ten_lines, ten.out);
	EXPECT_SAYS("fatal error: all goroutines are asleep - deadlock!\n\n"
		    "goroutine 1 [sync.WaitGroup.Wait",
		    ten.err);
}

TEST(Examples, TenRefusesOtherArguments)
{
	EXPECT_EXITED(1, in_child(program("examples/ten", { "sit" })));
	EXPECT_EXITED(1, in_child(program("examples/ten", { "sleep", "block" })));
}

TEST(Examples, KilloneEndsAThread)
{
	Outcome killone = in_child(program("examples/killone"));

	EXPECT_EXITED(0, killone);
	EXPECT_EQ("a thread was locked, and has ended\n", killone.out);
	EXPECT_EQ("", killone.err);
}

/* Five at a time: those that sleep for a second end together. */
TEST(Examples, SpawnRunsProgramsAndTellsHowTheyEnd)
{
	std::string five;

	for (int i = 0; i < 5; i++)
		five += "heard\n[exit status 0]\n";
	Outcome spawn = in_child(program("examples/spawn", { "sh", "-c", "sleep 1; echo heard" }));
	EXPECT_EXITED(0, spawn);
	EXPECT_EQ(five, spawn.out);

	Outcome killed = in_child(program("examples/spawn", { "sh", "-c", "kill -9 $$" }));
	EXPECT_EXITED(1, killed);
	EXPECT_SAYS("[killed by signal 9]\n", killed.out);

	Outcome missing = in_child(program("examples/spawn", { "/nonexistent/program" }));
	EXPECT_EXITED(1, missing);
	EXPECT_SAYS("No such file or directory\n", missing.out);
}

TEST(Examples, TheWorldStopsBesideAnEndlessLoop)
{
	if (sanitized())
		GTEST_SKIP() << "a program with a sanitizer is preempted at calls only";
	Outcome loop = in_child(program("examples/loop_stw"));

	EXPECT_EXITED(0, loop);
	EXPECT_EQ("the loop runs\nthe world has stopped: the loop stands still\n"
		  "the world goes on: the loop runs again\n",
		  loop.out);
	EXPECT_EQ("", loop.err);
}

TEST(Examples, FiveWaysToBlockHoldNoThread)
{
	Outcome five = in_child(program("examples/five"));

	EXPECT_EXITED(0, five);
	for (const char *what : { "channel", "sleep", "network", "select", "lock" })
		EXPECT_SAYS(std::string(what) + ": 100 goroutines wait, ", five.out);
	EXPECT_SAYS("gomaxprocs=", five.err);
	EXPECT_SAYS("idleprocs=", five.err);
}
