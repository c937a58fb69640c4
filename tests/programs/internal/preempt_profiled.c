/* SPDX-License-Identifier: MIT */
/*
 * A profiler beside preemption: SIGPROF from the process's CPU timer, at slices of 50 us, whose
 * handler walks the stack that it interrupted as profilers do, with glibc's backtrace() and with
 * libunwind.
 *
 *	- the timer goes on, and so does preemption, whichever stack the handler runs on
 *	- what is computed, in the program and in libc, is what it is without
 *	- a walk that begins in the runtime below asyncpreempt goes on to the interrupted function,
 *	  its callers and the goroutine's first frame, and ends there
 *
 * Usage: preempt_profiled [hold]
 * WALKS (10): of the last kind for each way to walk. hold: no profiler, just the loops until the standard
 * input ends, for one from outside.
 */
#include "tests/programs/check.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>

enum { LOOPS = 3, DEPTH = 3, FRAMES = 64 };

void asyncpreempt(void);
void gostart(void);

static uint32_t stop, turns;
static urge_waitgroup done;

/* ---- what is profiled ---------------------------------------------------------------------- */

#define PROFILED __attribute__((noinline, section("profiled_text")))
extern const char __start_profiled_text[], __stop_profiled_text[];

PROFILED uint64_t inner_loop(uint64_t x)
{
	for (unsigned i = 0; i < 200000; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407U;
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

PROFILED uint64_t outer_function(int depth, uint64_t x)
{
	x = depth > 0 ? outer_function(depth - 1, x) : inner_loop(x);
	__asm__ volatile("" : "+r"(x)); /* no tail call */
	return x;
}

PROFILED void looper(void *unused)
{
	uint64_t plain = outer_function(DEPTH, 1);

	(void)unused;
	while (!LOAD(stop)) {
		CHECK(outer_function(DEPTH, 1) == plain, "");
		ADD(turns, 1);
	}
	urge_waitgroup_done(&done);
}

/* In libc, where goroutines are parked, and moved only between its calls. */
PROFILED void in_libc(void *unused)
{
	char text[64];

	(void)unused;
	while (!LOAD(stop)) {
		snprintf(text, sizeof(text), "%.10g %d", 1234567.25, 42);
		CHECK(!strcmp(text, "1234567.25 42"), "%s", text);
		ADD(turns, 1);
	}
	urge_waitgroup_done(&done);
}

/* ---- the profiler -------------------------------------------------------------------------- */

/* From here on, the handler's own frame and the kernel's included. */
static int walk_libgcc(void **frames, int n, void *ucontext)
{
	(void)ucontext;
	return backtrace(frames, n);
}

/* libunwind's functions, as <libunwind.h> calls them on x86-64; a cursor is 127 words. */
static int (*unw_init_local2)(void *cursor, void *ucontext, int flags);
static int (*unw_step)(void *cursor);
static int (*unw_get_reg)(void *cursor, int reg, uintptr_t *value);
enum { UNW_X86_64_RIP = 16, UNW_INIT_SIGNAL_FRAME = 1 };

/* From the interrupted instruction on, by the unwind tables alone: its unw_backtrace guesses. */
static int walk_libunwind(void **frames, int n, void *ucontext)
{
	uintptr_t cursor[127];
	int i = 0;

	if (unw_init_local2(cursor, ucontext, UNW_INIT_SIGNAL_FRAME) != 0)
		return 0;
	do
		unw_get_reg(cursor, UNW_X86_64_RIP, (uintptr_t *)&frames[i++]);
	while (i < n && unw_step(cursor) > 0);
	return i;
}

static bool find_libunwind(void)
{
	void *library = dlopen("libunwind.so.8", RTLD_NOW);

	if (!library)
		return false;
	*(void **)&unw_init_local2 = dlsym(library, "_ULx86_64_init_local2");
	*(void **)&unw_step = dlsym(library, "_ULx86_64_step");
	*(void **)&unw_get_reg = dlsym(library, "_ULx86_64_get_reg");
	return unw_init_local2 && unw_step && unw_get_reg;
}

static struct walker {
	const char *name;
	int (*walk)(void **frames, int n, void *ucontext);
	uint32_t walks, preempted, bad;
	int bad_n;
	void *bad_frames[FRAMES];
} walkers[] = {
	{ .name = "backtrace()", .walk = walk_libgcc },
	{ .name = "libunwind", .walk = walk_libunwind },
};
static uint32_t nwalkers = 1;

static uint32_t samples;

static bool in(void *frame, const void *lo, size_t size)
{
	return (uintptr_t)frame - (uintptr_t)lo < size;
}

/* inner_loop, the outer ones, looper, or the last of these; in_libc. */
static bool ends_well(void **frames, int n)
{
	int i = 0;

	while (i < n && in(frames[i], __start_profiled_text,
			   (size_t)(__stop_profiled_text - __start_profiled_text)))
		i++;
	return i > 0 && i <= DEPTH + 3 && i == n - 1 && in(frames[i], (void *)gostart, 128);
}

static void walk(struct walker *walker, void *ucontext)
{
	void *frames[FRAMES];
	int n = walker->walk(frames, FRAMES, ucontext);

	ADD(walker->walks, 1);
	for (int i = 0; i < n; i++) {
		/* the stub; a return address lies behind the call in it */
		if (!in(frames[i], (void *)asyncpreempt, 512))
			continue;
		if (in(frames[i + 1 < n ? i + 1 : i], __start_profiled_text,
		       (size_t)(__stop_profiled_text - __start_profiled_text)) &&
		    ends_well(frames + i + 1, n - i - 1)) {
			ADD(walker->preempted, 1);
		} else if (ADD(walker->bad, 1) == 1) {
			walker->bad_n = n;
			memcpy(walker->bad_frames, frames, sizeof(frames));
		}
		return;
	}
}

static void on_prof(int sig, siginfo_t *info, void *ucontext)
{
	(void)sig, (void)info;
	walk(&walkers[ADD(samples, 1) % nwalkers], ucontext);
}

static void set_timer(int64_t us)
{
	struct itimerval interval = { { 0, us }, { 0, us } };

	CHECK(setitimer(ITIMER_PROF, &interval, NULL) == 0, "");
}

static void install(int flags)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_RESTART | flags };

	action.sa_sigaction = on_prof;
	sigemptyset(&action.sa_mask);
	sigaction(SIGPROF, &action, NULL);
}

