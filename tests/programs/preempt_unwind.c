/* SPDX-License-Identifier: MIT */
/*
 * A goroutine that was preempted in a loop, for those who look at its stack: urge_dump here, gdb in
 * the script. From the runtime through asyncpreempt to the loop, its callers, and gostart.
 */
#include "tests/programs/check.h"

static uint32_t stop, there;
static urge_waitgroup done;

/* A leaf without a frame pointer. */
__attribute__((noinline)) void inner_loop(void)
{
	STORE(there, 1);
	while (!LOAD(stop))
		;
}

__attribute__((noinline)) void outer_function(int depth)
{
	if (depth > 0)
		outer_function(depth - 1);
	else
		inner_loop();
	__asm__ volatile(""); /* no tail call */
}

static void looper(void *unused)
{
	(void)unused;
	outer_function(2);
	urge_waitgroup_done(&done);
}

/*
 * One P: when this goroutine runs again, the loop does not. It would while the dump waits for a
 * page of its file, if the world were not stopped.
 */
static int start(void *unused)
{
	uint64_t before;

	(void)unused;
	urge_gomaxprocs(1);
	spawn(&done, looper, NULL);
	while (!LOAD(there))
		urge_yield();
	before = injected();
	while (injected() == before)
		urge_sleep(URGE_MS);
	fflush(stdout);
	urge_stop_the_world("to look at the stack of a loop");
	urge_dump(1);
	urge_start_the_world();
	STORE(stop, 1);
	urge_waitgroup_wait(&done);
	return 0;
}

int main(void)
{
	begin((int64_t)env_number("SECONDS", 120));
	urge_set_time_slice(URGE_MS);
	run_both(start, NULL);
	return finish();
}
