/* SPDX-License-Identifier: MIT */
/* The global run queue of one node: its two lines, and how they take turns. */
#include "tests/unit/internals.h"
#include <deque>
#include <gtest/gtest.h>
#include <memory>
#include <vector>

class Globq : public testing::Test
{
protected:
	void TearDown() override
	{
		while (take() >= 0)
			;
	}

	/* The next one comes, with the number that is returned. */
	int come(bool woken)
	{
		struct gqueue q = { NULL, NULL };

		all.emplace_back();
		gqueue_push(&q, &all.back());
		(woken ? globrunqputwoken : globrunqputbatch)(&q, 1);
		return (int)all.size() - 1;
	}
	std::vector<int> come(bool woken, int n)
	{
		std::vector<int> numbers;

		while (n-- > 0)
			numbers.push_back(come(woken));
		return numbers;
	}

	int number(const struct g *gp)
	{
		for (size_t i = 0; gp && i < all.size(); i++)
			if (&all[i] == gp)
				return (int)i;
		return -1;
	}

	/* Which one a P gets, -1: none. More than one: the others are in its ring. */
	int take(uint32_t max = 1)
	{
		struct g *gp;

		lock(&sched.lock);
		gp = globrunqget(pp.get(), 0, max);
		unlock(&sched.lock);
		return number(gp);
	}
	int next_in_ring()
	{
		bool inherit;

		return number(runqget(pp.get(), true, &inherit));
	}

	std::deque<struct g> all;
	std::unique_ptr<struct p> pp = std::make_unique<struct p>();
};

TEST_F(Globq, EachLineIsServedInOrderAndTheTwoInTurn)
{
	std::vector<int> others = come(false, 4), woken = come(true, 4), order;

	EXPECT_EQ(8u, globqsize());
	for (int i = 0; i < 8; i++)
		order.push_back(take());
	for (int first = 0; first < 8; first += 2) {
		size_t i = (size_t)first / 2;

		EXPECT_TRUE(
			(order[(size_t)first] == woken[i] &&
			 order[(size_t)first + 1] == others[i]) ||
			(order[(size_t)first] == others[i] && order[(size_t)first + 1] == woken[i]))
			<< i;
	}
	EXPECT_EQ(0u, globqsize());
	EXPECT_EQ(-1, take());
}

TEST_F(Globq, ALineAloneIsServedWhoeverWasLast)
{
	for (bool woken : { true, true, false, false, true }) {
		for (int number : come(woken, 3))
			EXPECT_EQ(number, take());
		EXPECT_EQ(0u, globqsize());
		EXPECT_EQ(-1, take());
	}
}

/* However many come to the other line meanwhile: the k-th is taken after 2 k takes at the latest. */
TEST_F(Globq, NeitherLineStarvesTheOther)
{
	for (bool woken : { true, false }) {
		const int n = 20;
		std::vector<int> patient = come(woken, n);
		int takes = 0;

		for (int k = 0; k < n; k++) {
			int got;

			do {
				come(!woken, 2);
				got = take();
				takes++;
			} while (got != patient[(size_t)k] && takes < 2 * n + 2);
			EXPECT_LE(takes, 2 * (k + 1)) << woken << " " << k;
		}
		TearDown();
	}
}

TEST_F(Globq, ABatchIsOfBothLines)
{
	std::vector<int> others = come(false, 3), woken = come(true, 5);
	std::vector<int> got = { take(RUNQ_SIZE) }; /* no GOMAXPROCS: it is nobody else's */

	EXPECT_EQ(0u, globqsize());
	for (int number; (number = next_in_ring()) >= 0;)
		got.push_back(number);
	EXPECT_EQ(8u, got.size());
	for (int i = 0; i < 6; i += 2)
		EXPECT_NE(got[(size_t)i] < 3, got[(size_t)i + 1] < 3) << i;
	EXPECT_EQ(woken[3], got[6]);
	EXPECT_EQ(woken[4], got[7]);
}
