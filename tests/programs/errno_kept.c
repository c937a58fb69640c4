/* SPDX-License-Identifier: MIT */
/*
 * errno belongs to the goroutine. Some loop on a call that fails in a way of their own, with a
 * while between the call and the look at errno, and are preempted there; others set errno, yield,
 * sleep, or leave for a system call, and look. The script compiles it for several compilers and
 * levels: it is the compiler that keeps the address of errno.
 */
#include "tests/programs/check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

enum { SETTERS = 6 };

static uint32_t stop;
static uint64_t turns;
static urge_waitgroup done;
static int pipe_end;

static int fail_lseek(void)
{
	return (int)lseek(pipe_end, 0, SEEK_SET);
}

static int fail_mkdir(void)
{
	return mkdir("/", 0700);
}

static int fail_stat(void)
{
	struct stat st;

	return stat("/nonexistent", &st);
}

static int fail_dup(void)
{
	return dup(-1);
}

static int fail_sigaction(void)
{
	return sigaction(-1, NULL, NULL);
}

static int fail_chdir(void)
{
	return chdir("/dev/null");
}

static struct failing {
	const char *name;
	int (*call)(void);
	int expect;
	uint64_t turns;
} failing[] = {
	{ "lseek", fail_lseek, ESPIPE, 0 },         { "mkdir", fail_mkdir, EEXIST, 0 },
	{ "stat", fail_stat, ENOENT, 0 },           { "dup", fail_dup, EBADF, 0 },
	{ "sigaction", fail_sigaction, EINVAL, 0 }, { "chdir", fail_chdir, ENOTDIR, 0 },
};

enum { FAILING = sizeof(failing) / sizeof(failing[0]) };

/* Calls that fail, and a while in the program's own text before the look. */
static void fail_and_look(void *arg)
{
	struct failing *f = arg;

	while (!LOAD(stop)) {
		int result = f->call();
		int first = errno;

		for (volatile int i = 0; i < 3000; i++)
			;
		CHECK(result == -1 && first == f->expect && errno == f->expect,
		      "%s: %d, errno %d, then %d, not %d", f->name, result, first, errno,
		      f->expect);
		f->turns++;
	}
	urge_waitgroup_done(&done);
}

/* errno over everything that may bring the goroutine to another thread by its own will. */
static void set_and_look(void *arg)
{
	int base = 1000 * (1 + (int)(intptr_t)arg);

	for (int n = 0; !LOAD(stop); n = (n + 1) % 900) {
		errno = base + n;
		urge_yield();
		CHECK(errno == base + n, "%d, not %d, after a yield", errno, base + n);
		errno = base + n + 1;
		if (n % 16 == 0)
			urge_sleep(20 * URGE_US);
		CHECK(errno == base + n + 1, "%d, not %d, after a sleep", errno, base + n + 1);
		urge_entersyscall();
		if (n % 16 == 1)
			doze(100 * URGE_US); /* long enough for sysmon to take the P away */
		errno = base + n + 2;
		urge_exitsyscall();
		CHECK(errno == base + n + 2, "%d, not %d, after a system call", errno,
		      base + n + 2);
		ADD(turns, 1);
	}
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	(void)unused;
	urge_gomaxprocs(2);
	for (int i = 0; i < FAILING; i++)
		spawn(&done, fail_and_look, &failing[i]);
	for (int i = 0; i < SETTERS; i++)
		spawn(&done, set_and_look, (void *)(intptr_t)i);
	urge_waitgroup_wait(&done);
	return 0;
}

static uint64_t injections;

static void direct(void)
{
	uint64_t before = injected();

	urge_set_time_slice(50 * URGE_US);
	WAIT_UNTIL(injected() >= before + injections && LOAD(turns) >= 4 * injections);
	STORE(stop, 1);
}

int main(void)
{
	struct urge_stats before;
	int ends[2];

	begin((int64_t)env_number("SECONDS", 120));
	if (pipe(ends) != 0)
		return 1;
	pipe_end = ends[0];
	urge_stats_read(&before);
	injections = env_number("INJECTIONS", 2000);
	run_both(start, direct);
	for (int i = 0; i < FAILING; i++)
		CHECK(failing[i].turns > 0, "%s", failing[i].name);
	printf("%llu turns\n", (unsigned long long)turns);
	print_outcomes(&before);
	return finish();
}
