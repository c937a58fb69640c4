/* SPDX-License-Identifier: MIT */
/* Pages of the table of poll descriptors: given back when all in them are unused, and only then. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <thread>

extern "C" {
#include "sched/polldesc.h"
}

namespace
{

constexpr int PAGE_DESCS = 4096 / sizeof(struct polldesc);

/* The first number of a page, above what the process has open, and below the runtime's own. */
int first_number()
{
	return 4 * PAGE_DESCS;
}

/* Nobody uses, or drops, anything in this page. */
bool is_untouched(int first)
{
	for (int fd = first; fd < first + PAGE_DESCS; fd++)
		if (load_rlx_u32(&polldescs[fd].life) || load_rlx_u32(&polldescs[fd].lock.state))
			return false;
	return true;
}

bool is_resident(int fd)
{
	unsigned char there = 0;

	EXPECT_EQ(0, mincore((void *)((uintptr_t)&polldescs[fd] & -vm_page_size()), vm_page_size(),
			     &there));
	return there & 1;
}

/* A pair of sockets with these numbers. */
void pair_at(int a, int b)
{
	int fd[2];

	EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	EXPECT_EQ(a, dup2(fd[0], a));
	EXPECT_EQ(b, dup2(fd[1], b));
	close(fd[0]);
	close(fd[1]);
}

void talk(int a, int b)
{
	char byte = (char)a, got = 0;

	EXPECT_EQ(1, urge_write(a, &byte, 1));
	EXPECT_EQ(1, urge_read_until(b, &got, 1, urge_now() + 30 * URGE_S));
	EXPECT_EQ(byte, got);
}

/* Opens, uses and closes a pair; an event of a, which is late from now on. */
uint64_t event_of_former(int a, int b)
{
	uint64_t event;

	pair_at(a, b);
	talk(a, b);
	event = (uint64_t)polldescs[a].generation << 32 | (uint32_t)a;
	EXPECT_EQ(0, urge_close(a));
	EXPECT_EQ(0, urge_close(b));
	return event;
}

/* As the template thread would, which is no M. */
void reclaim()
{
	std::thread([] { pollpages_reclaim(); }).join();
}

struct Pollpage : testing::Test {
	void SetUp() override
	{
		reclaim_period = 100 * URGE_MS;
		if (vm_page_size() != 4096)
			GTEST_SKIP() << "pages are larger: there are other descriptors in them";
	}
};

} // namespace

TEST_F(Pollpage, ComesBackByItselfWhenAllAreClosed)
{
	EXPECT_EQ(0, run_main([] {
			  int a = first_number(), b = a + 1;

			  for (int i = 0; i < 3; i++) {
				  pair_at(a, b);
				  talk(a, b);
				  EXPECT_TRUE(is_resident(a));
				  EXPECT_EQ(0, urge_close(a));
				  EXPECT_EQ(0, urge_close(b));
				  EXPECT_TRUE(eventually([=] { return !is_resident(a); }));
			  }
			  return 0;
		  }));
}

TEST_F(Pollpage, StaysWhileOneIsInUse)
{
	EXPECT_EQ(0, run_main([] {
			  int a = first_number(), b = a + 1, c = a + 2, d = a + 3;
			  urge_waitgroup served = {};

			  pair_at(a, b);
			  pair_at(c, d);
			  talk(c, d);
			  urge_waitgroup_add(&served, 1);
			  EXPECT_EQ(0, go([&] { /* a waits, and nobody has touched b yet */
						char byte = 0;

						EXPECT_EQ(1, urge_read(a, &byte, 1));
						EXPECT_EQ('x', byte);
						urge_waitgroup_done(&served);
				    }));
			  EXPECT_TRUE(eventually([] { return pollwaiters() == 1; }));
			  EXPECT_EQ(0, urge_close(c));
			  EXPECT_EQ(0, urge_close(d));
			  reclaim();
			  EXPECT_TRUE(is_resident(a));
			  EXPECT_EQ(0u, load_rlx_u32(&polldescs[c].life));
			  EXPECT_EQ(1, urge_write(b, "x", 1));
			  urge_waitgroup_wait(&served);
			  EXPECT_EQ(0, urge_close(a));
			  reclaim();
			  EXPECT_TRUE(is_resident(b));
			  EXPECT_EQ(0, urge_close(b));
			  EXPECT_TRUE(eventually([=] {
				  reclaim();
				  return !is_resident(b);
			  }));
			  return 0;
		  }));
}

