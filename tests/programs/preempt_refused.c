/* SPDX-License-Identifier: MIT */
/*
 * Where a goroutine must not be moved it is not, and the reason is counted: one case after the
 * other, each a goroutine that goes into the state in question and loops there, on a machine with
 * one P, while another waits. Once it is there, every request must be refused for this reason.
 *
 * The policy is to inject only: else all of them would be parked, but for three.
 *
 * A case runs in an urge_main of its own, so this is a test of coming back as well.
 */
#include "tests/programs/check.h"

#include "preempt/reason.h"

#include <alloca.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>

enum { REQUESTS = 60 };

static uint32_t stop, there;
static urge_waitgroup done;

/* Loops until it is told to end, in few registers. */
static inline void loop_here(void)
{
	STORE(there, 1);
	while (!LOAD(stop))
		;
}

/* ---- addresses of thread-local storage ----------------------------------------------------- */

static void hold_in_frame(void)
{
	int *volatile address = __errno_location();

	loop_here();
	*address = 0;
}

#if defined(__x86_64__)

/* The same loop with the address in one place only. The thread pointer is in %fs:0. */
#define LOOP_UNTIL_STOP                                                                            \
	"1: cmpl $0, %[stop]\n\t"                                                                  \
	"je 1b\n\t"

static void hold_in_register(void)
{
	int *address = __errno_location();

	STORE(there, 1);
	__asm__ volatile(LOOP_UNTIL_STOP : "+b"(address) : [stop] "m"(stop) : "cc", "memory");
	CHECK(address == __errno_location(), "%p", (void *)address);
}

static void hold_in_red_zone(void)
{
	uintptr_t found;

	STORE(there, 1);
	__asm__ volatile("leaq -256(%%rsp), %%rsp\n\t"
			 "movq %%fs:0, %%rax\n\t"
			 "movq %%rax, -128(%%rsp)\n\t"
			 "xorl %%eax, %%eax\n\t" LOOP_UNTIL_STOP "movq -128(%%rsp), %0\n\t"
			 "movq $0, -128(%%rsp)\n\t"
			 "leaq 256(%%rsp), %%rsp"
			 : "=a"(found)
			 : [stop] "m"(stop)
			 : "cc", "memory");
	CHECK(found == (uintptr_t)__builtin_thread_pointer(), "%#lx", (long)found);
}

static void hold_in_xmm(void)
{
	uintptr_t found;

	STORE(there, 1);
	__asm__ volatile("movq %%fs:0, %%rax\n\t"
			 "movq %%rax, %%xmm11\n\t"
			 "pslldq $8, %%xmm11\n\t" /* the upper half */
			 "xorl %%eax, %%eax\n\t" LOOP_UNTIL_STOP "psrldq $8, %%xmm11\n\t"
			 "movq %%xmm11, %0\n\t"
			 "pxor %%xmm11, %%xmm11"
			 : "=a"(found)
			 : [stop] "m"(stop)
			 : "cc", "memory", "xmm11");
	CHECK(found == (uintptr_t)__builtin_thread_pointer(), "%#lx", (long)found);
}

static void hold_in_zmm(void)
{
	uintptr_t found;

	STORE(there, 1);
	__asm__ volatile("movq %%fs:0, %%rax\n\t"
			 "vpbroadcastq %%rax, %%zmm27\n\t"
			 "xorl %%eax, %%eax\n\t" LOOP_UNTIL_STOP "vmovq %%xmm27, %0\n\t"
			 "vpxorq %%zmm27, %%zmm27, %%zmm27"
			 : "=a"(found)
			 : [stop] "m"(stop)
			 : "cc", "memory");
	CHECK(found == (uintptr_t)__builtin_thread_pointer(), "%#lx", (long)found);
}

