/* SPDX-License-Identifier: MIT */
/*
 * Channels and select under stress: everybody does what chance says, plainly, by try, with a
 * deadline or in a select of several channels, some threads of the program's own among them, while
 * channels are closed. Each element that was sent without an error is received exactly once; who
 * waits is woken. In a child, which prints all goroutines when its time is over.
 */
#include "tests/stress/storm.h"
#include "tests/unit/chans.h"
#include <atomic>
#include <thread>

static const int64_t slice = 50 * URGE_US;

enum { CHANS = 6, SENDERS = 12, RECEIVERS = 12, EACH = 1500 };

/* What all share: channels of several capacities, and what has become of each element. */
struct Storm {
	explicit Storm(uint64_t seed_) : seed(seed_), state(SENDERS * EACH) {}

	Chan<int> chan[CHANS] = { Chan<int>(0), Chan<int>(0), Chan<int>(1),
				  Chan<int>(2), Chan<int>(7), Chan<int>(64) };
	uint64_t seed;
	std::vector<std::atomic<int>> state; /* received so many times; -1: not sent */
	urge_waitgroup senders = {}, receivers = {};

	void receive(int element) { EXPECT_EQ(1, ++state[(size_t)element]); }

	/* One element by the way that chance chooses. False: it was not sent. */
	bool send(Random &random, int element)
	{
		int v = element;

		for (;;) {
			urge_chan *c = chan[random.below(CHANS)], *d = chan[random.below(CHANS)];
			struct urge_case cases[3] = { { c, URGE_SEND, &v, 9 },
						      { d, URGE_SEND, &v, 9 },
						      { nullptr, URGE_RECV, nullptr, 9 } };
			int err = -EAGAIN, went;

			switch (random.below(5)) {
			case 0:
				err = urge_send(c, &v);
				break;
			case 1:
				err = urge_try_send(c, &v);
				break;
			case 2:
				err = urge_send_until(c, &v,
						      urge_now() + random.below(50) * URGE_US);
				break;
			case 3:
				went = urge_select(cases, 3);
				EXPECT_LE(0, went);
				err = cases[went].result;
				break;
			default:
				went = urge_select_until(cases, 3,
							 urge_now() + random.below(50) * URGE_US);
				err = went < 0 ? went : cases[went].result;
			}
			if (err == 0 || err == -EPIPE)
				return err == 0;
			if (random.below(4) == 0)
				urge_yield();
		}
	}

	/* Until all channels are closed and empty. */
	void receive_all(Random &random)
	{
		bool over[CHANS] = {};
		size_t left = CHANS;

		while (left > 0) {
			struct urge_case cases[CHANS];
			size_t n = 0, i;
			int v = -1, err, went;

			do
				i = random.below(CHANS);
			while (over[i]);
			switch (random.below(4)) {
			case 0:
				err = urge_recv_until(chan[i], &v,
						      urge_now() + random.below(50) * URGE_US);
				break;
			case 1:
				err = urge_try_recv(chan[i], &v);
				break;
			default: /* all that are open, as the others can't be waited for alone */
				for (size_t k = 0; k < CHANS; k++)
					if (!over[k])
						cases[n++] = { chan[k], URGE_RECV, &v, 9 };
				went = urge_select(cases, n);
				EXPECT_LE(0, went);
				err = cases[went].result;
				for (i = 0; chan[i].c != cases[went].chan; i++)
					;
			}
			if (err == 0) {
				receive(v);
			} else if (err == -EPIPE) {
				over[i] = true;
				left--;
			} else if (random.below(4) == 0) {
				urge_yield();
			}
		}
	}

	void run(bool close_early)
	{
		urge_waitgroup_add(&senders, SENDERS);
		urge_waitgroup_add(&receivers, RECEIVERS);
		for (int s = 0; s < SENDERS; s++)
			EXPECT_EQ(0, go([this, s] {
					  Random random(seed + (uint64_t)s);

					  for (int i = 0; i < EACH; i++)
						  if (!send(random, s * EACH + i))
							  state[(size_t)(s * EACH + i)] = -1;
					  urge_waitgroup_done(&senders);
				  }));
		for (int r = 0; r < RECEIVERS; r++)
			EXPECT_EQ(0, go([this, r] {
					  Random random(seed + 1000 + (uint64_t)r);

					  receive_all(random);
					  urge_waitgroup_done(&receivers);
				  }));
		if (close_early)
			urge_sleep(3 * URGE_MS);
		else
			urge_waitgroup_wait(&senders);
		for (auto &c : chan)
			urge_close_chan(c);
		urge_waitgroup_wait(&senders);
		urge_waitgroup_wait(&receivers);
		for (auto &c : chan)
			EXPECT_EQ(0u, waiters(c));
		size_t lost = 0;

		for (auto &times : state)
			lost += times == 0;
		EXPECT_EQ(0u, lost);
	}
};

