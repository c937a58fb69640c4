/* SPDX-License-Identifier: MIT */
/* A stress test at several GOMAXPROCS, each in a child that prints all goroutines if it hangs. */
#ifndef URGE_TESTS_STRESS_STORM_H
#define URGE_TESTS_STRESS_STORM_H

#include "tests/stress/seed.h"
#include "tests/unit/child.h"

/* Long enough for a machine that does three other things. */
static const int64_t storm_limit = 100 * URGE_S;

/* storm gets the seed; slice: the time slice, or 0 for the default one */
static inline void storm_at_each_gomaxprocs(const std::function<void(uint64_t)> &storm,
					    int64_t slice = 0)
{
	uint64_t seed = test_seed();

	for (int procs : { 1, 2, 4, 8 }) {
		Outcome outcome = in_child(
			[&] {
				if (slice)
					urge_set_time_slice(slice);
				EXPECT_EQ(0, run_main([&] {
						  EXPECT_LE(1, urge_gomaxprocs(procs));
						  storm(seed);
						  return 0;
					  }));
			},
			storm_limit);

		EXPECT_TRUE(outcome.exited(0)) << "GOMAXPROCS=" << procs << "\n" << outcome;
	}
}

#endif
