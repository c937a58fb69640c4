/* SPDX-License-Identifier: MIT */
/*
 * A program with a thread-local variable is parked; when it has promised that this does not matter
 * it is moved; and parked again when the promise is taken back.
 */
#include "tests/programs/check.h"

static __thread uint32_t own;
static uint32_t stop;
static urge_waitgroup done;

static void loop(void *unused)
{
	(void)unused;
	while (!LOAD(stop))
		;
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	(void)unused;
	urge_gomaxprocs(1);
	spawn(&done, loop, NULL);
	spawn(&done, loop, NULL);
	urge_waitgroup_wait(&done);
	return 0;
}

/* So many more of one kind; *others: how many of the other there were meanwhile. */
static void wait_for(bool moved, uint64_t more, uint64_t *others)
{
	struct urge_stats before, now;

	urge_stats_read(&before);
	do {
		doze(URGE_MS);
		urge_stats_read(&now);
	} while ((moved ? now.preempt_injected - before.preempt_injected
			: now.preempt_parked - before.preempt_parked) < more);
	*others = moved ? now.preempt_parked - before.preempt_parked
			: now.preempt_injected - before.preempt_injected;
}

static void direct(void)
{
	uint64_t others;

	wait_for(false, 50, &others);
	CHECK(others == 0, "%llu moved", (unsigned long long)others);
	CHECK(urge_preempt_text(&own, true) == -EINVAL, "no code");
	CHECK(urge_preempt_text((const void *)(uintptr_t)loop, true) == 0, "");
	wait_for(true, 10, &others); /* those under way */
	wait_for(true, 50, &others);
	CHECK(others == 0, "%llu parked", (unsigned long long)others);
	CHECK(urge_preempt_text((const void *)(uintptr_t)loop, false) == 0, "");
	wait_for(false, 10, &others);
	wait_for(false, 50, &others);
	CHECK(others == 0, "%llu moved", (unsigned long long)others);
	CHECK(urge_preempt_text((const void *)(uintptr_t)qsort, true) == 0, "");
	CHECK(urge_preempt_text((const void *)(uintptr_t)qsort, false) == 0, "");
	STORE(stop, 1);
}

int main(void)
{
	struct urge_stats before;

	begin((int64_t)env_number("SECONDS", 120));
	STORE(own, 1);
	CHECK(urge_preempt_text((const void *)(uintptr_t)loop, true) == -EPERM, "");
	urge_set_time_slice(200 * URGE_US);
	urge_stats_read(&before);
	run_both(start, direct);
	print_outcomes(&before);
	return finish();
}
