/* SPDX-License-Identifier: MIT */
/*
 * fork, from wherever it can be called, while other goroutines are preempted every 50 us inside of
 * everything: loops, malloc, channels, timers, locks, changes of GOMAXPROCS. A child that goes on
 * has a runtime of its own, with the goroutine that forked; one that only execs needs nothing.
 *
 * FORKS (60): how many children there are. A child that hangs is ended by SIGALRM, and so is found.
 *
 * Run with the name of a case it does that instead: see cases.
 */
#include "tests/programs/load.h"

#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

enum { FORKERS = 3, CHILD_SECONDS = 120 };

static urge_waitgroup forkers;
static uint64_t children;

/* ---- the child ------------------------------------------------------------------------------ */

/*
 * Handlers of the program's, as libraries have them: the lock is nobody's in the child, and what it
 * guards is whole. Goroutines hold it between urge_nopreempt_begin and its end
 * (docs/thread-affine.md).
 */
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static uint64_t guarded[2];
static uint32_t handled;

static void before_fork(void)
{
	pthread_mutex_lock(&guard);
}

static void after_fork(void)
{
	handled++;
	pthread_mutex_unlock(&guard);
}

static void count_guarded(void *unused)
{
	(void)unused;
	while (!LOAD(load_stop)) {
		urge_nopreempt_begin();
		pthread_mutex_lock(&guard);
		guarded[0]++;
		for (volatile int i = 0; i < 1000; i++)
			;
		guarded[1]++;
		pthread_mutex_unlock(&guard);
		urge_nopreempt_end();
		urge_yield();
	}
	urge_waitgroup_done(&load);
}

static void stop_and_start(void *unused)
{
	(void)unused;
	while (!LOAD(load_stop)) {
		urge_stop_the_world("now and then");
		urge_start_the_world();
		urge_sleep(2 * URGE_MS);
	}
	urge_waitgroup_done(&load);
}

/* In the child only: ends it with a status that tells the parent the line. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "child, line %d: %s\n", __LINE__, #condition);             \
			_exit(3);                                                                  \
		}                                                                                  \
	} while (0)

static urge_waitgroup family;
static urge_mutex summing;
static uint64_t sum;

static void add(void *arg)
{
	uint64_t n = 0;

	MUST(urge_recv(arg, &n) == 0);
	urge_sleep(10 * URGE_US);
	urge_mutex_lock(&summing);
	sum += n;
	urge_mutex_unlock(&summing);
	urge_waitgroup_done(&family);
}

static void answer(void *arg)
{
	const int *fd = arg;
	char byte;

	MUST(urge_read(fd[0], &byte, 1) == 1);
	MUST(urge_write(fd[3], &byte, 1) == 1);
	urge_waitgroup_done(&family);
}

static void pipes(void)
{
	int fd[4];
	char byte = 'x';

	MUST(pipe(fd) == 0 && pipe(fd + 2) == 0);
	urge_waitgroup_add(&family, 1);
	MUST(urge_go(answer, fd) == 0);
	MUST(urge_write(fd[1], &byte, 1) == 1);
	MUST(urge_read(fd[2], &byte, 1) == 1 && byte == 'x');
	urge_waitgroup_wait(&family);
	for (int i = 0; i < 4; i++)
		MUST(urge_close(fd[i]) == 0);
}

static void fan_out(int n)
{
	urge_chan *c = urge_chan_make(sizeof(uint64_t), 4);

	sum = 0;
	urge_waitgroup_add(&family, n);
	for (int i = 0; i < n; i++)
		MUST(urge_go(add, c) == 0);
	for (uint64_t i = 1; i <= (uint64_t)n; i++)
		MUST(urge_send(c, &i) == 0);
	urge_waitgroup_wait(&family);
	MUST(sum == (uint64_t)n * (uint64_t)(n + 1) / 2);
	urge_chan_free(c);
}

/* The runtime of a child that has just forked does what it is for. */
static void live(uint64_t goid)
{
	int64_t before = urge_now();

	MUST(urge_goid() == goid);
	MUST(urge_sleep(URGE_MS) == 0 && urge_now() - before >= URGE_MS);
	MUST(urge_num_goroutine() == 1);
	MUST(urge_gomaxprocs(0) == 1);
	fan_out(20);
	for (int i = 0; i < 20; i++)
		MUST(urge_gomaxprocs(1 + i * 7 % 5) >= 1);
	fan_out(100);
	MUST(urge_gomaxprocs(1) >= 1);
	pipes();
	while (urge_num_goroutine() > 1) /* they have told that they are done, and end */
		urge_yield();
}

