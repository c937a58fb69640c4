/* SPDX-License-Identifier: MIT */
/* Signals as elements of channels. */
#include "tests/unit/child.h"
#include <atomic>
#include <thread>

namespace
{

std::atomic<int> handled;

void own_handler(int)
{
	handled++;
}

int64_t in_ms(int64_t ms)
{
	return urge_now() + ms * URGE_MS;
}

urge_chan *notified(std::vector<int> signals, size_t room = 1)
{
	urge_chan *c = urge_chan_make(sizeof(int), room);

	EXPECT_EQ(0, urge_signal_notify(c, signals.data(), signals.size()));
	return c;
}

void done(urge_chan *c)
{
	EXPECT_EQ(0, urge_signal_stop(c));
	urge_chan_free(c);
}

} // namespace

TEST(Signal, ArrivesAsAnElement)
{
	EXPECT_EQ(0, run_main([] {
			  urge_chan *c = notified({ SIGTERM, SIGUSR1 });
			  int got = 0;

			  for (int signo : { SIGTERM, SIGUSR1, SIGTERM }) {
				  /* from a thread, when nobody looks */
				  std::thread([=] { kill(getpid(), signo); }).detach();
				  EXPECT_EQ(0, urge_recv_until(c, &got, in_ms(30000)));
				  EXPECT_EQ(signo, got);
			  }
			  EXPECT_EQ(-ETIMEDOUT, urge_recv_until(c, &got, in_ms(5)));
			  done(c);
			  return 0;
		  }));
}

TEST(Signal, EveryChannelThatAskedGetsIt)
{
	EXPECT_EQ(0, run_main([] {
			  urge_chan *a = notified({ SIGUSR1 }), *b = notified({ SIGUSR1, SIGUSR2 });
			  int got;

			  EXPECT_EQ(0, raise(SIGUSR1));
			  EXPECT_EQ(0, urge_recv_until(a, &got, in_ms(30000)));
			  EXPECT_EQ(0, urge_recv_until(b, &got, in_ms(30000)));
			  done(a);
			  EXPECT_EQ(0, raise(SIGUSR1));
			  EXPECT_EQ(0, urge_recv_until(b, &got, in_ms(30000)));
			  /* a full channel misses it, nobody waits */
			  for (int i = 0; i < 3; i++) {
				  EXPECT_EQ(0, raise(SIGUSR2));
				  urge_sleep(5 * URGE_MS);
			  }
			  EXPECT_EQ(0, urge_recv_until(b, &got, in_ms(30000)));
			  EXPECT_EQ(SIGUSR2, got);
			  EXPECT_EQ(-EAGAIN, urge_recv_until(b, &got, 0));
			  done(b);
			  return 0;
		  }));
}

TEST(Signal, FormerHandlersComeBack)
{
	signal(SIGUSR1, own_handler);
	for (bool stop : { true, false }) {
		EXPECT_EQ(0, run_main([=] {
				  urge_chan *c = notified({ SIGUSR1 });

				  handled = 0;
				  EXPECT_EQ(0, raise(SIGUSR1));
				  EXPECT_EQ(0, urge_recv_until(c, nullptr, in_ms(30000)));
				  EXPECT_EQ(0, handled);
				  if (stop) {
					  done(c);
					  EXPECT_EQ(0, raise(SIGUSR1));
					  EXPECT_EQ(1, handled);
				  }
				  return 0;
			  }));
		EXPECT_EQ(0, raise(SIGUSR1));
		EXPECT_EQ(stop ? 2 : 1, handled);
	}
	signal(SIGUSR1, SIG_DFL);
}

TEST(Signal, WhatCannotBeWaitedForIsRefused)
{
	int ok = SIGUSR1;

	EXPECT_EQ(-EINVAL, urge_signal_notify(nullptr, &ok, 1));
	EXPECT_EQ(-EINVAL, urge_signal_stop(nullptr));
	EXPECT_EQ(0, run_main([] {
			  urge_chan *c = urge_chan_make(sizeof(int), 1);

			  for (int bad : { 0, -1, 65, SIGKILL, SIGSTOP, SIGSEGV, SIGURG, 32, 33 })
				  EXPECT_EQ(-EINVAL, urge_signal_notify(c, &bad, 1)) << bad;
			  int two[] = { SIGUSR1, SIGKILL };
			  EXPECT_EQ(-EINVAL, urge_signal_notify(c, two, 2));
			  EXPECT_EQ(-EINVAL, urge_signal_notify(c, two, 0));
			  EXPECT_EQ(0, urge_signal_stop(c));
			  urge_chan_free(c);
			  return 0;
		  }));
	urge_chan *c = urge_chan_make(sizeof(int), 1);
	EXPECT_EQ(-EPERM, urge_signal_notify(c, &ok, 1));
	urge_chan_free(c);
}

TEST(Signal, AWaitForOneIsNoDeadlock)
{
	Outcome outcome = in_child([] {
		EXPECT_EQ(0, run_main([] {
				  urge_chan *c = notified({ SIGTERM });
				  pid_t parent = getpid();

				  if (fork() == 0) {
					  usleep(300000);
					  kill(parent, SIGTERM);
					  _exit(0);
				  }
				  EXPECT_EQ(0, urge_recv(c, nullptr));
				  done(c);
				  return 0;
			  }));
	});

	EXPECT_EXITED(0, outcome);
	EXPECT_EQ("", outcome.err);
}

TEST(Signal, AfterTheStopADeadlockIsSeenAgain)
{
	SKIP_WHERE_OTHERS_MIGHT_WAKE();
	Outcome outcome = in_child([] {
		run_main([] {
			urge_chan *c = notified({ SIGTERM });

			EXPECT_EQ(0, urge_signal_stop(c));
			return urge_recv(c, nullptr);
		});
	});
	EXPECT_EXITED(2, outcome);
}

TEST(Signal, StormsLoseNoLastOne)
{
	EXPECT_EQ(0, run_main([] {
			  urge_chan *c = notified({ SIGUSR1, SIGUSR2 }, 4);
			  std::atomic<bool> stop{ false };
			  int got, n = 0;

			  std::thread storm([&] {
				  while (!stop)
					  kill(getpid(), SIGUSR1);
			  });
			  for (int i = 0; i < 200; i++) {
				  EXPECT_EQ(0, urge_recv_until(c, &got, in_ms(30000)));
				  n++;
			  }
			  stop = true;
			  storm.join();
			  kill(getpid(), SIGUSR2);
			  do
				  EXPECT_EQ(0, urge_recv_until(c, &got, in_ms(30000)));
			  while (got != SIGUSR2 && ++n < 1000000);
			  EXPECT_EQ(SIGUSR2, got);
			  done(c);
			  return 0;
		  }));
}
