/* SPDX-License-Identifier: MIT */
/*
 * Stopping the world: whatever counts, loops without a call, in the program and in libc, goroutines
 * that come back from system calls, declared and undeclared ones, and those that are started
 * meanwhile, stands still between stop and start and goes on
 * afterwards. STOPS (1000) in a row; nested; by two who queue for it; while others start
 * goroutines.
 *
 * usage: stw [resize | long | lock | start | sleep | wait]
 *
 * resize: GOMAXPROCS changes, while stopped and at any time. long: two goroutines keep the world
 * from being stopped for 1.5 s each. lock: who must not be preempted waits for a lock whose holder
 * may have been stopped. The other three are misuse, which is to end the process; the script looks
 * at the words.
 */
#include "tests/programs/check.h"

enum { LOOPS = 4, COUNTERS = LOOPS + 7 };

/* On lines of their own. */
static struct counter {
	volatile uint64_t n;
	uint64_t pad[7];
} counters[COUNTERS];

static uint32_t stop, inside;
static urge_waitgroup done;
static uint64_t turns_of_two;
static bool resize;

static void loop(void *counter)
{
	while (!LOAD(stop))
		((struct counter *)counter)->n++;
	urge_waitgroup_done(&done);
}

/* Comes back from system calls, long and short ones, and counts then. */
static void call_system(void *counter)
{
	while (!LOAD(stop)) {
		urge_entersyscall();
		doze(((struct counter *)counter)->n % 16 ? 0 : 200 * URGE_US);
		urge_exitsyscall();
		((struct counter *)counter)->n++;
	}
	urge_waitgroup_done(&done);
}

/* The same without saying so. */
static void call_undeclared(void *counter)
{
	while (!LOAD(stop)) {
		doze(100 * URGE_US);
		((struct counter *)counter)->n++;
	}
	urge_waitgroup_done(&done);
}

/* Holds malloc's lock much of the time. */
static void loop_in_libc(void *counter)
{
	char text[64];

	while (!LOAD(stop)) {
		free(malloc(100 + ((struct counter *)counter)->n % 3000));
		snprintf(text, sizeof(text), "%.17g", (double)((struct counter *)counter)->n / 3);
		((struct counter *)counter)->n++;
	}
	urge_waitgroup_done(&done);
}

/* Goroutines that are started while the world stands still. */
static void count_one(void *counter)
{
	ADD(((struct counter *)counter)->n, 1);
	urge_waitgroup_done(&done);
}

static uint64_t sum(void)
{
	uint64_t n = 0;

	for (int i = 0; i < COUNTERS; i++)
		n += counters[i].n;
	return n;
}

static void spin(int64_t ns)
{
	for (int64_t end = urge_now() + ns; urge_now() < end;)
		;
}

/* While stopped. Prints nothing here: somebody may have been stopped in printf. */
static uint32_t moved;

static void stand_still(int64_t ns)
{
	uint64_t before = sum();

	spin(ns);
	if (sum() != before)
		moved++;
}

static void check_still(const char *when)
{
	CHECK(moved == 0, "%s: %u times", when, moved);
	moved = 0;
}

static void stop_world(void)
{
	int err = urge_stop_the_world("test");

	if (err)
		fail("urge_stop_the_world: %d", err);
}

static void wait_until_it_moves(uint64_t before)
{
	while (sum() == before)
		;
}

static void stop_in_a_row(uint64_t stops)
{
	for (uint64_t i = 0; i < stops; i++) {
		uint64_t before;

		stop_world();
		stand_still(i % 64 ? 10 * URGE_US : 2 * URGE_MS);
		before = sum();
		urge_start_the_world();
		wait_until_it_moves(before);
	}
	check_still("in a row");
}

static void stop_nested(void)
{
	uint64_t before;

	for (int i = 0; i < 20; i++) {
		stop_world();
		stop_world();
		stop_world();
		stand_still(100 * URGE_US);
		urge_start_the_world();
		stand_still(100 * URGE_US);
		urge_start_the_world();
		stand_still(URGE_MS);
		before = sum();
		urge_start_the_world();
		wait_until_it_moves(before);
	}
	check_still("nested");
}

/* GOMAXPROCS set by the stopper: Ps that come and go are as still as the others. */
static void resize_while_stopped(void)
{
	for (int i = 0; i < 40; i++) {
		uint64_t before;

		stop_world();
		urge_gomaxprocs(1 + i % 4);
		stand_still(200 * URGE_US);
		before = sum();
		urge_start_the_world();
		wait_until_it_moves(before);
	}
	urge_gomaxprocs(2);
	check_still("resized");
}

static void one_of_two(void *unused)
{
	(void)unused;
	for (int i = 0; i < 100; i++) {
		stop_world();
		if (__atomic_exchange_n(&inside, 1, __ATOMIC_SEQ_CST))
			moved++;
		stand_still(20 * URGE_US);
		turns_of_two++; /* nobody else is inside */
		STORE(inside, 0);
		urge_start_the_world();
	}
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	(void)unused;
	urge_gomaxprocs(2);
	urge_set_time_slice(100 * URGE_US);
	for (int i = 0; i < LOOPS; i++)
		spawn(&done, loop, &counters[i]);
	for (int i = 0; i < 2; i++)
		spawn(&done, call_system, &counters[LOOPS + i]);
	for (int i = 0; i < 2; i++) {
		spawn(&done, call_undeclared, &counters[LOOPS + 2 + i]);
		spawn(&done, loop_in_libc, &counters[LOOPS + 4 + i]);
	}
	stop_in_a_row(env_number("STOPS", 1000));
	stop_nested();
	if (resize)
		resize_while_stopped();
	spawn(&done, one_of_two, NULL);
	spawn(&done, one_of_two, NULL);
	while (__atomic_load_n(&turns_of_two, __ATOMIC_RELAXED) < 200)
		urge_sleep(URGE_MS);
	check_still("two");
	STORE(stop, 1);
	urge_waitgroup_wait(&done);
	return 0;
}

