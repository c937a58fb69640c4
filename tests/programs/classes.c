/* SPDX-License-Identifier: MIT */
/*
 * urge_attr.class_, on one P, where goroutines are preempted by being moved: BATCH gives way to
 * whom a timer wakes long before its slice is over; LATENCY takes whole turns beside a loop that is
 * a hog.
 */
#include "tests/programs/check.h"

static volatile uint64_t turns[2];
static uint32_t stop;
static urge_waitgroup ended;

static void loop(void *arg)
{
	volatile uint64_t *mine = arg;

	while (!LOAD(stop))
		++*mine;
	urge_waitgroup_done(&ended);
}

static void start_loop(int i, int class_)
{
	struct urge_attr attr = URGE_ATTR_INIT;

	attr.class_ = class_;
	urge_waitgroup_add(&ended, 1);
	turns[i] = 0;
	CHECK(urge_go_attr(&attr, loop, (void *)&turns[i]) == 0, "urge_go_attr");
}

static void end_loops(void)
{
	STORE(stop, 1);
	urge_waitgroup_wait(&ended);
	STORE(stop, 0);
}

/* In slices of 10 s, which nobody uses up here. */
static void batch(void)
{
	int64_t begun = urge_now();

	CHECK(urge_set_time_slice(10 * URGE_S) == 0, "the slice");
	start_loop(0, URGE_CLASS_BATCH);
	for (int i = 0; i < 20; i++)
		urge_sleep(URGE_MS);
	CHECK(urge_now() - begun < 5 * URGE_S, "a sleeper waits for the end of a slice");
	CHECK(turns[0] > 0, "it does not run");
	CHECK(urge_set_time_slice(10 * URGE_MS) == 0, "the slice");
	end_loops();
}

/* Two loops, of which one is no hog: the other one has a tenth; more where sysmon comes late. */
static void latency(void)
{
	uint64_t before[2], share[2];
	int tries = 0;

	start_loop(0, URGE_CLASS_LATENCY);
	start_loop(1, URGE_CLASS_AUTO);
	urge_sleep(100 * URGE_MS); /* both have used up slices */
	do {
		for (int i = 0; i < 2; i++)
			before[i] = turns[i];
		urge_sleep(100 * URGE_MS);
		for (int i = 0; i < 2; i++)
			share[i] = turns[i] - before[i];
	} while ((share[0] <= 3 * share[1] || share[1] == 0) && ++tries < 50);
	printf("%llu turns and %llu\n", (unsigned long long)share[0], (unsigned long long)share[1]);
	CHECK(share[0] > 3 * share[1], "LATENCY is treated as a hog");
	CHECK(share[1] > 0, "the hog starves");
	end_loops();
}

static int start(void *unused)
{
	struct urge_attr attr = URGE_ATTR_INIT;

	(void)unused;
	urge_gomaxprocs(1);
	attr.class_ = URGE_CLASS_BATCH + 1;
	CHECK(urge_go_attr(&attr, loop, NULL) == -EINVAL, "no such class");
	attr.class_ = -1;
	CHECK(urge_go_attr(&attr, loop, NULL) == -EINVAL, "no such class");
	batch();
	latency();
	return 0;
}

int main(void)
{
	begin(60);
	CHECK(urge_main(start, NULL) == 0, "urge_main");
	return finish();
}
