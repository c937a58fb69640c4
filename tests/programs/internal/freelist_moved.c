/* SPDX-License-Identifier: MIT */
/*
 * The other half of freelist.c: with the rule about thread-local storage taken away, the same free
 * list does hand nodes out twice. This is what the rule is for, and what shows that the other test
 * can fail.
 */
#include "preempt/safepoint.h"
#include "tests/programs/freelist.h"

static int start(void *unused)
{
	CHECK(!text.movable, "a program with thread-local storage");
	text.movable = true;
	return run_freelist(unused);
}

static void direct(void)
{
	urge_set_time_slice(50 * URGE_US);
	WAIT_UNTIL(__atomic_load_n(&used_twice, __ATOMIC_RELAXED) > 0);
	STORE(freelist_stop, 1);
}

int main(void)
{
	struct urge_stats before;

	begin((int64_t)env_number("SECONDS", 120));
	urge_stats_read(&before);
	run_both(start, direct);
	printf("%llu turns, %llu nodes used twice\n", (unsigned long long)freelist_turns,
	       (unsigned long long)used_twice);
	print_outcomes(&before);
	CHECK(used_twice > 0, "");
	return finish();
}
