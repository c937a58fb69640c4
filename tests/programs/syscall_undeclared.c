/* SPDX-License-Identifier: MIT */
/*
 * Calls that block in the kernel and were not declared.
 *
 *	many	200 goroutines sleep 10 ms in the kernel, on 2 Ps: they sleep at the same time, and a
 *		goroutine that wants to run every ms does: not behind 61 of them, whom it would
 *		wait for by the count of goroutines alone.
 *	race	short sleeps between short computations, beside loops, at slices of 50 us: a signal
 *		may still hit a thread that has just gone to sleep. libc's call is repeated then, one
 *		in assembly whose number is loaded right before it, and one by syscall() if that
 *		is ours; else it returns EINTR, seldom, and it is counted.
 *	stray	one that comes back from the kernel without its P, and computes: it is preempted.
 */
#include "tests/programs/check.h"

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { SLEEPERS = 200, LOOPS = 3, RACERS = 3 };

static uint32_t stop, begun, slept, calls, interrupted, libc_interrupted, ticks, turns;
static int64_t worst;
static uint32_t worst_begun; /* sleepers between two ticks */
static urge_waitgroup done, sleeping;
static struct urge_stats before; /* the run */

static long sleep_raw(int64_t ns)
{
	struct timespec length = { ns / URGE_S, ns % URGE_S };

	return syscall(SYS_nanosleep, &length, NULL);
}

/* The number right before the call, as in libc. */
static long sleep_asm(const struct timespec *length)
{
#ifdef __x86_64__
	long result;

	__asm__ volatile("mov %[number], %%eax\n\t"
			 "syscall"
			 : "=&a"(result)
			 : [number] "i"(SYS_nanosleep), "D"(length), "S"(0)
			 : "rcx", "r11", "memory");
	return result;
#else
	return nanosleep(length, NULL);
#endif
}

static void loop(void *unused)
{
	(void)unused;
	while (!LOAD(stop))
		;
	urge_waitgroup_done(&done);
}

/* ---- many ---------------------------------------------------------------------------------- */

static void sleeper(void *unused)
{
	(void)unused;
	ADD(begun, 1);
	if (sleep_raw(10 * URGE_MS) != 0)
		ADD(interrupted, 1);
	ADD(slept, 1);
	urge_waitgroup_done(&sleeping);
}

static void ticker(void *unused)
{
	(void)unused;
	while (!LOAD(stop)) {
		int64_t start = urge_now(), late;
		uint32_t before = LOAD(begun), meanwhile;

		urge_sleep(URGE_MS);
		late = urge_now() - start - URGE_MS;
		worst = late > worst ? late : worst;
		meanwhile = LOAD(begun) - before;
		worst_begun = meanwhile > worst_begun ? meanwhile : worst_begun;
		ticks++;
	}
	urge_waitgroup_done(&done);
}

static int start_many(void *unused)
{
	int64_t begin, took = INT64_MAX;

	(void)unused;
	urge_gomaxprocs(2);
	spawn(&done, ticker, NULL);
	worst_begun = SLEEPERS;
	for (int attempt = 0; attempt < 20 && (took > 500 * URGE_MS || worst_begun > 50);
	     attempt++) {
		worst = 0;
		worst_begun = 0;
		begin = urge_now();
		for (int i = 0; i < SLEEPERS; i++)
			spawn(&sleeping, sleeper, NULL);
		urge_waitgroup_wait(&sleeping);
		took = urge_now() - begin;
		printf("200 sleeps of 10 ms on 2 Ps: %lld ms; a ticker was late by %lld us, and by %u of "
		       "them, at most\n",
		       (long long)(took / URGE_MS), (long long)(worst / URGE_US), worst_begun);
	}
	CHECK(took <= 500 * URGE_MS, "one after the other takes 1 s");
	CHECK(worst_begun <= 50, "%u", worst_begun);
	CHECK(interrupted <= SLEEPERS / 50, "%u", interrupted);
	STORE(stop, 1);
	urge_waitgroup_wait(&done);
	return 0;
}

/* ---- race ---------------------------------------------------------------------------------- */