/* ---- runs ---------------------------------------------------------------------------------- */

static int start(void *unused)
{
	(void)unused;
	urge_set_time_slice(50 * URGE_US);
	urge_gomaxprocs(2);
	for (int i = 0; i < LOOPS; i++)
		spawn(&done, looper, NULL);
	spawn(&done, in_libc, NULL);
	urge_waitgroup_wait(&done);
	return 0;
}

/* Walks through a preemption are rare: most samples find the loops. */
static void direct(void)
{
	uint32_t walks = (uint32_t)env_number("WALKS", 10);

	for (int on_altstack = 0; on_altstack < 2; on_altstack++) {
		uint64_t before = injected();
		uint32_t samples_before = LOAD(samples), turns_before = LOAD(turns);

		install(on_altstack ? SA_ONSTACK : 0);
		set_timer(1000);
		WAIT_UNTIL(LOAD(samples) > samples_before + 200 && injected() > before + 1000 &&
			   LOAD(turns) > turns_before + 100);
	}
	for (uint32_t i = 0; i < nwalkers; i++)
		WAIT_UNTIL(LOAD(walkers[i].preempted) + LOAD(walkers[i].bad) >= walks);
	set_timer(0);
	STORE(stop, 1);
}

static void hold(void)
{
	char c;

	while (read(0, &c, 1) > 0)
		;
	STORE(stop, 1);
}

static void print_walker(struct walker *walker)
{
	printf("%s: %u walks, %u through asyncpreempt to the first frame\n", walker->name,
	       walker->walks, walker->preempted);
	if (walker->bad == 0)
		return;
	fail("%s: %u walks through asyncpreempt end elsewhere; the first:", walker->name,
	     walker->bad);
	fflush(stdout);
	backtrace_symbols_fd(walker->bad_frames, walker->bad_n, 1);
}

int main(int argc, char **argv)
{
	bool held = argc > 1 && !strcmp(argv[1], "hold");
	struct urge_stats before;
	void *frames[4];

	begin((int64_t)env_number("SECONDS", 120));
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* for gdb */
	backtrace(frames, 4);                      /* loads a library the first time */
	if (find_libunwind())
		nwalkers = 2;
	else
		printf("libunwind (libunwind8) is not installed: without it\n");
	urge_stats_read(&before);
	run_both(start, held ? hold : direct);
	printf("%u samples\n", samples);
	for (uint32_t i = 0; i < nwalkers; i++)
		print_walker(&walkers[i]);
	print_outcomes(&before);
	return finish();
}