static void child_begins(void)
{
	alarm(CHILD_SECONDS);
	signal(SIGALRM, SIG_DFL);
	MUST(handled > 0 && guarded[0] == guarded[1]);
	MUST(pthread_mutex_trylock(&guard) == 0 && pthread_mutex_unlock(&guard) == 0);
}

/* ---- waiting for it ------------------------------------------------------------------------- */

/* Without a P, and without a thread of its own. */
static int wait_for(pid_t pid)
{
	int fd = pidfd_open(pid, 0), status = -1;

	if (pid < 0 || fd < 0)
		return -1;
	CHECK(urge_fd_wait(fd, POLLIN, URGE_FOREVER) >= 0, "");
	urge_close(fd);
	CHECK(waitpid(pid, &status, WNOHANG) == pid, "");
	return status;
}

static void ends_well(const char *what, pid_t pid)
{
	int status = wait_for(pid);

	CHECK(status == 0, "%s: status 0x%x", what, (unsigned)status);
	ADD(children, 1);
}

/* ---- places to fork at ---------------------------------------------------------------------- */

static pid_t fork_and_live(void)
{
	uint64_t goid = urge_goid();
	pid_t pid = fork();

	if (pid == 0) {
		child_begins();
		live(goid);
		_exit(0);
	}
	return pid;
}

static void plainly(void)
{
	ends_well("plainly", fork_and_live());
}

static void then_exec(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		child_begins();
		execl("/bin/true", "true", (char *)NULL);
		_exit(4);
	}
	ends_well("then exec", pid);
}

