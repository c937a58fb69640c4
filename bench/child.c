/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bench/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 100 };

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static _Noreturn void become(const struct child_spec *spec, int output)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int input = spec->input >= 0 ? spec->input : open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (input < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0)
		_exit(CHILD_NOT_FOUND);
	if (spec->gomaxprocs > 0) {
		char text[16];

		snprintf(text, sizeof(text), "%u", spec->gomaxprocs);
		setenv("GOMAXPROCS", text, 1);
	}
	execvp(spec->argv[0], spec->argv);
	_exit(CHILD_NOT_FOUND);
}

static void read_some(int fd, struct child_result *result, bool *end)
{
	char buffer[16384];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		*end = true;
		return;
	}
	result->out = realloc(result->out, result->length + (size_t)n + 1);
	if (!result->out)
		fail("output of a child");
	memcpy(result->out + result->length, buffer, (size_t)n);
	result->length += (size_t)n;
	result->out[result->length] = '\0';
}

void child_run(const struct child_spec *spec, struct child_result *result)
{
	int fds[2];
	int64_t start = now();

	*result = (struct child_result){ .out = calloc(1, 1) };
	if (!result->out || pipe2(fds, O_CLOEXEC) < 0)
		fail("pipe");
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0)
		become(spec, fds[1]);
	close(fds[1]);

	/* A child may close its output and go on: after the end of file only its death counts. */
	for (bool end = false;;) {
		struct pollfd pfd = { .fd = end ? -1 : fds[0], .events = POLLIN };
		pid_t dead = 0;

		if (poll(&pfd, 1, end ? 1 : TICK_MS) > 0)
			read_some(fds[0], result, &end);
		result->elapsed = now() - start;
		if (end)
			dead = waitpid(pid, &result->status, WNOHANG);
		if (dead == pid)
			break;
		if (!result->timed_out && result->elapsed > spec->limit) {
			result->timed_out = true;
			kill(pid, SIGKILL);
		}
		if (spec->tick)
			spec->tick(spec->arg, result->elapsed);
	}
	close(fds[0]);
}

bool child_succeeded(const struct child_result *result)
{
	return !result->timed_out && WIFEXITED(result->status) && WEXITSTATUS(result->status) == 0;
}

void child_describe(const struct child_result *result, char *text, size_t size)
{
	if (result->timed_out)
		snprintf(text, size, "killed by the watchdog after %.1f s",
			 (double)result->elapsed / 1e9);
	else if (WIFSIGNALED(result->status))
		snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(result->status),
			 strsignal(WTERMSIG(result->status)));
	else
		snprintf(text, size, "exit status %d", WEXITSTATUS(result->status));
}

void child_free(struct child_result *result)
{
	free(result->out);
	result->out = NULL;
}
