/* SPDX-License-Identifier: MIT */
/* Contexts: trees, deadlines, values, references, and goroutines that are bound to them. */
#include "tests/stress/seed.h"
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <malloc.h>
#include <memory>
#include <thread>

namespace
{

const int64_t far = 1000 * URGE_S;

/* Its channel is closed, as its error says. */
void expect_cancelled(urge_ctx *ctx, int err)
{
	EXPECT_EQ(err, urge_ctx_err(ctx));
	EXPECT_EQ(-EPIPE, urge_try_recv(urge_ctx_done(ctx), nullptr));
}

void expect_alive(urge_ctx *ctx)
{
	EXPECT_EQ(0, urge_ctx_err(ctx));
	EXPECT_EQ(-EAGAIN, urge_try_recv(urge_ctx_done(ctx), nullptr));
}

urge_ctx *new_ctx()
{
	return urge_ctx_with_cancel(urge_ctx_background());
}

} // namespace

/* ---- trees, without a runtime -------------------------------------------------------------- */

TEST(Ctx, BackgroundIsNeverCancelled)
{
	urge_ctx *background = urge_ctx_background();

	urge_ctx_cancel(background, -EIO);
	EXPECT_EQ(0, urge_ctx_err(background));
	EXPECT_EQ(nullptr, urge_ctx_done(background));
	EXPECT_EQ(nullptr, urge_ctx_value(background, &far));
	EXPECT_EQ(URGE_FOREVER, urge_ctx_deadline(background));
	EXPECT_EQ(background, urge_ctx_retain(background));
	urge_ctx_release(background);
	urge_ctx_release(background);
	urge_ctx_release(nullptr);
	EXPECT_EQ(background, urge_ctx_background());
}

TEST(Ctx, IsCancelledOnce)
{
	struct {
		int given, got;
	} errors[] = { { 0, -ECANCELED }, { -EIO, -EIO }, { 5, -ECANCELED } };

	for (auto &err : errors) {
		urge_ctx *ctx = new_ctx();
		urge_chan *done = urge_ctx_done(ctx);

		expect_alive(ctx);
		urge_ctx_cancel(ctx, err.given);
		expect_cancelled(ctx, err.got);
		urge_ctx_cancel(ctx, -EBUSY);
		urge_ctx_cancel(ctx, 0);
		expect_cancelled(ctx, err.got);
		EXPECT_EQ(done, urge_ctx_done(ctx));
		urge_ctx_release(ctx);
	}
}

TEST(Ctx, ChannelThatIsAskedForLateIsClosed)
{
	urge_ctx *ctx = new_ctx();

	urge_ctx_cancel(ctx, 0);
	EXPECT_EQ(-EPIPE, urge_try_recv(urge_ctx_done(ctx), nullptr));
	EXPECT_EQ(urge_ctx_done(ctx), urge_ctx_done(ctx));
	urge_ctx_release(ctx);
}

TEST(Ctx, CancelsWhatIsBelowAndNothingElse)
{
	static const int key = 0;
	urge_ctx *top = new_ctx();
	urge_ctx *left = urge_ctx_with_cancel(top);
	urge_ctx *right = urge_ctx_with_value(top, &key, nullptr);
	urge_ctx *leaf = urge_ctx_with_value(left, &key, nullptr);
	urge_ctx *other = urge_ctx_with_cancel(right);

	urge_ctx_done(leaf);
	urge_ctx_cancel(left, -EIO);
	expect_cancelled(left, -EIO);
	expect_cancelled(leaf, -EIO);
	expect_alive(top);
	expect_alive(right);
	expect_alive(other);
	urge_ctx_cancel(other, -EBUSY); /* one with a value can be cancelled, too */
	urge_ctx_cancel(top, 0);
	expect_cancelled(top, -ECANCELED);
	expect_cancelled(right, -ECANCELED);
	expect_cancelled(leaf, -EIO); /* the first error stays */
	expect_cancelled(other, -EBUSY);
	urge_ctx *late = urge_ctx_with_cancel(leaf);

	expect_cancelled(late, -EIO);
	for (urge_ctx *ctx : { top, left, right, leaf, other, late })
		urge_ctx_release(ctx);
}

