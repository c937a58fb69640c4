/* SPDX-License-Identifier: MIT */
/* The deadlock verdict: it comes when it is true, in Go's words, and only then. */
#include "tests/unit/child.h"
#include <thread>

static const char *const asleep = "fatal error: all goroutines are asleep - deadlock!\n";
static const char *const nobody =
	"fatal error: no goroutines (main called urge_goexit) - deadlock!\n";
static const char *const stranger =
	"urge: all goroutines are asleep; only a thread of the program's "
	"own can wake them\n";

static void block_for_ever()
{
	urge_waitgroup never = {};

	urge_waitgroup_add(&never, 1);
	urge_waitgroup_wait(&never);
}

static Outcome main_in_child(const std::function<int()> &body, int64_t limit = 60 * URGE_S)
{
	return in_child([&] { EXPECT_EQ(0, run_main(body)); }, limit);
}

/*
 * A header of the dump; with an age if the verdict was late, as it is when the machine starts one
 * of the runtime's threads late.
 */
static std::string waits(const std::string &goid, const std::string &name)
{
	return "\ngoroutine " + goid + " \\[sync.WaitGroup.Wait(, [0-9]+ seconds)?\\] " + name +
	       ":\n";
}

TEST(Deadlock, AllAsleepIsFatalWithADump)
{
	Outcome dead = main_in_child([] {
		struct urge_attr attr = URGE_ATTR_INIT;

		attr.name = "other";
		EXPECT_EQ(0, go(block_for_ever, &attr));
		block_for_ever();
		return 0;
	});

	EXPECT_EXITED(2, dead);
	EXPECT_SAYS(asleep, dead.err);
	EXPECT_TRUE(found(dead.err, waits("1", "main"))) << dead.err;
	EXPECT_TRUE(found(dead.err, waits("2", "other"))) << dead.err;
	EXPECT_SAYS("waitgroup_wait_and_leave(...)\n", dead.err);
	EXPECT_SAYS("\ncreated by ", dead.err);
	EXPECT_EQ("", dead.out);
}

TEST(Deadlock, ManyProcessorsDoNotHideIt)
{
	EXPECT_EXITED(2, main_in_child([] {
			      urge_gomaxprocs(8);
			      for (int i = 0; i < 100; i++)
				      EXPECT_EQ(0, go(block_for_ever));
			      block_for_ever();
			      return 0;
		      }));
}

TEST(Deadlock, TheLastGoroutineMayEndMain)
{
	Outcome alone = main_in_child([]() -> int { urge_goexit(); });

	EXPECT_EXITED(2, alone);
	EXPECT_SAYS(nobody, alone.err);

	Outcome later = main_in_child([]() -> int {
		EXPECT_EQ(0, go([] { urge_sleep(20 * URGE_MS); }));
		urge_goexit();
	});
	EXPECT_EXITED(2, later);
	EXPECT_SAYS(nobody, later.err);

	Outcome blocked = main_in_child([]() -> int {
		EXPECT_EQ(0, go(block_for_ever));
		urge_goexit();
	});
	EXPECT_EXITED(2, blocked);
	EXPECT_SAYS(asleep, blocked.err);
}

TEST(Deadlock, ItIsFoundAfterATimeOfWork)
{
	Outcome dead = main_in_child([] {
		urge_waitgroup wg = {};

		urge_gomaxprocs(4);
		urge_waitgroup_add(&wg, 100);
		for (int i = 0; i < 100; i++)
			EXPECT_EQ(0, go([&] {
					  urge_sleep(URGE_MS);
					  urge_entersyscall();
					  usleep(1000);
					  urge_exitsyscall();
					  urge_waitgroup_done(&wg);
				  }));
		urge_waitgroup_wait(&wg);
		block_for_ever();
		return 0;
	});

	EXPECT_EXITED(2, dead);
	EXPECT_SAYS(asleep, dead.err);
}

TEST(Deadlock, ASleeperIsNotOne)
{
	Outcome alive = main_in_child([] {
		urge_waitgroup wg = {};

		urge_waitgroup_add(&wg, 1);
		EXPECT_EQ(0, go([&] {
				  urge_sleep(300 * URGE_MS);
				  urge_waitgroup_done(&wg);
			  }));
		urge_waitgroup_wait(&wg);
		return 0;
	});

	EXPECT_EXITED(0, alive);
	EXPECT_EQ("", alive.err);
}