TEST(ChanStress, EachElementArrivesExactlyOnce)
{
	storm_at_each_gomaxprocs([](uint64_t seed) { Storm(seed).run(false); }, slice);
}

TEST(ChanStress, CloseLosesNothingThatWasSent)
{
	storm_at_each_gomaxprocs(
		[](uint64_t seed) {
			for (uint64_t i = 0; i < 5; i++)
				Storm(seed + i).run(true);
		},
		slice);
}

/* Goroutines that are never ready alone: pairs of selects in both directions on shared channels. */
TEST(ChanStress, SelectsMeetSelects)
{
	storm_at_each_gomaxprocs(
		[](uint64_t seed) {
			enum { PLAYERS = 8, ROUNDS = 2000 };
			Chan<int> c[3];
			std::atomic<int> sent{ 0 }, received{ 0 }, playing{ PLAYERS };
			urge_waitgroup all = {};

			urge_waitgroup_add(&all, PLAYERS);
			for (int p = 0; p < PLAYERS; p++)
				EXPECT_EQ(0, go([&, p] {
						  Random random(seed + (uint64_t)p);

						  for (int i = 0; i < ROUNDS && playing == PLAYERS;
						       i++) {
							  int out = p, in = -1;
							  struct urge_case cases[6];
							  int went;

							  for (size_t k = 0; k < 6; k++)
								  cases[k] = { c[random.below(3)],
									       k % 2 ? URGE_SEND
										     : URGE_RECV,
									       k % 2 ? &out : &in,
									       9 };
							  /* all the others may wait for something else */
							  went = urge_select_until(
								  cases, 6,
								  urge_now() + 2 * URGE_MS);
							  if (went < 0) {
								  EXPECT_EQ(-ETIMEDOUT, went);
								  continue;
							  }
							  EXPECT_EQ(0, cases[went].result);
							  if (went % 2) {
								  sent++;
							  } else {
								  EXPECT_NE(p, in);
								  received++;
							  }
						  }
						  playing--;
						  urge_waitgroup_done(&all);
					  }));
			urge_waitgroup_wait(&all);
			EXPECT_EQ(sent, received);
			EXPECT_LT(0, sent);
		},
		slice);
}

/* Channels that belong to the only P, threads that take them away, and more Ps that come. */
TEST(ChanStress, OwnedChannelsAreRevoked)
{
	uint64_t seed = test_seed();
	Outcome outcome = in_child(
		[=] {
			run_main([=] {
				Random random(seed);

				urge_external_begin();
				for (int round = 0; round < 60; round++) {
					enum { ELEMENTS = 2000 };
					std::atomic<long> sum{ 0 };

					urge_gomaxprocs(1);
					Chan<int> c(random.below(3)), over;

					EXPECT_EQ(0, go([&] {
							  for (int i = 1; i <= ELEMENTS; i++)
								  EXPECT_EQ(0, c.send(i));
							  urge_close_chan(c);
						  }));
					EXPECT_EQ(0, go([&] {
							  for (int v; c.recv(&v);)
								  sum += v;
							  over.send(1);
						  }));
					std::thread thread([&, spins = random.below(20000)] {
						int v, err;

						for (volatile uint32_t i = 0; i < spins; i = i + 1)
							;
						while ((err = urge_try_recv(c, &v)) != -EPIPE)
							if (err == 0)
								sum += v;
					});
					if (round % 2)
						urge_gomaxprocs(3);
					over.recv();
					thread.join();
					EXPECT_EQ(ELEMENTS * (ELEMENTS + 1L) / 2, sum);
				}
				urge_external_end();
				return 0;
			});
		},
		storm_limit);

	EXPECT_EXITED(0, outcome);
}