/* As a daemon does, without a call of the runtime in between. */
static void twice(void)
{
	uint64_t goid = urge_goid();
	pid_t pid = fork();
	int status = 5;

	if (pid == 0) {
		child_begins();
		pid = fork();
		if (pid == 0) {
			child_begins();
			live(goid);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		_exit(status != 0);
	}
	ends_well("twice", pid);
}

static void in_turns(void)
{
	uint64_t goid = urge_goid();
	pid_t pid = fork();
	int status = 5;

	if (pid == 0) {
		child_begins();
		live(goid);
		pid = fork();
		if (pid == 0) {
			child_begins();
			live(goid);
			_exit(0);
		}
		status = wait_for(pid);
		live(goid);
		_exit(status != 0);
	}
	ends_well("in turns", pid);
}

static void unpreempted(void)
{
	uint64_t goid = urge_goid();
	pid_t pid;

	urge_nopreempt_begin();
	pid = fork();
	if (pid == 0)
		child_begins();
	urge_nopreempt_end();
	if (pid == 0) {
		live(goid);
		_exit(0);
	}
	ends_well("unpreempted", pid);
}

static void in_a_call(void)
{
	uint64_t goid = urge_goid();
	pid_t pid;

	urge_entersyscall();
	pid = fork();
	if (pid == 0)
		child_begins();
	urge_exitsyscall();
	if (pid == 0) {
		live(goid);
		_exit(0);
	}
	ends_well("in a declared call", pid);
}

static int fork_on_the_system_stack(void *arg)
{
	*(pid_t *)arg = fork();
	if (*(pid_t *)arg == 0)
		child_begins();
	return 0;
}

static void in_blocking(void)
{
	uint64_t goid = urge_goid();
	pid_t pid = -1;

	urge_blocking(fork_on_the_system_stack, &pid);
	if (pid == 0) {
		live(goid);
		_exit(0);
	}
	ends_well("in urge_blocking", pid);
}

static void locked(void)
{
	uint64_t goid = urge_goid();
	pid_t pid;

	urge_lock_os_thread();
	pid = fork();
	if (pid == 0) {
		child_begins();
		live(goid);
		urge_unlock_os_thread();
		live(goid);
		_exit(0);
	}
	urge_unlock_os_thread();
	ends_well("locked to the thread", pid);
}

static int main_again(void *unused)
{
	(void)unused;
	urge_gomaxprocs(1);
	live(1);
	return 7;
}

static void *fork_in_a_thread(void *pid)
{
	*(pid_t *)pid = fork();
	if (*(pid_t *)pid == 0) {
		child_begins();
		MUST(urge_go(answer, NULL) == -EPERM);
		MUST(urge_main(main_again, NULL) == 7);
		MUST(urge_main(main_again, NULL) == 7);
		_exit(0);
	}
	return NULL;
}

/* A thread that is no M: its child has no goroutine, and may call urge_main. */
static void in_a_thread(void)
{
	pthread_t thread;
	pid_t pid = -1;

	CHECK(pthread_create(&thread, NULL, fork_in_a_thread, &pid) == 0, "");
	urge_entersyscall();
	pthread_join(thread, NULL);
	urge_exitsyscall();
	ends_well("in a thread", pid);
}

static void (*const places[])(void) = {
	plainly, then_exec, twice,       in_turns,    unpreempted,
	plainly, in_a_call, in_blocking, in_a_thread, locked,
};

enum { PLACES = sizeof(places) / sizeof(places[0]) };

static void forker(void *arg)
{
	uint64_t forks = env_number("FORKS", 60), first = (uint64_t)(uintptr_t)arg;

	for (uint64_t i = first; i < forks; i += FORKERS)
		places[i % PLACES]();
	urge_waitgroup_done(&forkers);
}

/* ---- single cases --------------------------------------------------------------------------- */

static urge_waitgroup never;

/* The others are gone: who waits for one of them waits alone. */
static int lonely(void *unused)
{
	int status;
	pid_t pid;

	(void)unused;
	urge_waitgroup_add(&never, 1);
	pid = fork();
	if (pid == 0)
		urge_waitgroup_wait(&never);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

/* Goroutine 1 returns in the child: that is the end of the process, as it is in a C program. */
static int returns(void *unused)
{
	pid_t pid = fork();
	int status;

	(void)unused;
	if (pid == 0)
		return 23;
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

/* fork takes malloc's locks, which somebody who stands still may hold. */
static int stopped(void *unused)
{
	(void)unused;
	urge_stop_the_world("fork");
	return fork();
}

/* A handler that interrupted a goroutine's own code may fork, and return in the child. */
static pid_t from_handler;

static void fork_in_handler(int signo)
{
	(void)signo;
	from_handler = fork();
}

static int handler(void *unused)
{
	int status;

	(void)unused;
	signal(SIGUSR1, fork_in_handler);
	raise(SIGUSR1);
	if (from_handler == 0) {
		child_begins();
		live(1);
		return 24;
	}
	waitpid(from_handler, &status, 0);
	return WEXITSTATUS(status);
}

static const struct {
	const char *name;
	int (*fn)(void *);
} cases[] = {
	{ "lonely", lonely }, { "returns", returns }, { "stopped", stopped }, { "handler", handler }
};

/* Without a runtime a child is as its parent. */
static void without_a_runtime(const char *when)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		child_begins();
		MUST(urge_main(main_again, NULL) == 7);
		MUST(urge_main(main_again, NULL) == 7);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	CHECK(status == 0, "%s: 0x%x", when, (unsigned)status);
}

/* ---- all ------------------------------------------------------------------------------------ */

static int start(void *unused)
{
	(void)unused;
	load_begin();
	spawn(&load, count_guarded, NULL);
	spawn(&load, stop_and_start, NULL);
	for (uintptr_t i = 0; i < FORKERS; i++)
		spawn(&forkers, forker, (void *)i);
	urge_waitgroup_wait(&forkers);
	load_end();
	return 0;
}

int main(int argc, char **argv)
{
	begin(300);
	pthread_atfork(before_fork, after_fork, after_fork);
	for (unsigned i = 0; argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name))
			return urge_main(cases[i].fn, NULL);
	without_a_runtime("before");
	run_both(start, NULL);
	without_a_runtime("after");
	printf("%llu children, %llu changes of GOMAXPROCS\n", (unsigned long long)children,
	       (unsigned long long)load_resizes);
	return finish();
}