/* Somebody else, no goroutine, changes GOMAXPROCS and starts goroutines all the time. */
static void direct(void)
{
	uint64_t started = 0;

	for (unsigned i = 0; !LOAD(stop); i++) {
		if (resize)
			urge_gomaxprocs(1 + (int)i % 3);
		if (started < counters[COUNTERS - 1].n + 10) {
			urge_waitgroup_add(&done, 1);
			if (urge_go(count_one, &counters[COUNTERS - 1]) != 0)
				urge_waitgroup_done(&done);
			else
				started++;
		}
		doze(50 * URGE_US);
	}
	printf("%llu goroutines started from outside\n", (unsigned long long)started);
}

/* ---- a long wait --------------------------------------------------------------------------- */

static uint32_t held;

/* Does not stop for 1.5 seconds: between the calls, or by its attribute. */
static void holder(void *by_attribute)
{
	int64_t end;

	if (!by_attribute)
		urge_nopreempt_begin();
	STORE(held, 1);
	end = urge_now() + 1500 * URGE_MS;
	while (urge_now() < end)
		;
	if (!by_attribute)
		urge_nopreempt_end();
}

static int stop_with(bool by_attribute)
{
	struct urge_attr attr = URGE_ATTR_INIT;

	attr.name = "holds";
	attr.preempt = by_attribute ? URGE_PREEMPT_OFF : URGE_PREEMPT_AUTO;
	STORE(held, 0);
	CHECK(urge_go_attr(&attr, holder, by_attribute ? &held : NULL) == 0, "urge_go_attr");
	while (!LOAD(held))
		urge_yield();
	CHECK(urge_stop_the_world("to be told") == 0, "stop");
	urge_start_the_world();
	return 0;
}

static int wait_long(void *unused)
{
	(void)unused;
	urge_gomaxprocs(2);
	return stop_with(false) | stop_with(true);
}

/* ---- a lock whose holder has been stopped --------------------------------------------------- */

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

static void hold_lock(void *counter)
{
	while (!LOAD(stop)) {
		pthread_mutex_lock(&shared_lock);
		for (volatile int i = 0; i < 300000; i++)
			;
		pthread_mutex_unlock(&shared_lock);
		((struct counter *)counter)->n++;
		urge_yield();
	}
	urge_waitgroup_done(&done);
}

static void take_lock(void *counter)
{
	while (!LOAD(stop)) {
		urge_nopreempt_begin();
		pthread_mutex_lock(&shared_lock);
		((struct counter *)counter)->n++;
		pthread_mutex_unlock(&shared_lock);
		urge_nopreempt_end();
		urge_yield();
	}
	urge_waitgroup_done(&done);
}

static int start_with_lock(void *unused)
{
	(void)unused;
	urge_gomaxprocs(3);
	urge_set_time_slice(100 * URGE_US);
	spawn(&done, hold_lock, &counters[0]);
	spawn(&done, take_lock, &counters[1]);
	for (int i = 0; i < 100; i++) {
		stop_world();
		stand_still(20 * URGE_US);
		urge_start_the_world();
		urge_sleep(URGE_MS);
	}
	check_still("lock");
	STORE(stop, 1);
	urge_waitgroup_wait(&done);
	CHECK(counters[0].n > 0 && counters[1].n > 0, "");
	return 0;
}

/* ---- misuse -------------------------------------------------------------------------------- */

static int start_without_stop(void *unused)
{
	(void)unused;
	urge_start_the_world();
	return 0;
}

static int sleep_while_stopped(void *unused)
{
	(void)unused;
	urge_stop_the_world("misuse");
	urge_sleep(URGE_MS);
	return 0;
}

static int wait_while_stopped(void *unused)
{
	urge_waitgroup wg = { 0 };

	(void)unused;
	urge_waitgroup_add(&wg, 1);
	urge_stop_the_world("misuse");
	urge_waitgroup_wait(&wg);
	return 0;
}

int main(int argc, char **argv)
{
	begin((int64_t)env_number("SECONDS", 120));
	resize = argc > 1 && !strcmp(argv[1], "resize");
	if (argc > 1 && !strcmp(argv[1], "long"))
		return urge_main(wait_long, NULL) | finish();
	if (argc > 1 && !strcmp(argv[1], "lock")) {
		run_both(start_with_lock, NULL);
		return finish();
	}
	if (argc > 1 && !resize) {
		CHECK(urge_stop_the_world("outside") == -EPERM, "");
		return urge_main(!strcmp(argv[1], "start")   ? start_without_stop
				 : !strcmp(argv[1], "sleep") ? sleep_while_stopped
							     : wait_while_stopped,
				 NULL);
	}
	run_both(start, direct);
	for (int i = 0; i < COUNTERS; i++)
		CHECK(counters[i].n > 0, "counter %d", i);
	return finish();
}