TEST(Deadlock, ASystemCallIsNotOne)
{
	Outcome alive = main_in_child([] {
		urge_waitgroup wg = {};

		urge_waitgroup_add(&wg, 1);
		EXPECT_EQ(0, go([&] {
				  urge_entersyscall();
				  usleep(300000);
				  urge_exitsyscall();
				  urge_waitgroup_done(&wg);
			  }));
		urge_waitgroup_wait(&wg);
		return 0;
	});

	EXPECT_EXITED(0, alive);
	EXPECT_EQ("", alive.err);
}

/* A message from outside may still come: the child is alive and silent until it is killed. */
TEST(Deadlock, NoVerdictWhileSomebodyOutsideMayWakeUs)
{
	Child child([] {
		run_main([] {
			urge_external_begin();
			puts("blocks");
			fflush(stdout);
			block_for_ever();
			return 0;
		});
	});

	ASSERT_TRUE(child.said("blocks"));
	Outcome waiting = child.finish(500 * URGE_MS);
	EXPECT_TRUE(waiting.late) << waiting;
	EXPECT_EQ(0, occurrences(waiting.err, asleep)) << waiting.err;
	EXPECT_EQ(0, occurrences(waiting.err, stranger)) << waiting.err;
}

TEST(Deadlock, TheVerdictComesWhenOutsideEnded)
{
	EXPECT_EXITED(2, main_in_child([] {
			      urge_external_begin();
			      urge_external_end();
			      block_for_ever();
			      return 0;
		      }));
}

/* Reads what the process says on stderr, until it has said a line. */
static std::string line_of_stderr(int from)
{
	std::string line;
	char c;

	while (read(from, &c, 1) == 1) {
		line += c;
		if (c == '\n')
			break;
	}
	return line;
}

TEST(Deadlock, AForeignThreadIsOneLineEachTime)
{
	Outcome alive = in_child([] {
		int fds[2], err = dup(2);

		ASSERT_EQ(0, pipe(fds));
		dup2(fds[1], 2);
		EXPECT_EQ(0, run_main([&] {
				  urge_waitgroup asleep[2] = {};

				  for (urge_waitgroup &wg : asleep)
					  urge_waitgroup_add(&wg, 1);
				  std::thread waker([&] {
					  for (urge_waitgroup &wg : asleep) {
						  struct pollfd more = { fds[0], POLLIN, 0 };

						  EXPECT_EQ(stranger, line_of_stderr(fds[0]));
						  EXPECT_EQ(0, poll(&more, 1, 300));
						  urge_waitgroup_done(&wg);
					  }
				  });
				  for (urge_waitgroup &wg : asleep)
					  urge_waitgroup_wait(&wg);
				  waker.join();
				  return 0;
			  }));
		dup2(err, 2);
	});

	EXPECT_EXITED(0, alive);
	EXPECT_EQ("", alive.err);
}

/* The verdict is put off, not given up: it comes when the foreign thread has ended. */
TEST(Deadlock, TheVerdictComesWhenTheForeignThreadHasEnded)
{
	Outcome dead = main_in_child([] {
		std::thread([] { usleep(300000); }).detach();
		block_for_ever();
		return 0;
	});

	EXPECT_EXITED(2, dead);
	EXPECT_SAYS(asleep, dead.err);
}

/* A thread that wakes somebody and ends at once must not be missed: neither is a sleeper's waker. */
TEST(Deadlock, NoVerdictWhenTheLastForeignThreadWakesAndEnds)
{
	Outcome alive = main_in_child([] {
		for (int i = 0; i < 2000; i++) {
			urge_waitgroup wg = {};

			urge_waitgroup_add(&wg, 1);
			std::thread([&] { urge_waitgroup_done(&wg); }).detach();
			urge_waitgroup_wait(&wg);
		}
		return 0;
	});

	EXPECT_EXITED(0, alive);
	EXPECT_EQ(0, occurrences(alive.err, asleep)) << alive;
}
