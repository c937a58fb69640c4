/* SPDX-License-Identifier: MIT */
/*
 * echo: a TCP server that sends 64 bytes back, a goroutine for each connection, under the load of
 * echo_load.h, which has the second CPU that the process may use. Server and load are processes.
 *	core0		the server has the first CPU
 *	core0.loops2	the same, with two tight loops in the server
 *	both		the server has all CPUs, the load's too
 *	both.loops2	the same, with two tight loops
 *	*.loops2.libc	with two loops in libc (bench/loops.h) instead
 *	C_epoll.core0	no runtime: a loop around epoll_wait on the first CPU, what the kernel takes
 *
 * After 0.5 s come windows of 2 s, of 3 s with loops; one is a repetition.
 *	rate			requests per second
 *	p50, p99, p99.9, max	latency, us
 *	cpu			CPU time of the server per request, its loops included
 *	conn_fairness_max_over_min	answers to the luckiest connection, over those to the unluckiest
 *
 * With --server PROGRAM it is not our server that is measured but `PROGRAM -addr HOST:PORT -loops
 * N`; the twin is w12_echo, so that both are under the same load.
 */
#include "bench/echo_load.h"
#include "bench/floor/epoll.h"
#include "bench/loops.h"
#include "bench/workloads.h"
#include "urge.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Parameters of the workloads. */
enum { LOOPS = 1, BOTH_CPUS = 2, EPOLL = 4, IN_LIBC = 8 };
enum { LOOP_COUNT = 2, MESSAGE = 64 };

static int check(int result, const char *what)
{
	bench_check(result < 0 ? -errno : 0, what);
	return result;
}

/* ---- our server ---------------------------------------------------------------------------- */

struct server {
	uint16_t port;
	unsigned loops;
	enum loop_kind kind;
};

static void echo(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[MESSAGE];
	ssize_t n;

	while ((n = urge_read(fd, buf, sizeof(buf))) > 0)
		if (urge_write(fd, buf, (size_t)n) < 0)
			break;
	urge_close(fd);
}

static int serve(void *arg)
{
	const struct server *server = arg;
	struct loops loops = { .kind = server->kind };
	char port[8];

	snprintf(port, sizeof(port), "%u", server->port);
	int listener = urge_listen_tcp("127.0.0.1", port, 0), fd;
	bench_check(listener, "urge_listen_tcp");
	loops_start(&loops, server->loops);
	while ((fd = urge_accept(listener, NULL, NULL)) >= 0)
		bench_check(urge_go(echo, (void *)(intptr_t)fd), "urge_go");
	return fd;
}

/* ---- the server without a runtime ---------------------------------------------------------- */

static bool echo_once(int fd)
{
	char buf[MESSAGE];
	ssize_t n = read(fd, buf, sizeof(buf));

	return n > 0 && write(fd, buf, (size_t)n) == n;
}

static _Noreturn void serve_by_epoll(uint16_t port)
{
	epoll_floor(port, echo_once);
}

/* ---- processes ----------------------------------------------------------------------------- */

/* The CPU number n of those that the process may use; the last one if there are fewer. */
static int allowed_cpu(int n)
{
	cpu_set_t allowed;
	int last = 0;

	check(sched_getaffinity(0, sizeof(allowed), &allowed), "sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE && n >= 0; cpu++) {
		if (CPU_ISSET(cpu, &allowed)) {
			last = cpu;
			n--;
		}
	}
	return last;
}

static void pin(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	check(sched_setaffinity(0, sizeof(one), &one), "sched_setaffinity");
}

/* One that is free now. */
static uint16_t free_port(void)
{
	struct sockaddr_in addr = { 0 };
	socklen_t len = sizeof(addr);
	int fd = epoll_floor_listen(0);

	check(getsockname(fd, (struct sockaddr *)&addr, &len), "getsockname");
	close(fd);
	return ntohs(addr.sin_port);
}

static _Noreturn void become_program(const char *program, const struct server *server)
{
	char addr[32], loops[16];
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	snprintf(addr, sizeof(addr), "127.0.0.1:%u", server->port);
	snprintf(loops, sizeof(loops), "%u", server->loops);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execl(program, program, "-addr", addr, "-loops", loops, NULL);
	_exit(CHILD_NOT_FOUND);
}

