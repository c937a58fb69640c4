/* SPDX-License-Identifier: MIT */
/* The event trace: its errors, its bound, its end. What is in it: tests/programs/trace.sh. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <fstream>
#include <sstream>
#include <thread>

extern "C" uint32_t trace_chunks_max;

/* A file that is gone with the test. */
class TraceFile
{
public:
	TraceFile() { close(mkstemp(path)); }
	~TraceFile() { unlink(path); }
	TraceFile(const TraceFile &) = delete;
	TraceFile &operator=(const TraceFile &) = delete;

	std::string text() const
	{
		std::stringstream all;

		all << std::ifstream(path).rdbuf();
		return all.str();
	}

	char path[32] = "/tmp/urge-trace-XXXXXX";
};

static const char *const whole = "\n]}\n";

TEST(Trace, WhatIsWrongIsAnError)
{
	TraceFile file;

	EXPECT_EQ(-EPERM, urge_trace_start(file.path));
	EXPECT_EQ(-EPERM, urge_trace_stop());
	EXPECT_EQ(
		0, run_main([&] {
			EXPECT_EQ(-EINVAL, urge_trace_stop());
			EXPECT_EQ(-EINVAL, urge_trace_start(nullptr));
			EXPECT_EQ(-ENOENT, urge_trace_start("/nowhere/at all"));
			std::thread([&] { EXPECT_EQ(-EPERM, urge_trace_start(file.path)); }).join();
			EXPECT_EQ(0, urge_trace_start(file.path));
			EXPECT_EQ(-EBUSY, urge_trace_start(file.path));
			EXPECT_EQ(0, urge_trace_stop());
			EXPECT_EQ(-EINVAL, urge_trace_stop());
			return 0;
		}));
	EXPECT_SAYS(whole, file.text());
}

TEST(Trace, AFileThatCanNotBeWrittenIsAnError)
{
	EXPECT_EQ(0, run_main([] {
			  EXPECT_EQ(0, urge_trace_start("/dev/full"));
			  EXPECT_EQ(-ENOSPC, urge_trace_stop());
			  return 0;
		  }));
}

TEST(Trace, WhatFindsNoRoomIsCountedAndSaid)
{
	const uint32_t all = trace_chunks_max;
	TraceFile file;
	int dropped = 0;

	trace_chunks_max = 2;
	EXPECT_EQ(0, run_main([&] {
			  urge_gomaxprocs(1);
			  EXPECT_EQ(0, urge_trace_start(file.path));
			  for (int i = 0; i < 5000; i++) {
				  go([] {});
				  urge_yield();
			  }
			  dropped = urge_trace_stop();
			  return 0;
		  }));
	trace_chunks_max = all;
	EXPECT_GT(dropped, 10000);
	EXPECT_SAYS("\"dropped\":\"" + std::to_string(dropped) + "\"", file.text());
	EXPECT_SAYS(whole, file.text());
}

TEST(Trace, TheEndOfTheWorldEndsIt)
{
	TraceFile file;

	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, run_main([&] {
				  EXPECT_EQ(0, urge_trace_start(file.path));
				  go([] { urge_sleep(3600 * URGE_S); });
				  urge_sleep(URGE_MS);
				  return 0;
			  }));
		EXPECT_SAYS("\"stop\":\"sleep\"", file.text());
		EXPECT_SAYS(whole, file.text());
	}
}

/* Threads, timers, descriptors and goroutines on all Ps while traces come and go. */
TEST(Trace, ComesAndGoesUnderLoad)
{
	TraceFile file;

	EXPECT_EQ(0, run_main([&] {
			  std::atomic<bool> end{ false };
			  urge_chan *c = urge_chan_make(sizeof(int), 1);
			  std::thread outside([&] {
				  for (int i = 0; !end; i++)
					  urge_try_send(c, &i);
			  });
			  int left = 8;
			  urge_waitgroup wg{};

			  urge_external_begin();
			  urge_gomaxprocs(4);
			  urge_waitgroup_add(&wg, left);
			  for (int i = 0; i < left; i++)
				  go([&, i] {
					  while (!end) {
						  if (i % 2)
							  urge_recv_until(c, nullptr,
									  urge_now() + URGE_MS);
						  else
							  urge_sleep(20 * URGE_US);
						  go([] { urge_yield(); });
					  }
					  urge_waitgroup_done(&wg);
				  });
			  for (int i = 0; i < 10; i++) {
				  EXPECT_EQ(0, urge_trace_start(file.path));
				  urge_sleep(2 * URGE_MS);
				  EXPECT_EQ(0, urge_trace_stop());
				  EXPECT_SAYS(whole, file.text());
			  }
			  end = true;
			  urge_waitgroup_wait(&wg);
			  outside.join();
			  urge_chan_free(c);
			  return 0;
		  }));
}