TEST(Ctx, ChildrenKeepTheirParents)
{
	urge_ctx *parent = new_ctx();
	urge_ctx *child = urge_ctx_with_cancel(parent);
	urge_ctx *grandchild = urge_ctx_with_cancel(child);

	EXPECT_EQ(parent, urge_ctx_retain(parent));
	urge_ctx_release(child);
	urge_ctx_release(parent);
	expect_alive(grandchild);
	urge_ctx_cancel(parent, -EIO);
	urge_ctx_release(parent);
	expect_cancelled(grandchild, -EIO);
	urge_ctx_release(grandchild);
}

TEST(Ctx, ValuesAreLookedUpToTheRoot)
{
	static const char a = 0, b = 0, c = 0;
	int one = 1, two = 2, three = 3;
	urge_ctx *outer = urge_ctx_with_value(urge_ctx_background(), &a, &one);
	urge_ctx *cancel = urge_ctx_with_cancel(outer);
	urge_ctx *inner = urge_ctx_with_value(cancel, &b, &two);
	urge_ctx *again = urge_ctx_with_value(inner, &a, &three);

	EXPECT_EQ(&one, urge_ctx_value(outer, &a));
	EXPECT_EQ(nullptr, urge_ctx_value(outer, &b));
	EXPECT_EQ(&one, urge_ctx_value(cancel, &a));
	EXPECT_EQ(&one, urge_ctx_value(inner, &a));
	EXPECT_EQ(&two, urge_ctx_value(inner, &b));
	EXPECT_EQ(&three, urge_ctx_value(again, &a));
	EXPECT_EQ(&two, urge_ctx_value(again, &b));
	EXPECT_EQ(nullptr, urge_ctx_value(again, &c));
	EXPECT_EQ(nullptr, urge_ctx_value(again, nullptr));
	urge_ctx_cancel(outer, 0);
	EXPECT_EQ(&three, urge_ctx_value(again, &a));
	for (urge_ctx *ctx : { outer, cancel, inner, again })
		urge_ctx_release(ctx);
}

TEST(Ctx, MisuseIsFatal)
{
	Outcome parent = in_child([] { urge_ctx_with_cancel(nullptr); });
	Outcome key =
		in_child([] { urge_ctx_with_value(urge_ctx_background(), nullptr, nullptr); });

	EXPECT_EXITED(2, parent);
	EXPECT_SAYS("cannot create context from nil parent", parent.err);
	EXPECT_EXITED(2, key);
	EXPECT_SAYS("nil key", key.err);
}

/* Random trees, of which random parts are cancelled and released, against a model. */
TEST(Ctx, TreesBehaveAsTheirModel)
{
	struct Node {
		urge_ctx *ctx;
		int parent;
		int err;
		bool held;
	};
	Random random(test_seed());

	for (int round = 0; round < 20; round++) {
		std::vector<Node> nodes;

		for (int i = 0; i < 300; i++) {
			int parent = (int)random.below((uint32_t)nodes.size() + 1) - 1;
			urge_ctx *from = urge_ctx_background();

			if (parent >= 0 && nodes[parent].held)
				from = nodes[parent].ctx;
			else
				parent = -1;
			nodes.push_back({ urge_ctx_with_cancel(from), parent,
					  parent < 0 ? 0 : nodes[parent].err, true });
			if (random.below(2))
				urge_ctx_done(nodes.back().ctx);
			int victim = (int)random.below((uint32_t)nodes.size());

			if (random.below(4) == 0 && nodes[victim].held) {
				nodes[victim].held = false;
				urge_ctx_release(nodes[victim].ctx);
			} else if (random.below(4) == 0 && nodes[victim].held) {
				int err = -1 - (int)random.below(100);

				urge_ctx_cancel(nodes[victim].ctx, err);
				if (nodes[victim].err == 0)
					nodes[victim].err = err;
				for (size_t n = 0; n < nodes.size(); n++)
					if (nodes[n].parent >= 0 && nodes[n].err == 0)
						nodes[n].err = nodes[nodes[n].parent].err;
			}
		}
		for (Node &node : nodes) {
			if (!node.held)
				continue;
			EXPECT_EQ(node.err, urge_ctx_err(node.ctx));
			EXPECT_EQ(node.err ? -EPIPE : -EAGAIN,
				  urge_try_recv(urge_ctx_done(node.ctx), nullptr));
			urge_ctx_release(node.ctx);
		}
	}
}

