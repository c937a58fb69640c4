/* SPDX-License-Identifier: MIT */
/* The word between who asks for a preemption, the handler, and who makes a declared system call. */
#include "tests/unit/child.h"
#include "tests/unit/internals.h"
#include <atomic>
#include <thread>

/*
 * A request to a goroutine in a declared call is taken back. If a former signal arrives at that
 * moment, the word may not stay as if something were being sent: the goroutine's next call would
 * wait for ever.
 */
TEST(PreemptRequest, IsTakenBackThoughAFormerSignalArrives)
{
	SKIP_WHERE_SIGNALS_WAIT();
	EXPECT_EQ(0, run_main([] {
			  for (int round = 0; round < 20 && !testing::Test::HasFailure(); round++) {
				  std::atomic<bool> stop{ false };

				  urge_entersyscall();
				  struct m *mp = getm();
				  uint64_t value =
					  (uint64_t)load_rlx_u32(&mp->generation) << 32 | mp->id;
				  std::thread sender([&] {
					  while (!stop)
						  preempt_stray(mp, false);
				  });
				  for (int i = 0; i < 1000; i++)
					  thread_sigqueue(thread_gettid(), CONFIG_PREEMPT_SIGNAL,
							  value);
				  stop = true;
				  sender.join();
				  EXPECT_EQ(0, load_rlx_i64(&mp->signal_sent) & SIGNAL_BEING_SENT);
				  urge_exitsyscall();
			  }
			  return 0;
		  }));
}