TEST_F(Pollpage, RefusesEventsFromBefore)
{
	EXPECT_EQ(0, run_main([] {
			  int a = first_number(), b = a + 1;
			  struct polldesc *pd = &polldescs[a];
			  struct gqueue q = { nullptr, nullptr };

			  uint64_t late = event_of_former(a, b);

			  reclaim();
			  EXPECT_EQ(0u, pollready(late, EPOLLIN | EPOLLHUP, &q));
			  reclaim();
			  for (int i = 0; i < 3; i++) {
				  uint32_t seq;

				  pair_at(a, b);
				  talk(a, b);
				  EXPECT_LT(late >> 32, pd->generation);
				  seq = load_rlx_u32(&pd->rseq);
				  EXPECT_EQ(0u, pollready(late, EPOLLIN | EPOLLHUP, &q));
				  EXPECT_EQ(seq, load_rlx_u32(&pd->rseq));
				  EXPECT_EQ(0u, load_rlx_u32(&pd->odd));
				  EXPECT_EQ(0, urge_close(a));
				  EXPECT_EQ(0, urge_close(b));
				  reclaim();
				  EXPECT_EQ(0u, pd->generation);
			  }
			  return 0;
		  }));
}

/* An event or the last step of a call that comes after the drop brings the page back, for once. */
TEST_F(Pollpage, GoesAgainWhenTouchedLate)
{
	EXPECT_EQ(0, run_main([] {
			  int a = first_number(), b = a + 1;
			  struct polldesc *pd = &polldescs[a];
			  struct gqueue q = { nullptr, nullptr };

			  uint64_t late = event_of_former(a, b);

			  EXPECT_TRUE(eventually([=] { return !is_resident(a); }));
			  EXPECT_EQ(0u, pollready(late, EPOLLIN | EPOLLHUP, &q));
			  EXPECT_TRUE(is_resident(a));
			  EXPECT_TRUE(eventually([=] { return !is_resident(a); }));
			  fdput_last(pd);
			  EXPECT_TRUE(is_resident(a));
			  EXPECT_TRUE(eventually([=] { return !is_resident(a); }));
			  return 0;
		  }));
}

TEST_F(Pollpage, StaysWhileSomebodyHasALockOrWaits)
{
	EXPECT_EQ(0, run_main([] {
			  int first = first_number();
			  struct polldesc *pd = &polldescs[first + PAGE_DESCS - 1];
			  struct list_node waiter;

			  store_rlx_u32(&pd->lock.state, 1);
			  pair_at(first, first + 1);
			  talk(first, first + 1);
			  EXPECT_EQ(0, urge_close(first));
			  EXPECT_EQ(0, urge_close(first + 1));
			  std::thread([] { EXPECT_TRUE(pollpages_reclaim()); }).join();
			  list_init(&pd->waiters);
			  list_add(&pd->waiters, &waiter);
			  store_rlx_u32(&pd->lock.state, 0);
			  std::thread([] { EXPECT_TRUE(pollpages_reclaim()); }).join();
			  EXPECT_TRUE(eventually([=] { return is_untouched(first); }));
			  EXPECT_TRUE(is_resident(first));
			  list_del(&waiter);
			  EXPECT_TRUE(eventually([=] {
				  reclaim();
				  return !is_resident(first);
			  }));
			  return 0;
		  }));
}