/* ---- deadlines ----------------------------------------------------------------------------- */

TEST(Ctx, DeadlineCancelsIt)
{
	EXPECT_EQ(0, run_main([] {
			  int64_t deadline = urge_now() + 20 * URGE_MS;
			  urge_ctx *ctx = urge_ctx_with_deadline(urge_ctx_background(), deadline);
			  urge_ctx *child = urge_ctx_with_cancel(ctx);

			  EXPECT_EQ(deadline, urge_ctx_deadline(ctx));
			  EXPECT_EQ(deadline, urge_ctx_deadline(child));
			  EXPECT_EQ(-EPIPE, urge_recv(urge_ctx_done(child), nullptr));
			  EXPECT_LE(deadline, urge_now());
			  expect_cancelled(ctx, -ETIMEDOUT);
			  expect_cancelled(child, -ETIMEDOUT);
			  urge_ctx_release(ctx);
			  urge_ctx_release(child);
			  return 0;
		  }));
}

TEST(Ctx, DeadlineThatHasPassedCancelsItAtOnce)
{
	EXPECT_EQ(0, run_main([] {
			  for (int64_t deadline : { (int64_t)0, (int64_t)-1, urge_now() }) {
				  urge_ctx *ctx =
					  urge_ctx_with_deadline(urge_ctx_background(), deadline);

				  expect_cancelled(ctx, -ETIMEDOUT);
				  EXPECT_EQ(deadline, urge_ctx_deadline(ctx));
				  urge_ctx_release(ctx);
			  }
			  return 0;
		  }));
}

TEST(Ctx, EarlierDeadlineCounts)
{
	EXPECT_EQ(0, run_main([] {
			  int64_t soon = urge_now() + 20 * URGE_MS, late = urge_now() + far;
			  urge_ctx *parent = urge_ctx_with_deadline(urge_ctx_background(), late);
			  urge_ctx *child = urge_ctx_with_deadline(parent, soon);
			  urge_ctx *grandchild = urge_ctx_with_deadline(child, late);

			  EXPECT_EQ(soon, urge_ctx_deadline(child));
			  EXPECT_EQ(soon, urge_ctx_deadline(grandchild));
			  EXPECT_EQ(-EPIPE, urge_recv(urge_ctx_done(grandchild), nullptr));
			  expect_cancelled(child, -ETIMEDOUT);
			  expect_alive(parent);
			  for (urge_ctx *ctx : { parent, child, grandchild })
				  urge_ctx_release(ctx);
			  EXPECT_EQ(INT64_MAX, timers_earliest());
			  return 0;
		  }));
}

TEST(Ctx, CancelledBeforeItsDeadlineHasNoTimer)
{
	EXPECT_EQ(0, run_main([] {
			  urge_ctx *ctx =
				  urge_ctx_with_deadline(urge_ctx_background(), urge_now() + far);

			  EXPECT_NE(INT64_MAX, timers_earliest());
			  urge_ctx_cancel(ctx, 0);
			  EXPECT_EQ(INT64_MAX, timers_earliest());
			  expect_cancelled(ctx, -ECANCELED);
			  urge_ctx_release(ctx);
			  ctx = urge_ctx_with_deadline(urge_ctx_background(), urge_now() + far);
			  urge_ctx_release(ctx); /* nor one that is no more */
			  EXPECT_EQ(INT64_MAX, timers_earliest());
			  ctx = urge_ctx_with_deadline(urge_ctx_background(), URGE_FOREVER);
			  EXPECT_EQ(INT64_MAX, timers_earliest());
			  urge_ctx_release(ctx);
			  return 0;
		  }));
}