static void hold_in_mmx(void)
{
	uintptr_t found;

	STORE(there, 1);
	__asm__ volatile("movq %%fs:0, %%rax\n\t"
			 "movq %%rax, %%mm5\n\t"
			 "xorl %%eax, %%eax\n\t" LOOP_UNTIL_STOP "movq %%mm5, %0\n\t"
			 "pxor %%mm5, %%mm5\n\t"
			 "emms"
			 : "=a"(found)
			 : [stop] "m"(stop)
			 : "cc", "memory");
	CHECK(found == (uintptr_t)__builtin_thread_pointer(), "%#lx", (long)found);
}

#endif

/* ---- libraries ----------------------------------------------------------------------------- */

static int numbers[64];

/* Holds in the middle of the sort. */
static int compare(const void *a, const void *b)
{
	static uint32_t calls;

	if (++calls == 100)
		loop_here();
	return *(const int *)a - *(const int *)b;
}

static void loop_in_comparator(void)
{
	for (int i = 0; i < 64; i++)
		numbers[i] = i * 37 % 64;
	qsort(numbers, 64, sizeof(numbers[0]), compare);
	for (int i = 0; i < 64; i++)
		CHECK(numbers[i] == i, "%d: %d", i, numbers[i]);
}

static int phdr_callback(struct dl_phdr_info *info, size_t size, void *count)
{
	(void)info, (void)size;
	if (++*(int *)count == 1)
		loop_here();
	return 0;
}

static void loop_in_callback(void)
{
	int count = 0;

	dl_iterate_phdr(phdr_callback, &count);
	CHECK(count > 1, "%d", count);
}

static void loop_in_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, loop_here);
}

/* One call of libc after the other: between them it may be moved. */
static void storm_in_libc(void)
{
	static char buffers[4][1 << 16];
	static uint32_t taken;
	char *from = buffers[ADD(taken, 2) - 2], *to = from + sizeof(buffers[0]);
	size_t size = sizeof(buffers[0]);

	memset(from, 'x', size - 1);
	STORE(there, 1);
	while (!LOAD(stop)) {
		memcpy(to, from, size);
		CHECK(strlen(to) == size - 1, "%zu", strlen(to));
		to[7] = 0;
		CHECK(strlen(to) == 7, "%zu", strlen(to));
	}
}

/* ---- stacks -------------------------------------------------------------------------------- */

/* Loops with so many more bytes on the stack, all 0. */
static void loop_below(size_t bytes)
{
	char *space = alloca(bytes);

	memset(space, 0, bytes);
	__asm__ volatile("" : : "r"(space) : "memory");
	loop_here();
	__asm__ volatile("" : : "r"(space) : "memory");
}

/* More than 1024 words. */
static void loop_deep_down(void)
{
	loop_below(1100 * sizeof(void *));
}

/* On a stack of two pages and what the runtime adds: less than two are left. */
static void loop_near_the_end(void)
{
	loop_below(7000);
}

static void on_signal(int sig)
{
	(void)sig;
	loop_here();
}

static void raise_with(int flags)
{
	struct sigaction action = { .sa_flags = flags }, former;

	action.sa_handler = on_signal;
	sigemptyset(&action.sa_mask);
	sigaction(SIGUSR1, &action, &former);
	raise(SIGUSR1);
	sigaction(SIGUSR1, &former, NULL);
}

/* A handler of the program's on the thread's alternate stack, which is the runtime's. */
static void loop_in_handler(void)
{
	raise_with(SA_ONSTACK);
}

/* The same on an alternate stack of the program's own. */
static void loop_in_handler_on_its_stack(void)
{
	stack_t own = { .ss_size = 256 * 1024 }, former;

	own.ss_sp = malloc(own.ss_size);
	urge_nopreempt_begin(); /* an alternate stack belongs to the thread */
	CHECK(own.ss_sp && sigaltstack(&own, &former) == 0, "");
	raise_with(SA_ONSTACK);
	sigaltstack(&former, NULL);
	urge_nopreempt_end();
	free(own.ss_sp);
}

/* On the goroutine's: the kernel's frame is there, whose return address is in libc. */
static void loop_in_handler_on_goroutine(void)
{
	raise_with(0);
}

