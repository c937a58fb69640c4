/* SPDX-License-Identifier: MIT */
/*
 * A tracer that swallows every other SIGURG, as a debugger does that was told not to pass it on:
 * the process runs a program under it whose loops get no P but by preemption.
 */
#include "tests/programs/check.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { LOOPS = 3, INJECTIONS = 300 };

/* ---- the one that is traced ---------------------------------------------------------------- */

static uint32_t stop, turns[LOOPS];
static urge_waitgroup done;

static void loop(void *arg)
{
	uint32_t *own = arg;

	while (!LOAD(stop))
		ADD(*own, 1);
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	(void)unused;
	urge_set_time_slice(URGE_MS);
	urge_gomaxprocs(1);
	for (int i = 0; i < LOOPS; i++)
		spawn(&done, loop, &turns[i]);
	urge_waitgroup_wait(&done);
	return 0;
}

static void direct(void)
{
	uint64_t want = injected() + INJECTIONS;

	WAIT_UNTIL(injected() >= want);
	for (int i = 0; i < LOOPS; i++)
		CHECK(LOAD(turns[i]) > 0, "%d", i);
	STORE(stop, 1);
}

static int traced(void)
{
	struct urge_stats before;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
		printf("ptrace: %s\n", strerror(errno));
		return SKIPPED;
	}
	raise(SIGSTOP);
	begin((int64_t)env_number("SECONDS", 120));
	urge_stats_read(&before);
	run_both(start, direct);
	print_outcomes(&before);
	return finish();
}

/* ---- the tracer ---------------------------------------------------------------------------- */

static unsigned passed_on, swallowed;

/* What a stopped thread is to get when it goes on. */
static int signal_for(int status)
{
	int sig = WSTOPSIG(status);

	if (status >> 16 != 0 || sig == SIGSTOP || sig == SIGTRAP) /* a thread begins */
		return 0;
	if (sig == SIGURG && swallowed <= passed_on) {
		swallowed++;
		return 0;
	}
	passed_on += sig == SIGURG;
	return sig;
}

static int trace(pid_t child)
{
	int status;
	pid_t pid;

	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
	ptrace(PTRACE_CONT, child, NULL, NULL);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, pid, NULL, signal_for(status));
		else if (pid == child)
			break;
	}
	printf("%u requests passed on, %u swallowed\n", passed_on, swallowed);
	CHECK(swallowed >= INJECTIONS / 2, "%u", swallowed);
	CHECK(pid == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
	return finish();
}

int main(void)
{
	pid_t child = fork();

	if (child == 0)
		return traced();
	return child < 0 ? 1 : trace(child);
}