TEST(Ctx, FullHeapsAreReported)
{
	EXPECT_EQ(0, run_main([] {
			  urge_ctx *parent = new_ctx();
			  uint32_t max = timers_max;

			  timers_max = 0;
			  EXPECT_EQ(nullptr, urge_ctx_with_deadline(parent, urge_now() + far));
			  timers_max = max;
			  urge_ctx_cancel(parent, 0);
			  urge_ctx_release(parent);
			  return 0;
		  }));
	EXPECT_EQ(nullptr, urge_ctx_with_deadline(urge_ctx_background(), urge_now() + far));
}

TEST(Ctx, MayBeReleasedAndCancelledAtItsDeadline)
{
	Outcome outcome = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  Random random(test_seed());

				  urge_gomaxprocs(2);
				  for (int i = 0; i < 20000; i++) {
					  urge_ctx *parent = urge_ctx_with_deadline(
						  urge_ctx_background(),
						  urge_now() + random.below(3000));
					  urge_ctx *child = urge_ctx_with_deadline(
						  parent, urge_now() + random.below(3000));

					  if (random.below(2))
						  urge_ctx_done(child);
					  for (uint32_t n = random.below(500); n > 0; n--)
						  cpu_relax();
					  if (random.below(2)) {
						  urge_ctx_cancel(child, -EIO);
						  EXPECT_TRUE(urge_ctx_err(child) == -EIO ||
							      urge_ctx_err(child) == -ETIMEDOUT);
					  }
					  urge_ctx_release(random.below(2)
								   ? urge_ctx_retain(parent)
								   : urge_ctx_retain(child));
					  urge_ctx_release(parent);
					  urge_ctx_release(child);
				  }
				  EXPECT_EQ(INT64_MAX, timers_earliest());
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
}

/* ---- bound goroutines ---------------------------------------------------------------------- */

/* What a bound goroutine's call returns when ctx is cancelled while it waits. */
static int cut_short(int err, const std::function<int()> &call)
{
	static std::atomic<int> result, bound;
	urge_ctx *ctx = new_ctx();

	result = bound = 0;
	EXPECT_EQ(0, go([=] {
			  EXPECT_EQ(0, urge_ctx_bind(ctx));
			  bound = 1;
			  result = call();
		  }));
	EXPECT_TRUE(eventually([] { return bound == 1; }));
	urge_sleep(URGE_MS); /* mostly it waits by now; if not, nothing else comes of it */
	EXPECT_EQ(0, result);
	urge_ctx_cancel(ctx, err);
	EXPECT_TRUE(eventually([] { return result != 0; }));
	urge_ctx_release(ctx);
	return result;
}

TEST(CtxBind, CancellationEndsEveryKindOfWait)
{
	EXPECT_EQ(
		0, run_main([] {
			urge_chan *empty = urge_chan_make(1, 0);
			struct urge_case cases[] = { { empty, URGE_SEND, nullptr, 0 },
						     { nullptr, URGE_RECV, nullptr, 0 } };
			urge_sem sem;

			urge_sem_init(&sem, 0);
			EXPECT_EQ(-ECANCELED, cut_short(0, [] { return urge_sleep(far); }));
			EXPECT_EQ(-EIO, cut_short(-EIO, [] {
				return urge_sleep_until(urge_now() + far);
			}));
			EXPECT_EQ(-EIO, cut_short(-EIO, [=] { return urge_recv(empty, nullptr); }));
			EXPECT_EQ(-EIO, cut_short(-EIO, [=] { return urge_send(empty, nullptr); }));
			EXPECT_EQ(-EIO,
				  cut_short(-EIO, [] { return urge_recv(nullptr, nullptr); }));
			EXPECT_EQ(-EIO, cut_short(-EIO, [=] {
				return urge_recv_until(empty, nullptr, urge_now() + far);
			}));
			EXPECT_EQ(-EIO, cut_short(-EIO, [&] { return urge_select(cases, 2); }));
			EXPECT_EQ(-EIO, cut_short(-EIO, [] { return urge_select(nullptr, 0); }));
			EXPECT_EQ(-EIO, cut_short(-EIO, [&] { return urge_sem_acquire(&sem); }));
			EXPECT_EQ(INT64_MAX, timers_earliest());
			urge_chan_free(empty);
			return 0;
		}));
}