/* The steps of a drop by hand, with calls in between that touch what is about to go. */
TEST_F(Pollpage, CallsBeginAgainWhenItIsGone)
{
	EXPECT_EQ(0, run_main([] {
			  int first = first_number();
			  struct polldesc *page = &polldescs[first];
			  urge_waitgroup calls = {};

			  urge_gomaxprocs(4);
			  for (int i = 0; i < PAGE_DESCS; i++) {
				  store_rlx_u32(&page[i].lock.state, 1);
				  store_rel_u32(&page[i].life, PD_DROPPED);
			  }
			  urge_waitgroup_add(&calls, 2);
			  go([&] {
				  char byte;

				  EXPECT_EQ(-EBADF, urge_read(first + 5, &byte, 1));
				  urge_waitgroup_done(&calls);
			  });
			  go([&] {
				  EXPECT_EQ(-EBADF, urge_close(first + 6));
				  urge_waitgroup_done(&calls);
			  });
			  /* both sleep before a lock */
			  EXPECT_TRUE(eventually([=] {
				  return load_rlx_u32(&page[5].life) == PD_DROPPED + 1 &&
					 load_rlx_u32(&page[6].life) == (PD_DROPPED | PD_CLOSING) &&
					 load_rlx_u32(&page[5].lock.state) == 2 &&
					 load_rlx_u32(&page[6].lock.state) == 2;
			  }));
			  EXPECT_EQ(0, vm_dontneed(page, vm_page_size()));
			  for (int i = 0; i < PAGE_DESCS; i++)
				  unlock_slow(&page[i].lock);
			  urge_waitgroup_wait(&calls);
			  EXPECT_TRUE(eventually([=] { return is_untouched(first); }));
			  return 0;
		  }));
}

/*
 * Pairs are opened, used and closed while others try numbers that are closed, events come late, and
 * the page is dropped whenever it can be: no count, lock or waiter is lost with it, and who came
 * last, perhaps after a drop, does not keep it.
 */
TEST_F(Pollpage, GoesWhileOthersTouchIt)
{
	static std::atomic<bool> over;
	static std::atomic<int> fresh, refused;

	over = false;
	fresh = refused = 0;
	EXPECT_EQ(0, run_main([] {
			  enum { PAIRS = 2, STRANGERS = 3 };
			  int first = first_number();
			  int64_t deadline = urge_now() + 30 * URGE_S;
			  urge_waitgroup pairs = {}, strangers = {};
			  std::thread dropper([] {
				  while (!over)
					  pollpages_reclaim();
			  });
			  std::thread late([=] {
				  struct gqueue q = { nullptr, nullptr };

				  for (uint64_t i = 0; !over; i++)
					  pollready(UINT64_C(0xfffffff0) << 32 | (first + i % 8),
						    EPOLLIN, &q);
			  });

			  urge_gomaxprocs(4);
			  urge_waitgroup_add(&pairs, PAIRS);
			  urge_waitgroup_add(&strangers, STRANGERS);
			  for (int p = 0; p < PAIRS; p++)
				  go([=, &pairs] {
					  int a = first + 2 * p, b = a + 1;

					  for (int i = 0; fresh < 500 && urge_now() < deadline;
					       i++) {
						  pair_at(a, b);
						  fresh += load_rlx_u32(&polldescs[a].rseq) == 0;
						  talk(a, b);
						  talk(b, a);
						  EXPECT_EQ(0, urge_close(a));
						  EXPECT_EQ(0, urge_close(b));
						  if (i % 4 == p)
							  urge_sleep(20 * URGE_US);
					  }
					  urge_waitgroup_done(&pairs);
				  });
			  for (int s = 0; s < STRANGERS; s++)
				  go([=, &strangers] {
					  char byte;

					  for (int i = 0; !over; i++) {
						  int closed = first + 2 * PAIRS + i % 4;

						  EXPECT_EQ(-EBADF,
							    i % 3 ? urge_read(closed, &byte, 1)
								  : urge_close(closed));
						  refused++;
						  /* perhaps while it is being closed */
						  urge_read_until(first + i % (2 * PAIRS), &byte, 0,
								  0);
						  urge_yield();
					  }
					  urge_waitgroup_done(&strangers);
				  });
			  urge_waitgroup_wait(&pairs);
			  over = true;
			  urge_waitgroup_wait(&strangers);
			  dropper.join();
			  late.join();
			  EXPECT_TRUE(eventually(
				  [=] { /* without a look at it, which would bring it back */
					reclaim();
					return !is_resident(first);
				  }));
			  EXPECT_TRUE(is_untouched(first));
			  return 0;
		  }));
	printf("%d times a new page, %d calls refused\n", (int)fresh, (int)refused);
	EXPECT_GT(fresh, 0);
}
