/* SPDX-License-Identifier: MIT */
/*
 * The conditions for moving a goroutine may refuse too much, but not much too much: of the requests
 * that find a loop of the program's own code, at least 95 in 100 are served by moving it. The loops
 * differ in what they leave in registers and frames; some are entered with the remains of a
 * library's calls on their stack, and with the remains of another goroutine in the vector
 * registers.
 */
#include "tests/programs/check.h"

enum { LOOPS = 4, ANSWERED = 600 };

static uint32_t stop, there;
static urge_waitgroup done;

static void count_up(void)
{
	volatile uint64_t i = 0;

	while (!LOAD(stop))
		i++;
}

static __attribute__((noinline)) uint64_t step(uint64_t x)
{
	return x * UINT64_C(6364136223846793005) + 1442695040888963407;
}

static void call_own_functions(void)
{
	uint64_t x = 1;

	while (!LOAD(stop))
		x = step(step(x));
	CHECK(x != 0, "");
}

static uint64_t recurse(int depth)
{
	if (depth == 0) {
		count_up();
		return 1;
	}
	return step(recurse(depth - 1));
}

static void loop_below_frames(void)
{
	recurse(20);
}

static void compute_doubles(void)
{
	double a[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	while (!LOAD(stop))
		for (int i = 0; i < 8; i++)
			a[i] = a[i] * 0.5 + 1 / (a[(i + 3) % 8] + 1);
	CHECK(a[0] > 0, "%f", a[0]);
}

static void chase_pointers(void)
{
	static struct link {
		struct link *next;
	} links[64];
	struct link *at = links;

	for (int i = 0; i < 64; i++)
		links[i].next = &links[(i * 5 + 1) % 64];
	while (!LOAD(stop))
		at = at->next;
	CHECK(at >= links && at < links + 64, "");
}

/* What these leave below the stack pointer and in registers is not in use any more. */
static void call_libc_first(void)
{
	char text[64];
	void *block = malloc(1000);

	snprintf(text, sizeof(text), "%d %s %g", 1, "two", 3.0);
	CHECK(strtod("0.25", NULL) == 0.25 && text[0] == '1', "%s", text);
	free(block);
	count_up();
}

/* Fills the vector registers with an address of thread-local storage, and ends. */
static void leave_remains(void *unused)
{
	(void)unused;
#if defined(__x86_64__)
	__asm__ volatile("movq %%fs:0, %%rax\n\t"
			 "movq %%rax, %%xmm0\n\t"
			 "punpcklqdq %%xmm0, %%xmm0\n\t"
			 "movdqa %%xmm0, %%xmm3\n\t"
			 "movdqa %%xmm0, %%xmm9\n\t"
			 "movdqa %%xmm0, %%xmm15\n\t"
			 "xorl %%eax, %%eax"
			 :
			 :
			 : "rax", "xmm0", "xmm3", "xmm9", "xmm15", "memory");
#endif
	ADD(there, 1);
	urge_waitgroup_done(&done);
}

static const struct kind {
	const char *name;
	void (*loop)(void);
	bool after_remains; /* those of leave_remains, on each thread */
} kinds[] = {
	{ "counting", count_up, false },
	{ "calls within the program", call_own_functions, false },
	{ "below other frames", loop_below_frames, false },
	{ "floating point", compute_doubles, false },
	{ "pointers", chase_pointers, false },
	{ "after calls of libc", call_libc_first, false },
	{ "after another's remains", count_up, true },
};

static const struct kind *now;

static void loop(void *unused)
{
	(void)unused;
	ADD(there, 1);
	now->loop();
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	(void)unused;
	urge_gomaxprocs(2);
	for (int i = 0; now->after_remains && i < 200; i++)
		spawn(&done, leave_remains, NULL);
	urge_waitgroup_wait(&done);
	STORE(there, 0);
	for (int i = 0; i < LOOPS; i++)
		spawn(&done, loop, NULL);
	urge_waitgroup_wait(&done);
	return 0;
}

static void direct(void)
{
	struct urge_stats before, after;
	uint64_t moved, all;

	WAIT_UNTIL(LOAD(there) >= 2); /* the others wait for a P, and perhaps for ever */
	doze(5 * URGE_MS);
	urge_stats_read(&before);
	do {
		doze(URGE_MS);
		urge_stats_read(&after);
		moved = after.preempt_injected - before.preempt_injected;
		all = answered(&after) - answered(&before);
	} while (all < ANSWERED);
	STORE(stop, 1);
	printf("%s: %llu of %llu moved\n", now->name, (unsigned long long)moved,
	       (unsigned long long)all);
	if (moved * 100 < all * 95) {
		fail("%s", now->name);
		print_outcomes(&before);
	}
}

/* Nearly each of these was timed: not if the next goroutine runs by other ways, as at an end. */
static void check_times(uint64_t moved)
{
	struct urge_histogram h = { .bounds = { 0 } };
	struct urge_metric metric = { .name = "/sched/preempt/injected:seconds", .value.h = &h };
	uint64_t timed = 0, half = 0;
	unsigned i = 0;

	CHECK(urge_metrics_read(&metric, 1) == 1, "");
	for (unsigned b = 0; b < URGE_HISTOGRAM_BUCKETS; b++)
		timed += h.counts[b];
	while (half * 2 < timed)
		half += h.counts[i++];
	printf("%llu moved, %llu timed, half within %g us\n", (unsigned long long)moved,
	       (unsigned long long)timed, h.bounds[i] * 1e6);
	CHECK(timed <= moved && timed * 100 >= moved * 95, "");
	CHECK(h.bounds[i] < 5e-3, "%g s", h.bounds[i]);
}

int main(void)
{
	begin((int64_t)env_number("SECONDS", 120));
	urge_set_time_slice(100 * URGE_US);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		now = &kinds[i];
		STORE(stop, 0);
		STORE(there, 0);
		run_both(start, direct);
	}
	check_times(injected());
	return finish();
}