TEST(CtxBind, WhatNeedsNoWaitIsDone)
{
	EXPECT_EQ(0, run_main([] {
			  urge_chan *chan = urge_chan_make(0, 1);
			  urge_ctx *ctx = new_ctx();

			  urge_ctx_cancel(ctx, -EIO);
			  EXPECT_EQ(0, urge_ctx_bind(ctx));
			  EXPECT_EQ(0, urge_send(chan, nullptr));
			  EXPECT_EQ(-EIO, urge_send(chan, nullptr));
			  EXPECT_EQ(0, urge_recv(chan, nullptr));
			  EXPECT_EQ(-EIO, urge_recv_until(chan, nullptr, urge_now() + far));
			  EXPECT_EQ(-EAGAIN, urge_try_recv(chan, nullptr));
			  EXPECT_EQ(0, urge_sleep(0));
			  EXPECT_EQ(-EIO, urge_sleep(URGE_S));
			  EXPECT_EQ(0, urge_ctx_bind(urge_ctx_background()));
			  EXPECT_EQ(0, urge_sleep(1));
			  EXPECT_EQ(-ETIMEDOUT, urge_recv_until(chan, nullptr, urge_now() + 1));
			  urge_ctx_release(ctx);
			  urge_chan_free(chan);
			  return 0;
		  }));
}

TEST(CtxBind, DeadlineOfTheContextEndsAWait)
{
	EXPECT_EQ(0, run_main([] {
			  int64_t deadline = urge_now() + 20 * URGE_MS;
			  urge_ctx *ctx = urge_ctx_with_deadline(urge_ctx_background(), deadline);

			  EXPECT_EQ(0, urge_ctx_bind(ctx));
			  urge_ctx_release(ctx); /* the binding keeps it */
			  EXPECT_EQ(-ETIMEDOUT, urge_recv(nullptr, nullptr));
			  EXPECT_LE(deadline, urge_now());
			  EXPECT_EQ(-ETIMEDOUT, urge_sleep(URGE_S));
			  EXPECT_EQ(0, urge_ctx_bind(nullptr));
			  EXPECT_EQ(0, urge_sleep(1));
			  return 0;
		  }));
}

TEST(CtxBind, OwnDeadlinesCountBesidesTheContext)
{
	EXPECT_EQ(0, run_main([] {
			  urge_ctx *ctx =
				  urge_ctx_with_deadline(urge_ctx_background(), urge_now() + far);
			  int64_t start = urge_now();

			  EXPECT_EQ(0, urge_ctx_bind(ctx));
			  EXPECT_EQ(0, urge_sleep(5 * URGE_MS));
			  EXPECT_LE(start + 5 * URGE_MS, urge_now());
			  EXPECT_EQ(-ETIMEDOUT,
				    urge_recv_until(nullptr, nullptr, urge_now() + URGE_MS));
			  EXPECT_EQ(0, urge_ctx_bind(nullptr));
			  urge_ctx_release(ctx);
			  return 0;
		  }));
}

TEST(CtxBind, IsNotInherited)
{
	EXPECT_EQ(0, run_main([] {
			  static std::atomic<int> result;
			  urge_ctx *ctx = new_ctx();

			  result = 1;
			  EXPECT_EQ(0, urge_ctx_bind(ctx));
			  EXPECT_EQ(0, go([] { result = urge_sleep(URGE_MS); }));
			  urge_ctx_cancel(ctx, 0);
			  EXPECT_EQ(0, urge_ctx_bind(nullptr));
			  urge_ctx_release(ctx);
			  EXPECT_TRUE(eventually([] { return result != 1; }));
			  EXPECT_EQ(0, result);
			  return 0;
		  }));
}

