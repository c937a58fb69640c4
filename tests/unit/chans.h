/* SPDX-License-Identifier: MIT */
/* What tests of channels and select share. */
#ifndef URGE_TESTS_UNIT_CHANS_H
#define URGE_TESTS_UNIT_CHANS_H

#include "tests/unit/child.h"
#include "tests/unit/internals.h"

/* A channel of T, freed at its end. */
template <typename T> struct Chan {
	explicit Chan(size_t capacity = 0) : c(urge_chan_make(sizeof(T), capacity)) {}
	~Chan() { urge_chan_free(c); }
	Chan(const Chan &) = delete;
	operator urge_chan *() const { return c; }

	int send(T v) const { return urge_send(c, &v); }
	int try_send(T v) const { return urge_try_send(c, &v); }
	T recv() const
	{
		T v{};

		EXPECT_EQ(0, urge_recv(c, &v));
		return v;
	}
	/* False when it is closed and empty. */
	bool recv(T *v) const { return urge_recv(c, v) == 0; }

	urge_chan *const c;
};

struct Nothing {
};

/* Entries in its queues. */
static inline size_t waiters(urge_chan *c)
{
	size_t n = 0;

	enter();
	chanlock(&c->lock, getm());
	for (struct waitq *q : { &c->recvq, &c->sendq })
		for (auto *sg = (struct sudog *)load_rlx_ptr(&q->first); sg; sg = sg->next)
			n++;
	chanunlock(&c->lock, getm());
	leave();
	return n;
}

/* On a goroutine: until so many wait. */
static inline bool wait_for_waiters(urge_chan *c, size_t n)
{
	return eventually([=] { return waiters(c) == n; });
}

/* Runs body in urge_main with 1, 2 and 4 Ps and short slices. */
static inline void with_procs(const std::function<void(int procs)> &body)
{
	for (int procs : { 1, 2, 4 })
		EXPECT_EQ(0, run_main([&] {
				  EXPECT_LT(0, urge_gomaxprocs(procs));
				  urge_set_time_slice(50 * URGE_US);
				  body(procs);
				  urge_set_time_slice(10 * URGE_MS);
				  return 0;
			  }));
}

#endif
