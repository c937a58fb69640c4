/* SPDX-License-Identifier: MIT */
/* For tests of what goroutines wait for: many of them, at several GOMAXPROCS. */
#ifndef URGE_TESTS_UNIT_CROWD_H
#define URGE_TESTS_UNIT_CROWD_H

#include "tests/unit/child.h"
#include <atomic>
#include <thread>

static inline int64_t soon(int64_t ns = 20 * URGE_MS)
{
	return urge_now() + ns;
}

/* Goroutines that are waited for when the scope ends. */
class Crowd
{
public:
	void start(std::function<void()> body)
	{
		urge_waitgroup_add(&wg, 1);
		EXPECT_EQ(0, go([this, body] {
				  body();
				  urge_waitgroup_done(&wg);
			  }));
	}
	void join() { urge_waitgroup_wait(&wg); }
	~Crowd() { join(); }

private:
	urge_waitgroup wg = {};
};

static inline void in_world(const std::function<void()> &body)
{
	EXPECT_EQ(0, run_main([&] {
			  body();
			  return 0;
		  }));
}

static inline void at_each_gomaxprocs(const std::function<void()> &body)
{
	in_world([&] {
		int before = urge_gomaxprocs(0);

		for (int procs : { 1, 2, 4 }) {
			urge_gomaxprocs(procs);
			body();
		}
		urge_gomaxprocs(before);
	});
}

/* The words that end a program which does body, as goroutine 1 and before boot. */
static inline void expect_fatal(const std::string &words, const std::function<void()> &body)
{
	Outcome inside = in_child([&] { in_world(body); });
	Outcome before = in_child(body);

	EXPECT_EXITED(2, inside);
	EXPECT_SAYS("fatal error: " + words + "\n", inside.err);
	EXPECT_EXITED(2, before);
	EXPECT_SAYS("fatal error: " + words + "\n", before.err);
}

#endif