/* ---- sections ------------------------------------------------------------------------------ */

static void loop_in_nopreempt(void)
{
	urge_nopreempt_begin();
	urge_nopreempt_begin();
	urge_nopreempt_end();
	loop_here();
	urge_nopreempt_end();
}

#if defined(__x86_64__)

/* A protection key's rights that are not the usual ones: they belong to the thread. */
static void loop_with_pkru(void)
{
	uint32_t usual;

	__asm__ volatile("rdpkru" : "=a"(usual) : "c"(0) : "edx");
	__asm__ volatile("wrpkru" : : "a"(usual ^ UINT32_C(0x80000000)), "c"(0), "d"(0));
	loop_here();
	__asm__ volatile("wrpkru" : : "a"(usual), "c"(0), "d"(0));
}

static bool have_pkru(void)
{
	uint32_t a = 7, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return c >> 4 & 1; /* OSPKE */
}

static bool have_avx512(void)
{
	return __builtin_cpu_supports("avx512f");
}

#endif

static bool always(void)
{
	return true;
}

/* ---- cases --------------------------------------------------------------------------------- */

enum { ANY = -2 }; /* moved sometimes, and refused for the reason sometimes */

static const struct refused {
	const char *name;
	void (*loop)(void);
	int reason, or_reason; /* ANY: between two states there is one where it may be moved */
	struct urge_attr attr;
	bool (*possible)(void);
} cases[] = {
#if defined(__x86_64__)
	{ "TLS address in a register", hold_in_register, LEFT_TLS_POINTER, 0, { 0 }, always },
	{ "TLS address in the red zone", hold_in_red_zone, LEFT_TLS_POINTER, 0, { 0 }, always },
	{ "TLS address in xmm", hold_in_xmm, LEFT_TLS_POINTER, 0, { 0 }, always },
	{ "TLS address in zmm", hold_in_zmm, LEFT_TLS_POINTER, 0, { 0 }, have_avx512 },
	{ "TLS address in mmx", hold_in_mmx, LEFT_TLS_POINTER, 0, { 0 }, always },
	{ "protection key", loop_with_pkru, LEFT_XSTATE, 0, { 0 }, have_pkru },
#endif
	{ "TLS address in a frame", hold_in_frame, LEFT_TLS_POINTER, 0, { 0 }, always },
	{ "in a comparator", loop_in_comparator, LEFT_FOREIGN_FRAME, 0, { 0 }, always },
	{ "in a callback of ld.so",
	  loop_in_callback,
	  LEFT_FOREIGN_FRAME,
	  LEFT_TLS_POINTER,
	  { 0 },
	  always },
	{ "in pthread_once", loop_in_once, LEFT_FOREIGN_FRAME, LEFT_TLS_POINTER, { 0 }, always },
	{ "in libc", storm_in_libc, LEFT_FOREIGN_PC, ANY, { 0 }, always },
	{ "deep stack", loop_deep_down, LEFT_DEEP, 0, { 0 }, always },
	{ "no room", loop_near_the_end, LEFT_HEADROOM, 0, { .stack_size = 8192 }, always },
	{ "handler on the runtime's altstack",
	  loop_in_handler,
	  LEFT_OTHER_STACK,
	  0,
	  { 0 },
	  always },
	{ "handler on its own altstack",
	  loop_in_handler_on_its_stack,
	  LEFT_OTHER_STACK,
	  0,
	  { 0 },
	  always },
	{ "handler on the goroutine's stack",
	  loop_in_handler_on_goroutine,
	  LEFT_FOREIGN_FRAME,
	  LEFT_TLS_POINTER,
	  { 0 },
	  always },
	{ "urge_nopreempt", loop_in_nopreempt, LEFT_NOPREEMPT, 0, { 0 }, always },
	{ "attribute", loop_here, LEFT_NOPREEMPT, 0, { .preempt = URGE_PREEMPT_OFF }, always },
};

static const struct refused *now;