static void racer(void *seed)
{
	uint64_t random = (uint64_t)(uintptr_t)seed;
	struct timespec length = { 0 };

	while (!LOAD(stop)) {
		for (uint64_t n = random_next(&random) % 40000; n > 0; n--)
			__asm__ volatile("");
		if (sleep_raw((int64_t)(random_next(&random) % 100000)) != 0)
			ADD(interrupted, 1);
		for (uint64_t n = random_next(&random) % 40000; n > 0; n--)
			__asm__ volatile("");
		length.tv_nsec = (long)(random_next(&random) % 100000);
		switch (random_next(&random) % 3) {
		case 0:
			ADD(libc_interrupted, nanosleep(&length, NULL) != 0);
			break;
		case 1:
			ADD(libc_interrupted, sleep_asm(&length) != 0);
			break;
		default:
			ADD(libc_interrupted, poll(NULL, 0, length.tv_nsec % 2) != 0);
			break;
		}
		ADD(calls, 1);
	}
	urge_waitgroup_done(&done);
}

static int start_race(void *unused)
{
	uint64_t seed = random_seed();

	(void)unused;
	urge_set_time_slice(50 * URGE_US);
	urge_gomaxprocs(2);
	for (int i = 0; i < LOOPS; i++)
		spawn(&done, loop, NULL);
	for (uintptr_t i = 0; i < RACERS; i++)
		spawn(&done, racer, (void *)(seed + 2 * i));
	urge_waitgroup_wait(&done);
	return 0;
}

static bool syscall_is_ours(void)
{
	Dl_info info;

	return dladdr((void *)syscall, &info) && !strstr(info.dli_fname, "libc.so");
}

static void direct_race(void)
{
	struct urge_stats after;

	WAIT_UNTIL(LOAD(calls) >= env_number("CALLS", 10000));
	STORE(stop, 1);
	urge_stats_read(&after);
	print_outcomes(&before);
	printf("%u calls of each kind: raw %u, libc's %u interrupted, %llu counted\n", calls,
	       LOAD(interrupted), LOAD(libc_interrupted),
	       (unsigned long long)(after.preempt_eintr - before.preempt_eintr));
	CHECK(LOAD(interrupted) <= LOAD(calls) / (syscall_is_ours() ? 2000 : 50), "");
	/* none, unless the thread gets no CPU for 10 ms just then */
	CHECK(LOAD(libc_interrupted) <= LOAD(calls) / 2000, "%u", LOAD(libc_interrupted));
	CHECK(after.preempt_eintr - before.preempt_eintr >= LOAD(interrupted), "");
}

/* ---- stray --------------------------------------------------------------------------------- */

static uint32_t came_back;

static void stray(void *unused)
{
	struct urge_stats now;

	(void)unused;
	do { /* on a busy machine sysmon may be late */
		sleep_raw(5 * URGE_MS);
		urge_stats_read(&now);
	} while (now.preempt_revoked == before.preempt_revoked);
	STORE(came_back, 1);
	while (!LOAD(stop))
		ADD(turns, 1);
	urge_waitgroup_done(&done);
}

/* One P, which the loop keeps: the stray is stopped, and from then on has its share. */
static int start_stray(void *unused)
{
	(void)unused;
	urge_set_time_slice(2 * URGE_MS);
	urge_gomaxprocs(1);
	spawn(&done, loop, NULL);
	spawn(&done, stray, NULL);
	urge_waitgroup_wait(&done);
	return 0;
}

static void direct_stray(void)
{
	struct urge_stats after;

	WAIT_UNTIL(LOAD(came_back));
	do {
		doze(URGE_MS);
		urge_stats_read(&after);
	} while (after.preempt_injected + after.preempt_parked <
		 before.preempt_injected + before.preempt_parked + 20);
	STORE(stop, 1);
	print_outcomes(&before);
}

/* As in a container whose filter forbids it: the program begins anew with it. */
static void forbid_membarrier(char **argv)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "%d", errno);
	printf("without membarrier\n");
	unsetenv("NO_MEMBARRIER");
	execv("/proc/self/exe", argv);
	fail("execv: %d", errno);
}

int main(int argc, char **argv)
{
	(void)argc;
	begin((int64_t)env_number("SECONDS", 120));
	if (getenv("NO_MEMBARRIER"))
		forbid_membarrier(argv);
	run_both(start_many, NULL);
	STORE(stop, 0);
	STORE(interrupted, 0);
	urge_stats_read(&before);
	run_both(start_race, direct_race);
	STORE(stop, 0);
	urge_stats_read(&before);
	run_both(start_stray, direct_stray);
	return finish();
}
