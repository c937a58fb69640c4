/* SPDX-License-Identifier: MIT */
/* What ends a program: a line that says why, all goroutines, status 2; never a crash without words. */
#include "tests/unit/child.h"
#include <atomic>
#include <pthread.h>
#include <sys/time.h>

/* Runs body as goroutine 1; it must end the process with these words. */
static void expect_fatal(const std::string &words, const std::function<void()> &body)
{
	Outcome fatal = in_child([&] {
		run_main([&] {
			body();
			return 0;
		});
		puts("came back");
	});

	EXPECT_EXITED(2, fatal);
	EXPECT_SAYS("fatal error: " + words + "\n", fatal.err);
	EXPECT_SAYS("\ngoroutine 1 [", fatal.err);
	EXPECT_EQ("", fatal.out);
}

TEST(Misuse, CallInsideADeclaredSystemCall)
{
	const char *words = "urge: call between urge_entersyscall and urge_exitsyscall";

	expect_fatal(words, [] {
		urge_entersyscall();
		urge_entersyscall();
	});
	expect_fatal(words, [] {
		urge_entersyscall();
		urge_yield();
	});
	expect_fatal(words, [] {
		urge_entersyscall();
		urge_sleep(1);
	});
	expect_fatal(words, [] {
		urge_entersyscall();
		urge_go([](void *) {}, nullptr);
	});
}

TEST(Misuse, AllowedCallsInsideADeclaredSystemCall)
{
	EXPECT_EQ(0, run_main([] {
			  urge_entersyscall();
			  EXPECT_EQ(1u, urge_goid());
			  EXPECT_GT(urge_now(), 0);
			  errno = 5;
			  urge_exitsyscall();
			  EXPECT_EQ(5, errno);
			  return 0;
		  }));
}

TEST(Misuse, EndWithoutBegin)
{
	expect_fatal("urge_exitsyscall without urge_entersyscall", [] { urge_exitsyscall(); });
	expect_fatal("urge_nopreempt_end without urge_nopreempt_begin", [] {
		urge_nopreempt_begin();
		urge_nopreempt_end();
		urge_nopreempt_end();
	});
	expect_fatal("urge_start_the_world: the caller has not stopped it",
		     [] { urge_start_the_world(); });
}

TEST(Misuse, BlockingWhileTheWorldIsStopped)
{
	expect_fatal("urge: the goroutine that stopped the world blocks", [] {
		urge_stop_the_world("test");
		urge_sleep(URGE_MS);
	});
}

TEST(Misuse, EndingAThreadThatIsNoGoroutine)
{
	Outcome fatal = in_child([] { urge_goexit(); });

	EXPECT_EXITED(2, fatal);
	EXPECT_EQ("fatal error: urge_goexit: the caller is no goroutine\n", fatal.err);
}

/* ---- in a signal handler ------------------------------------------------------------------- */

static void (*in_handler)();

static void handler(int)
{
	in_handler();
}

static void handle(int sig, void (*fn)(), int flags)
{
	struct sigaction act = {};

	in_handler = fn;
	act.sa_handler = handler;
	act.sa_flags = flags;
	sigaction(sig, &act, nullptr);
}

/* The runtime gives each of its threads an alternate stack: SA_ONSTACK handlers run there. */
static void expect_fatal_on_altstack(void (*fn)())
{
	SKIP_WHERE_SIGNALS_WAIT();
	expect_fatal("urge: blocking call on a signal stack", [=] {
		handle(SIGUSR1, fn, SA_ONSTACK);
		raise(SIGUSR1);
	});
}

TEST(Misuse, SleepOnAnAlternateSignalStack)
{
	expect_fatal_on_altstack([] { urge_sleep(URGE_MS); });
}

TEST(Misuse, WaitOnAnAlternateSignalStack)
{
	expect_fatal_on_altstack([] {
		urge_waitgroup wg = {};

		urge_waitgroup_add(&wg, 1);
		urge_waitgroup_wait(&wg);
	});
}

TEST(Misuse, YieldOnAnAlternateSignalStack)
{
	expect_fatal_on_altstack([] { urge_yield(); });
}

TEST(Misuse, GoexitOnAnAlternateSignalStack)
{
	expect_fatal_on_altstack([] { urge_goexit(); });
}

TEST(Misuse, StoppingTheWorldOnAnAlternateSignalStack)
{
	expect_fatal_on_altstack([] { urge_stop_the_world("test"); });
}

TEST(Misuse, SignalSafeCallsMayBeMadeThere)
{
	EXPECT_EQ(0, run_main([] {
			  static std::atomic<int> ran{ 0 };
			  static uint64_t goid;

			  handle(
				  SIGUSR1,
				  [] {
					  goid = urge_goid();
					  ran += urge_now() > 0 && *urge_errno() != 4711 &&
						 urge_version();
				  },
				  SA_ONSTACK);
			  errno = 17;
			  raise(SIGUSR1);
			  EXPECT_EQ(1, ran);
			  EXPECT_EQ(1u, goid);
			  EXPECT_EQ(17, errno);
			  signal(SIGUSR1, SIG_DFL);
			  return 0;
		  }));
}

/* A handler that calls the runtime interrupts it sooner or later. */
TEST(Misuse, CallFromAHandlerThatInterruptedTheRuntime)
{
	Outcome fatal = in_child([] {
		run_main([] {
			struct itimerval often = { { 0, 50 }, { 0, 50 } };
			struct urge_attr attr = URGE_ATTR_INIT;

			handle(
				SIGALRM, [] { urge_go([](void *) {}, nullptr); }, 0);
			attr.stack_size = 1 << 20;
			for (int i = 0; i < 4; i++)
				go(
					[] {
						for (;;)
							urge_yield();
					},
					&attr);
			setitimer(ITIMER_REAL, &often, nullptr);
			for (;;)
				urge_yield();
			return 0;
		});
	});

	EXPECT_EXITED(2, fatal);
	EXPECT_SAYS("fatal error: urge: call from a signal handler", fatal.err);
}

/* The first of several failures is told, once. */
TEST(Misuse, SimultaneousFailuresAreToldOnce)
{
	Outcome fatal = in_child([] {
		run_main([] {
			urge_gomaxprocs(4);
			for (int i = 0; i < 8; i++)
				go([] { urge_exitsyscall(); });
			for (;;)
				urge_yield();
			return 0;
		});
	});

	EXPECT_EXITED(2, fatal);
	EXPECT_EQ(1, occurrences(fatal.err, "fatal error: ")) << fatal.err;
}
