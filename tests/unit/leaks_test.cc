/* SPDX-License-Identifier: MIT */
/* Which waits can leak, and when that can't be told. Random graphs: tests/programs/leaks.sh. */
#include "tests/unit/child.h"
#include <atomic>
#include <pthread.h>
#include <sys/mman.h>

static void *volatile keep; /* the compiler must not leave an allocation out */

static std::string dump()
{
	int fd = memfd_create("dump", 0);
	std::string text(1 << 20, '\0');
	ssize_t n;

	urge_dump(fd);
	n = pread(fd, &text[0], text.size(), 0);
	text.resize(n > 0 ? (size_t)n : 0);
	close(fd);
	return text;
}

/* A goroutine that waits before this returns; on one P. */
static void start(const char *name, urge_fn fn)
{
	struct urge_attr attr = URGE_ATTR_INIT;

	attr.name = name;
	EXPECT_EQ(0, urge_go_attr(&attr, fn, nullptr));
	for (int i = 0; i < 3; i++)
		urge_yield();
}

/*
 * Takes what has been freed, so that channels come from memory where nothing has been before:
 * googletest may have left the address of what was there in any place, which would save the
 * channel.
 */
static void take_what_was_freed()
{
	for (int i = 0; i < 100; i++)
		keep = malloc(64 << 10);
	for (size_t size = 8; size < 2048; size += 16)
		for (int i = 0; i < 200; i++)
			keep = malloc(size);
	keep = nullptr;
}

static Outcome with_leaks(const std::function<void()> &body)
{
	return in_child([&] {
		take_what_was_freed();
		setenv("URGEDEBUG", "leaks=1", 1);
		EXPECT_EQ(0, run_main([&] {
				  urge_gomaxprocs(1);
				  body();
				  return 0;
			  }));
	});
}

class Leaks : public testing::Test
{
protected:
	void SetUp() override
	{
		if (sanitized())
			GTEST_SKIP() << "a sanitizer's memory is too large to be looked through";
	}
};

TEST_F(Leaks, EndlessWaitsOnChannelsOnly)
{
	EXPECT_EXITED(
		0, with_leaks([] {
			std::string text;

			start("own", [](void *) { urge_recv(urge_chan_make(8, 0), nullptr); });
			start("nil", [](void *) { urge_send(nullptr, nullptr); });
			start("empty", [](void *) { urge_select(nullptr, 0); });
			start("select", [](void *) {
				struct urge_case k[2] = {
					{ urge_chan_make(0, 0), URGE_RECV, nullptr, 0 },
					{ urge_chan_make(0, 0), URGE_SEND, nullptr, 0 }
				};

				urge_select(k, 2);
			});
			start("late", [](void *) { /* after a wait with a deadline */
						   urge_chan *c = urge_chan_make(8, 0);

						   urge_recv_until(c, nullptr, urge_now() - 1);
						   urge_recv(c, nullptr);
			});
			start("timed", [](void *) {
				urge_recv_until(urge_chan_make(8, 0), nullptr,
						urge_now() + URGE_S * 3600);
			});
			start("timednil", [](void *) {
				urge_recv_until(nullptr, nullptr, urge_now() + URGE_S * 3600);
			});
			start("after",
			      [](void *) { urge_recv(urge_after(3600 * URGE_S), nullptr); });
			start("bound", [](void *) {
				urge_ctx_bind(urge_ctx_with_cancel(urge_ctx_background()));
				urge_recv(urge_chan_make(8, 0), nullptr);
			});
			start("sleeper", [](void *) { urge_sleep(3600 * URGE_S); });
			start("mutex", [](void *) {
				urge_mutex m{};

				urge_mutex_lock(&m);
				urge_mutex_lock(&m);
			});
			text = dump();
			for (const char *leaked : { "own", "nil", "empty", "select", "late" })
				EXPECT_TRUE(
					found(text, std::string("\\(leaked\\)\\] ") + leaked + ":"))
					<< leaked << " is leaked\n"
					<< text;
			EXPECT_EQ(5, occurrences(text, " (leaked)")) << text;
			EXPECT_EQ(0u, text.find("5 goroutines are leaked\n")) << text;
		}));
}

TEST_F(Leaks, WhatIsLeakedStaysSo)
{
	EXPECT_EXITED(0, with_leaks([] {
			      start("own",
				    [](void *) { urge_recv(urge_chan_make(8, 0), nullptr); });
			      for (int i = 0; i < 3; i++)
				      EXPECT_SAYS("1 goroutine is leaked\n", dump());
		      }));
}

TEST_F(Leaks, AThreadOfTheProgramsMightReachAnything)
{
	EXPECT_EXITED(0, with_leaks([] {
			      static std::atomic<bool> end{ false };
			      pthread_t thread;

			      start("own",
				    [](void *) { urge_recv(urge_chan_make(8, 0), nullptr); });
			      pthread_create(
				      &thread, nullptr,
				      [](void *) -> void * {
					      while (!end)
						      usleep(1000);
					      return nullptr;
				      },
				      nullptr);
			      EXPECT_SAYS("can't be told: there are threads of the program's own\n",
					  dump());
			      end = true;
			      pthread_join(thread, nullptr);
			      EXPECT_SAYS("1 goroutine is leaked\n", dump());
		      }));
}

TEST_F(Leaks, SoMightWhoIsInADeclaredCallOrOutside)
{
	EXPECT_EXITED(
		0, with_leaks([] {
			static int fds[2];
			char c = 0;

			EXPECT_EQ(0, pipe(fds));
			start("own", [](void *) { urge_recv(urge_chan_make(8, 0), nullptr); });
			urge_external_begin();
			EXPECT_SAYS("can't be told: somebody outside is announced\n", dump());
			urge_external_end();
			start("caller", [](void *) {
				char c;

				urge_entersyscall();
				EXPECT_EQ(1, read(fds[0], &c, 1));
				urge_exitsyscall();
			});
			EXPECT_SAYS("can't be told: a goroutine is in a system call\n", dump());
			EXPECT_EQ(1, write(fds[1], &c, 1));
			while (urge_num_goroutine() > 2)
				urge_sleep(URGE_MS);
			EXPECT_SAYS("1 goroutine is leaked\n", dump());
		}));
}

TEST_F(Leaks, NobodyLooksUnlessAsked)
{
	EXPECT_EXITED(0, in_child([] {
			      EXPECT_EQ(0, run_main([] {
						start("own", [](void *) {
							urge_recv(urge_chan_make(8, 0), nullptr);
						});
						EXPECT_EQ(0, occurrences(dump(), "leaked"));
						return 0;
					}));
		      }));
}