static void in_this_case(void *unused)
{
	(void)unused;
	now->loop();
	urge_waitgroup_done(&done);
}

static void competitor(void *unused)
{
	(void)unused;
	if (now->or_reason == ANY)
		now->loop();
	while (!LOAD(stop))
		urge_yield();
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	int err;

	(void)unused;
	urge_gomaxprocs(1);
	spawn(&done, competitor, NULL);
	urge_waitgroup_add(&done, 1);
	err = urge_go_attr(&now->attr, in_this_case, NULL); /* the next to run */
	CHECK(err == 0, "%d", err);
	if (err)
		urge_waitgroup_done(&done);
	urge_waitgroup_wait(&done);
	return 0;
}

/* Until so many more requests have been answered, or with a reason, refused for it. */
static void wait_for_requests(struct urge_stats *stats, uint64_t more, int reason)
{
	struct urge_stats then;

	urge_stats_read(&then);
	do {
		doze(200 * URGE_US);
		urge_stats_read(stats);
	} while (reason >= 0 ? stats->preempt_left[reason] - then.preempt_left[reason] < more
			     : answered(stats) - answered(&then) < more);
}

static void direct(void)
{
	bool any = now->or_reason == ANY;
	struct urge_stats before, after;
	uint64_t refused, all;

	WAIT_UNTIL(LOAD(there));
	wait_for_requests(&before, 2, -1); /* those that were under way */
	wait_for_requests(&after, REQUESTS, any ? now->reason : -1);
	STORE(stop, 1);
	refused = after.preempt_left[now->reason] - before.preempt_left[now->reason];
	if (now->or_reason > 0)
		refused += after.preempt_left[now->or_reason] - before.preempt_left[now->or_reason];
	all = answered(&after) - answered(&before);
	printf("%s: %llu answered, %llu refused for the reason\n", now->name,
	       (unsigned long long)all, (unsigned long long)refused);
	if (!any && refused != all) {
		fail("%s", now->name);
		print_outcomes(&before);
	}
}

/* ---- the policy ---------------------------------------------------------------------------- */

static void plain_loop(void *unused)
{
	(void)unused;
	loop_here();
	urge_waitgroup_done(&done);
}

static int start_policy(void *unused)
{
	(void)unused;
	urge_gomaxprocs(1);
	spawn(&done, plain_loop, NULL);
	spawn(&done, plain_loop, NULL);
	urge_waitgroup_wait(&done);
	return 0;
}

/* Off: no request at all. On again: preempted. */
static void direct_policy(void)
{
	struct urge_stats before, after;

	CHECK(urge_set_preempt(99) == -EINVAL, "");
	CHECK(urge_set_preempt(URGE_PREEMPT_OFF) == 0, "");
	WAIT_UNTIL(LOAD(there));
	doze(20 * URGE_MS);
	urge_stats_read(&before);
	doze(50 * URGE_MS);
	urge_stats_read(&after);
	printf("policy off: %llu requests in 50 ms\n",
	       (unsigned long long)(after.preempt_requests - before.preempt_requests));
	CHECK(after.preempt_requests == before.preempt_requests, "");
	CHECK(urge_set_preempt(URGE_PREEMPT_INJECT) == 0, "");
	WAIT_UNTIL(injected() > before.preempt_injected + REQUESTS);
	CHECK(urge_set_preempt(URGE_PREEMPT_AUTO) == 0, "");
	STORE(stop, 1);
}

int main(void)
{
	begin((int64_t)env_number("SECONDS", 120));
	urge_set_time_slice(200 * URGE_US);
	urge_set_preempt(URGE_PREEMPT_INJECT);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		now = &cases[i];
		STORE(stop, 0);
		STORE(there, 0);
		if (now->possible())
			run_both(start, direct);
		else
			printf("%s: not on this processor\n", now->name);
	}
	STORE(stop, 0);
	STORE(there, 0);
	run_both(start_policy, direct_policy);
	return finish();
}
