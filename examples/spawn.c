/* SPDX-License-Identifier: MIT */
/*
 * Runs other programs, as a service does: the output comes through a pipe, the end by a pidfd. Both
 * are waited for like a socket, so neither a P nor a thread is held meanwhile, and a deadline ends
 * the wait. (waitpid would block the thread; SIGCHLD would tell of all children at once.)
 *
 * posix_spawn rather than fork and exec: it copies nothing, and between fork and exec little is
 * allowed in a program with threads.
 *
 * Usage: spawn COMMAND [ARGUMENT ...]
 *   Runs the command five times at once, for ten seconds at most, and prints what each has said and
 *   how it ended. Exit status 0 if all have ended with 0, else 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <urge.h>

enum { TIMES = 5, OUTPUT_MAX = 4096 };

extern char **environ;

struct child {
	char **argv;
	int result; /* as of waitpid, or -errno */
	char output[OUTPUT_MAX];
};

static urge_waitgroup ended;

/* Starts it with its standard output in out[1]. Its pid, or -errno. */
static pid_t start_child(char **argv, const int out[2])
{
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;
	int err;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	urge_entersyscall(); /* it blocks until the child has called exec */
	err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	urge_exitsyscall();
	posix_spawn_file_actions_destroy(&actions);
	return err ? -err : pid;
}

/* Reads to the end, or to the deadline; what is too much is dropped. 0 or -errno. */
static int read_all(int fd, char *text, size_t size, int64_t deadline)
{
	size_t have = 0;

	for (;;) {
		char buffer[512];
		ssize_t n = urge_read_until(fd, buffer, sizeof(buffer), deadline);

		if (n <= 0)
			return (int)n;
		if ((size_t)n > size - 1 - have)
			n = (ssize_t)(size - 1 - have);
		memcpy(text + have, buffer, (size_t)n);
		have += (size_t)n;
		text[have] = '\0';
	}
}

/* Waits until it has ended; kills it at the deadline. Its status, or -errno. */
static int wait_for(pid_t pid, int64_t deadline)
{
	int fd = pidfd_open(pid, 0), status;

	if (fd < 0)
		return -errno;
	if (urge_fd_wait(fd, POLLIN, deadline) < 0) {
		kill(pid, SIGKILL);
		urge_fd_wait(fd, POLLIN, URGE_FOREVER);
	}
	urge_close(fd);
	return waitpid(pid, &status, 0) == pid ? status : -errno; /* it has ended: no waiting */
}

static int run(char **argv, char *output, size_t size, int64_t deadline)
{
	int out[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	pid = start_child(argv, out);
	urge_close(out[1]);
	if (pid > 0)
		read_all(out[0], output, size, deadline);
	urge_close(out[0]);
	return pid < 0 ? pid : wait_for(pid, deadline);
}

static void run_child(void *arg)
{
	struct child *child = arg;

	child->result =
		run(child->argv, child->output, sizeof(child->output), urge_now() + 10 * URGE_S);
	urge_waitgroup_done(&ended);
}

static int start(void *argv)
{
	static struct child children[TIMES];
	int failed = 0;

	urge_waitgroup_add(&ended, TIMES);
	for (int i = 0; i < TIMES; i++) {
		children[i].argv = argv;
		urge_go(run_child, &children[i]);
	}
	urge_waitgroup_wait(&ended);
	for (int i = 0; i < TIMES; i++) {
		int result = children[i].result;

		failed |= result != 0;
		if (result < 0)
			printf("%s\n", strerror(-result));
		else if (WIFSIGNALED(result))
			printf("%s[killed by signal %d]\n", children[i].output, WTERMSIG(result));
		else
			printf("%s[exit status %d]\n", children[i].output, WEXITSTATUS(result));
	}
	return failed;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s COMMAND [ARGUMENT ...]\n", argv[0]);
		return 1;
	}
	return urge_main(start, argv + 1);
}
