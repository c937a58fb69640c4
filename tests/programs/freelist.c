/* SPDX-License-Identifier: MIT */
/*
 * A program with thread-local storage is never preempted by moving: its threads are parked, and no
 * node of a per-thread free list is used twice.
 */
#include "tests/programs/freelist.h"

static struct urge_stats before, after;

static void direct(void)
{
	urge_set_time_slice(50 * URGE_US);
	do {
		doze(URGE_MS);
		urge_stats_read(&after);
	} while (answered(&after) - answered(&before) < 3000);
	STORE(freelist_stop, 1);
}

int main(void)
{
	begin((int64_t)env_number("SECONDS", 120));
	urge_stats_read(&before);
	run_both(run_freelist, direct);
	printf("%llu turns, %llu nodes used twice\n", (unsigned long long)freelist_turns,
	       (unsigned long long)used_twice);
	print_outcomes(&before);
	CHECK(after.preempt_injected == before.preempt_injected, "%llu times",
	      (unsigned long long)(after.preempt_injected - before.preempt_injected));
	CHECK(after.preempt_parked - before.preempt_parked > 2500, "");
	CHECK(used_twice == 0, "");
	return finish();
}
