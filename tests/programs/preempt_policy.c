/* SPDX-License-Identifier: MIT */
/*
 * How goroutines are preempted follows the policy of the process, which changes while they run, and
 * their own. Two loops in the program and two in libc, one P: of the requests that are answered
 * under a policy, some end in each way that it allows, and none in another. Then the loops have a
 * policy of their own, and the process has another.
 */
#include "tests/programs/check.h"

enum { ANSWERS = 150 };

static uint32_t stop, turns[4];
static urge_waitgroup done;

static void in_program(void *arg)
{
	uint32_t *own = arg;

	while (!LOAD(stop))
		ADD(*own, 1);
	urge_waitgroup_done(&done);
}

static void in_libc(void *arg)
{
	static char buffers[2][1 << 16];
	uint32_t *own = arg;
	char *buffer = buffers[own - turns - 2];

	while (!LOAD(stop)) {
		memset(buffer, 'x', sizeof(buffers[0]));
		__asm__ volatile("" : : "r"(buffer) : "memory"); /* it is in use */
		ADD(*own, 1);
	}
	urge_waitgroup_done(&done);
}

/* ---- what was answered, and how ------------------------------------------------------------ */

static struct urge_stats before;

static uint64_t moved, parked;

/*
 * Waits for so many answers, with those of a kind that must come; what had been asked before a
 * change of policy does not count.
 */
static void wait_for_answers(bool moves, bool parks)
{
	struct urge_stats now;

	doze(20 * URGE_MS);
	urge_stats_read(&before);
	do {
		doze(URGE_MS);
		urge_stats_read(&now);
		moved = now.preempt_injected - before.preempt_injected;
		parked = now.preempt_parked - before.preempt_parked;
	} while (answered(&now) < answered(&before) + ANSWERS || (moves && moved == 0) ||
		 (parks && parked == 0));
}

static void expect(const char *name, bool moves, bool parks)
{
	wait_for_answers(moves, parks);
	printf("%s: %llu moved, %llu parked\n", name, (unsigned long long)moved,
	       (unsigned long long)parked);
	CHECK((moved > 0) == moves, "%s", name);
	CHECK((parked > 0) == parks, "%s", name);
}

/* ---- the process's, live ------------------------------------------------------------------- */

static void start_loops(int of_program, int of_libc)
{
	struct urge_attr attr = URGE_ATTR_INIT;

	urge_set_time_slice(200 * URGE_US);
	urge_gomaxprocs(1);
	for (int i = 0; i < 4; i++) {
		attr.preempt = i < 2 ? of_program : of_libc;
		urge_waitgroup_add(&done, 1);
		CHECK(urge_go_attr(&attr, i < 2 ? in_program : in_libc, &turns[i]) == 0, "");
	}
}

static int start_plain(void *unused)
{
	(void)unused;
	start_loops(URGE_PREEMPT_AUTO, URGE_PREEMPT_AUTO);
	urge_waitgroup_wait(&done);
	return 0;
}

static void direct_process(void)
{
	struct urge_stats now;

	for (int round = 0; round < 2; round++) {
		urge_set_preempt(URGE_PREEMPT_AUTO);
		expect("auto", true, true);
		urge_set_preempt(URGE_PREEMPT_PARK);
		expect("park", false, true);
		urge_set_preempt(URGE_PREEMPT_OFF);
		doze(20 * URGE_MS);
		urge_stats_read(&before);
		doze(50 * URGE_MS);
		urge_stats_read(&now);
		CHECK(answered(&now) == answered(&before), "requests with preemption off");
	}
	CHECK(urge_set_preempt(17) == -EINVAL, "");
	urge_set_preempt(URGE_PREEMPT_AUTO);
	STORE(stop, 1);
}

/* ---- injection only: a loop in libc is stopped where it is out of it for a moment ----------- */

static void direct_inject(void)
{
	urge_set_preempt(URGE_PREEMPT_INJECT);
	expect("inject", true, false);
	urge_set_preempt(URGE_PREEMPT_AUTO);
	STORE(stop, 1);
}

/* ---- the goroutines' own ------------------------------------------------------------------- */

static int start_own_park(void *unused)
{
	(void)unused;
	start_loops(URGE_PREEMPT_PARK, URGE_PREEMPT_PARK);
	urge_waitgroup_wait(&done);
	return 0;
}

static int start_own_inject(void *unused)
{
	(void)unused;
	start_loops(URGE_PREEMPT_INJECT, URGE_PREEMPT_INJECT);
	urge_waitgroup_wait(&done);
	return 0;
}

static void direct_own_park(void)
{
	expect("auto, theirs is park", false, true);
	urge_set_preempt(URGE_PREEMPT_INJECT);
	expect("inject, theirs is park", false, true);
	urge_set_preempt(URGE_PREEMPT_AUTO);
	STORE(stop, 1);
}

static void direct_own_inject(void)
{
	expect("auto, theirs is inject", true, false);
	urge_set_preempt(URGE_PREEMPT_PARK);
	expect("park, theirs is inject", true, false);
	urge_set_preempt(URGE_PREEMPT_AUTO);
	STORE(stop, 1);
}

static void run(int (*start)(void *), void (*direct)(void))
{
	STORE(stop, 0);
	run_both(start, direct);
}

int main(void)
{
	begin((int64_t)env_number("SECONDS", 120));
	run(start_plain, direct_process);
	run(start_plain, direct_inject);
	run(start_own_park, direct_own_park);
	run(start_own_inject, direct_own_inject);
	for (int i = 0; i < 4; i++)
		CHECK(turns[i] > 0, "%d", i);
	return finish();
}