TEST(CtxBind, IsForGoroutines)
{
	urge_ctx *ctx = new_ctx();

	EXPECT_EQ(-EPERM, urge_ctx_bind(ctx));
	EXPECT_EQ(-EPERM, urge_ctx_bind(nullptr));
	urge_ctx_release(ctx);
}

TEST(CtxBind, AThreadOfTheProgramMayCancel)
{
	EXPECT_EQ(0, run_main([] {
			  urge_ctx *ctx = new_ctx();
			  std::thread outside([=] {
				  usleep(1000);
				  urge_ctx_cancel(ctx, -EIO);
			  });

			  EXPECT_EQ(0, urge_ctx_bind(ctx));
			  urge_external_begin();
			  EXPECT_EQ(-EIO, urge_recv(nullptr, nullptr));
			  urge_external_end();
			  outside.join();
			  urge_ctx_release(ctx);
			  EXPECT_EQ(0, urge_ctx_bind(nullptr));
			  return 0;
		  }));
}

/* The goroutines of a world that has ended are bound no more, and their references are given back. */
TEST(CtxBind, EndsWithTheWorld)
{
	static urge_ctx *parent, *child, *live;

	for (int round = 0; round < 3; round++) {
		parent = new_ctx();
		child = urge_ctx_with_cancel(parent);
		live = new_ctx();
		EXPECT_EQ(0, run_main([] {
				  static std::atomic<int> bound;

				  bound = 0;
				  for (int i = 0; i < 50; i++)
					  EXPECT_EQ(0, go([i] {
							    urge_ctx_bind(i % 2 ? child : live);
							    bound++;
							    urge_sleep(far);
						    }));
				  EXPECT_EQ(0, urge_ctx_bind(parent));
				  EXPECT_TRUE(eventually([] { return bound == 50; }));
				  return 0;
			  }));
		urge_ctx_cancel(live, -EIO);
		EXPECT_EQ(0, run_main([] {
				  EXPECT_EQ(0, urge_ctx_bind(child));
				  urge_ctx_cancel(parent, -EIO);
				  EXPECT_EQ(-EIO, urge_sleep(far));
				  EXPECT_EQ(0, urge_ctx_bind(live));
				  EXPECT_EQ(-EIO, urge_sleep(far));
				  return 0;
			  }));
		urge_ctx_release(parent);
		urge_ctx_release(child);
		urge_ctx_release(live);
	}
}

TEST(Ctx, LeavesNoMemoryBehind)
{
	if (sanitized())
		GTEST_SKIP() << "the sanitizer's malloc keeps no account";
	Outcome outcome = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  size_t before = 0;

				  for (int i = 0; i < 20000; i++) {
					  static urge_ctx *parent, *child;
					  static std::atomic<bool> over;

					  parent = urge_ctx_with_deadline(urge_ctx_background(),
									  urge_now() + far);
					  child = urge_ctx_with_cancel(parent);
					  urge_ctx_done(i % 2 ? child : parent);
					  over = false;
					  EXPECT_EQ(0,
						    urge_go(
							    [](void *rebind) {
								    urge_ctx_bind(child);
								    if (rebind)
									    urge_ctx_bind(parent);
								    over = true;
								    urge_goexit();
							    },
							    i % 3 ? &over : nullptr));
					  while (!over)
						  urge_yield();
					  urge_ctx_release(parent);
					  urge_ctx_release(child);
					  if (i == 1000)
						  before = mallinfo2().uordblks;
				  }
				  EXPECT_TRUE(eventually([] { return urge_num_goroutine() == 1; }));
				  EXPECT_LT(mallinfo2().uordblks, before + 100000);
				  EXPECT_EQ(INT64_MAX, timers_earliest());
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
}

/* ---- many at once -------------------------------------------------------------------------- */