/* In the server's process. Its input is a pipe that we never write to: the twin ends with it. */
static _Noreturn void become_server(const struct bench_run *run, struct server *server, int input)
{
	const char *program = getenv(BENCH_SERVER_VARIABLE);
	long parameter = run->workload->parameter;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(input, STDIN_FILENO);
	if (!(parameter & BOTH_CPUS))
		pin(allowed_cpu(0));
	if (parameter & EPOLL)
		serve_by_epoll(server->port);
	if (program)
		become_program(program, server);
	_exit(urge_main(serve, server) ? 1 : 0);
}

static int64_t cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	bench_check(-clock_getcpuclockid(pid, &clock), "the server's CPU time");
	check(clock_gettime(clock, &t), "the server's CPU time");
	return (int64_t)t.tv_sec * URGE_S + t.tv_nsec;
}

/* ---- the measurement ----------------------------------------------------------------------- */

static void report(const struct bench_run *run, const struct echo_window *window, int64_t cpu)
{
	static const struct {
		const char *tail;
		double share;
	} percentiles[] = { { ".p50", .5 }, { ".p99", .99 }, { ".p99.9", .999 }, { ".max", 1 } };
	const char *stem = run->workload->name;
	size_t answers = window->latency.n;

	bench_sample(run, stem, ".rate", window->rate, "req/s");
	bench_sample(run, stem, ".conn_fairness_max_over_min", window->fairness, "ratio");
	if (answers == 0)
		return;
	bench_sample(run, stem, ".cpu", (double)cpu / 1e3 / (double)answers, "cpu-us/req");
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
		bench_sample(run, stem, percentiles[i].tail,
			     samples_percentile(&window->latency, percentiles[i].share) / 1e3,
			     "us");
}

static int measure(const struct bench_run *run)
{
	long parameter = run->workload->parameter;
	struct server server = {
		.port = free_port(),
		.loops = parameter & LOOPS ? LOOP_COUNT : 0,
		.kind = parameter & IN_LIBC ? LOOP_LIBC : LOOP_TIGHT,
	};
	int64_t length = (parameter & LOOPS ? 3 : 2) * URGE_S;
	struct echo_window window;
	int input[2];

	check(pipe2(input, O_CLOEXEC), "pipe");
	pid_t pid = check(fork(), "fork");
	if (pid == 0)
		become_server(run, &server, input[0]);
	pin(allowed_cpu(1));
	struct echo_load *load = echo_load_new(server.port, &echo_64_bytes);
	echo_load_window(load, URGE_S / 2, &window);
	for (unsigned i = 0; i < run->reps; i++) {
		int64_t cpu = cpu_ns(pid);

		echo_load_window(load, length, &window);
		report(run, &window, cpu_ns(pid) - cpu);
	}
	echo_load_free(load);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}

#define ECHO_FIGURES(stem)                                                                         \
	stem ".rate", stem ".p50", stem ".p99", stem ".p99.9", stem ".max", stem ".cpu",           \
		stem ".conn_fairness_max_over_min", NULL

#define ECHO_WORKLOAD(which, ps, text, flags)                                                      \
	{                                                                                          \
		.name = "echo." which, .what = text, .procs = (const unsigned[]){ ps, 0 },         \
		.unnumbered = true,                                                                \
		.figures = (const char *const[]){ ECHO_FIGURES("echo." which) }, .seconds = 30,    \
		.parameter = flags, .process = measure,                                            \
	}

const struct workload echo_epoll_workload =
	ECHO_WORKLOAD("C_epoll.core0", 1, "the same by epoll, without a runtime", EPOLL);
const struct workload echo_core0_workload =
	ECHO_WORKLOAD("core0", 1, "TCP echo, 64 connections, the server on one CPU", 0);
const struct workload echo_core0_loops2_workload =
	ECHO_WORKLOAD("core0.loops2", 1, "the same with two tight loops in the server", LOOPS);
const struct workload echo_both_workload =
	ECHO_WORKLOAD("both", 2, "TCP echo, the server on all CPUs", BOTH_CPUS);
const struct workload echo_both_loops2_workload = ECHO_WORKLOAD(
	"both.loops2", 2, "the same with two tight loops in the server", LOOPS | BOTH_CPUS);
const struct workload echo_core0_loops2_libc_workload =
	ECHO_WORKLOAD("core0.loops2.libc", 1, "the same with two loops in libc", LOOPS | IN_LIBC);
const struct workload echo_both_loops2_libc_workload = ECHO_WORKLOAD(
	"both.loops2.libc", 2, "the same with two loops in libc", LOOPS | BOTH_CPUS | IN_LIBC);