TEST(Ctx, ManyMayCancelMakeAndReleaseAtOnce)
{
	Outcome outcome = in_child([] {
		uint64_t seed = test_seed();

		EXPECT_EQ(
			0, run_main([&] {
				const int workers = 4;
				std::atomic<int> left{ workers };
				std::atomic<bool> over{ false };
				urge_ctx *top = new_ctx();

				urge_gomaxprocs(2);
				std::thread outside([&] {
					while (!over) {
						urge_ctx *ctx = urge_ctx_with_cancel(top);

						urge_ctx_cancel(ctx, 0);
						urge_ctx_release(ctx);
					}
				});
				for (int i = 0; i < workers; i++)
					EXPECT_EQ(
						0, go([&, i] {
							Random random(seed + (uint64_t)i);

							for (int n = 0; n < 2000; n++) {
								std::vector<urge_ctx *> line = {
									urge_ctx_with_cancel(top)
								};

								for (uint32_t d = random.below(20);
								     d > 0; d--)
									line.push_back(urge_ctx_with_deadline(
										line.back(),
										urge_now() +
											random.below(
												100000)));
								urge_ctx_bind(line.back());
								urge_ctx_cancel(
									line[random.below(
										(uint32_t)line
											.size())],
									-EIO);
								EXPECT_NE(0, urge_ctx_err(
										     line.back()));
								EXPECT_NE(0, urge_sleep(far));
								urge_ctx_bind(nullptr);
								EXPECT_EQ(0, urge_sleep(1));
								EXPECT_EQ(0, urge_ctx_err(top));
								for (urge_ctx *ctx : line)
									urge_ctx_release(ctx);
							}
							left--;
						}));
				EXPECT_TRUE(eventually([&] { return left == 0; }, 50 * URGE_S));
				over = true;
				outside.join();
				urge_ctx_release(top);
				EXPECT_EQ(INT64_MAX, timers_earliest());
				return 0;
			}));
	});

	EXPECT_EXITED(0, outcome);
}

/*
 * Senders, own deadlines and cancellations end the waits of bound receivers, in all orders: what
 * was sent is received, once, and nobody waits on after a cancellation.
 */
TEST(CtxBind, WaitsEndOnceWhenAllRace)
{
	Outcome outcome = in_child([] {
		uint64_t seed = test_seed();

		EXPECT_EQ(
			0, run_main([&] {
				const int receivers = 6, rounds = 400;
				static std::atomic<int> left, received, sent, cut, late;
				urge_chan *chan = urge_chan_make(0, 0);

				urge_gomaxprocs(2);
				received = sent = cut = late = 0;
				for (int round = 0; round < rounds; round++) {
					urge_ctx *ctx = new_ctx();

					left = receivers;
					for (int i = 0; i < receivers; i++)
						EXPECT_EQ(
							0, go([=] {
								Random random(
									seed +
									(uint64_t)(round * receivers +
										   i));
								int err;

								urge_ctx_bind(ctx);
								do {
									int64_t deadline =
										random.below(2)
											? URGE_FOREVER
											: urge_now() +
												  random.below(
													  20000);

									err = urge_recv_until(
										chan, nullptr,
										deadline);
									received += err == 0;
									late += err == -ETIMEDOUT;
								} while (err != -EIO);
								cut++;
								left--;
							}));
					Random random(seed + (uint64_t)round);

					for (uint32_t n = random.below(40); n > 0; n--) {
						if (urge_send_until(
							    chan, nullptr,
							    urge_now() + random.below(10000)) == 0)
							sent++;
						else
							urge_yield();
					}
					urge_ctx_cancel(ctx, -EIO);
					EXPECT_TRUE(eventually([] { return left == 0; }));
					urge_ctx_release(ctx);
				}
				EXPECT_EQ(sent, received);
				EXPECT_EQ(receivers * rounds, cut);
				EXPECT_LT(0, received);
				EXPECT_LT(0, late);
				EXPECT_EQ(INT64_MAX, timers_earliest());
				urge_chan_free(chan);
				return 0;
			}));
	});

	EXPECT_EXITED(0, outcome);
}
