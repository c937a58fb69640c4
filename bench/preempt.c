/* SPDX-License-Identifier: MIT */
/*
 * preempt.sleep: K tight loops as goroutines beside one goroutine: t0; urge_sleep(1 ms); lateness =
 * now - t0 - 1 ms. A repetition is a window of 1.5 s with K = 4, and of 0.5 s with K = 0, the
 * reference without load. The twin is w09_preempt -mode sleep -secs 1.5, and -loops 0 -secs 0.5.
 *
 * preempt.poll: the same, but the goroutine is woken by a process at the other end of a socket
 * pair, which sleeps for 1 to 5 ms, writes the time, and waits for a byte. Lateness = now - that
 * time. The twin is w09_preempt -mode poll.
 *
 * preempt.sleep.libc, preempt.poll.libc: the same beside 4 loops in libc (bench/loops.h), without a
 * twin.
 *
 * preempt.malloc: beside 4 loops of malloc and free, the goroutine sleeps 1 ms and calls malloc;
 * not its lateness is taken, but how long the call lasts: whoever holds the arena's lock may be
 * stopped.
 *
 * preempt.sleep.thread, preempt.poll.thread: in between, with the same loops running, windows of
 * 0.5 s in which not the goroutine but a thread that the runtime knows nothing of sleeps 1 ms by
 * clock_nanosleep: what the kernel gives on this machine at this moment. The two take turns,
 * because a thread that wakes 1000 times a second takes CPU from the loops and would change what it
 * is compared with. The thread is an ordinary one, with the default scheduling policy and timer
 * slack; it is made before boot, since a thread inherits the slack of its maker.
 */
#include "bench/loops.h"
#include "bench/workloads.h"
#include "urge.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREAD_WINDOW (500 * URGE_MS)

struct measurement {
	/* constant */
	const struct bench_run *run;
	int64_t (*lateness)(const struct measurement *m); /* of one wake-up of the goroutine */
	enum loop_kind loops;
	int writer; /* the socket of preempt.poll */
	/* goroutine 1 hands a window to the thread with `turn`, the thread gives it back */
	sem_t turn;
	urge_waitgroup turn_over;
	struct samples *thread_window; /* NULL: end */
};

static int64_t goroutine_sleep(const struct measurement *m)
{
	int64_t start = urge_now();

	(void)m;
	urge_sleep(URGE_MS);
	return urge_now() - start - URGE_MS;
}

static int64_t goroutine_malloc(const struct measurement *m)
{
	char *volatile block;
	int64_t start, end;

	(void)m;
	urge_sleep(URGE_MS);
	start = urge_now();
	block = malloc(3000);
	end = urge_now();
	free(block);
	return end - start;
}

static int64_t thread_sleep(const struct measurement *m)
{
	struct timespec length = { .tv_nsec = URGE_MS };
	int64_t start = urge_now();

	(void)m;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &length, NULL);
	return urge_now() - start - URGE_MS;
}

/* Asks for the sample first: while others have their turn none is on its way. */
static int64_t goroutine_poll(const struct measurement *m)
{
	int64_t stamp = 0;
	ssize_t n = urge_write(m->writer, "", 1);

	if (n == 1)
		n = urge_read(m->writer, &stamp, sizeof(stamp));
	bench_check(n == sizeof(stamp) ? 0 : n < 0 ? (int)n : -EIO, "the writer's socket");
	return urge_now() - stamp;
}

/* Samples for a window of `length`; never more than one a ms. */
static void sample(const struct measurement *m, struct samples *samples, int64_t length,
		   int64_t (*lateness)(const struct measurement *m))
{
	int64_t end = urge_now() + length;

	samples_reserve(samples, (size_t)(length / URGE_MS) + 1);
	while (urge_now() < end)
		samples_add(samples, (double)lateness(m));
}

static void *sleeping_thread(void *arg)
{
	struct measurement *m = arg;

	for (;;) {
		while (sem_wait(&m->turn) < 0)
			continue;
		if (!m->thread_window)
			return NULL;
		sample(m, m->thread_window, THREAD_WINDOW, thread_sleep);
		urge_waitgroup_done(&m->turn_over);
	}
}

static void measure(struct measurement *m, unsigned count, int64_t window)
{
	unsigned n = m->run->reps;
	struct samples *goroutine = calloc(n, sizeof(*goroutine)),
		       *thread = calloc(n, sizeof(*thread));
	struct loops loops = { .kind = m->loops };
	char stem[48];

	bench_check(goroutine && thread ? 0 : -ENOMEM, m->run->workload->name);
	loops_start(&loops, count);
	urge_yield();
	for (unsigned i = 0; i < n; i++) {
		sample(m, &goroutine[i], window, m->lateness);

		m->thread_window = &thread[i];
		urge_waitgroup_add(&m->turn_over, 1);
		urge_external_begin();
		sem_post(&m->turn);
		urge_waitgroup_wait(&m->turn_over);
		urge_external_end();
	}
	loops_halt(&loops);
	loops_join(&loops);

	snprintf(stem, sizeof(stem), "%s.loops%u", m->run->workload->name, count);
	bench_distribution(m->run, stem, goroutine, n);
	snprintf(stem, sizeof(stem), "%s.thread.loops%u", m->run->workload->name, count);
	bench_distribution(m->run, stem, thread, n);
	free(goroutine);
	free(thread);
}

static int measure_all(void *arg)
{
	struct measurement *m = arg;

	if (m->loops == LOOP_TIGHT) /* without loops it is the same */
		measure(m, 0, 500 * URGE_MS);
	measure(m, 4, 1500 * URGE_MS);
	return 0;
}

static int measure_beside_thread(struct measurement *m)
{
	pthread_t thread;

	sem_init(&m->turn, 0, 0);
	bench_check(-pthread_create(&thread, NULL, sleeping_thread, m), "pthread_create");
	int err = urge_main(measure_all, m);
	m->thread_window = NULL;
	sem_post(&m->turn);
	pthread_join(thread, NULL);
	return err;
}

static int preempt_sleep(const struct bench_run *run)
{
	struct measurement m = {
		.run = run,
		.lateness = goroutine_sleep,
		.loops = (enum loop_kind)run->workload->parameter,
	};

	return measure_beside_thread(&m);
}

static int preempt_malloc(const struct bench_run *run)
{
	struct measurement m = {
		.run = run,
		.lateness = goroutine_malloc,
		.loops = LOOP_MALLOC,
	};

	return measure_beside_thread(&m);
}

/* The process at the other end; it ends with its socket. */
static _Noreturn void write_stamps(int fd)
{
	unsigned seed = 12345;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(fd, &byte, 1) == 1) {
		struct timespec pause = { .tv_nsec = (1000 + rand_r(&seed) % 4001) * 1000L };

		nanosleep(&pause, NULL);
		int64_t stamp = urge_now();
		if (write(fd, &stamp, sizeof(stamp)) != sizeof(stamp))
			break;
	}
	_exit(0);
}

static int preempt_poll(const struct bench_run *run)
{
	struct measurement m = {
		.run = run,
		.lateness = goroutine_poll,
		.loops = (enum loop_kind)run->workload->parameter,
	};
	int fds[2];
	pid_t pid;

	bench_check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 ? -errno : 0, "socketpair");
	pid = fork();
	bench_check(pid < 0 ? -errno : 0, "fork");
	if (pid == 0) {
		close(fds[0]);
		write_stamps(fds[1]);
	}
	close(fds[1]);
	m.writer = fds[0];
	return measure_beside_thread(&m);
}

static const char *const sleep_figures[] = {
	BENCH_DISTRIBUTION("preempt.sleep.loops0.*"),
	BENCH_DISTRIBUTION("preempt.sleep.thread.loops0.*"),
	BENCH_DISTRIBUTION("preempt.sleep.loops4.*"),
	BENCH_DISTRIBUTION("preempt.sleep.thread.loops4.*"),
	NULL,
};
static const char *const poll_figures[] = {
	BENCH_DISTRIBUTION("preempt.poll.loops0.*"),
	BENCH_DISTRIBUTION("preempt.poll.thread.loops0.*"),
	BENCH_DISTRIBUTION("preempt.poll.loops4.*"),
	BENCH_DISTRIBUTION("preempt.poll.thread.loops4.*"),
	NULL,
};
static const char *const sleep_libc_figures[] = {
	BENCH_DISTRIBUTION("preempt.sleep.libc.loops4.*"),
	BENCH_DISTRIBUTION("preempt.sleep.libc.thread.loops4.*"),
	NULL,
};
static const char *const poll_libc_figures[] = {
	BENCH_DISTRIBUTION("preempt.poll.libc.loops4.*"),
	BENCH_DISTRIBUTION("preempt.poll.libc.thread.loops4.*"),
	NULL,
};
static const char *const malloc_figures[] = {
	BENCH_DISTRIBUTION("preempt.malloc.loops4.*"),
	BENCH_DISTRIBUTION("preempt.malloc.thread.loops4.*"),
	NULL,
};

const struct workload preempt_sleep_workload = {
	.name = "preempt.sleep",
	.what = "how late a goroutine that sleeps 1 ms wakes beside 4 tight loops",
	.procs = bench_procs_1_2,
	.figures = sleep_figures,
	.seconds = 30,
	.process = preempt_sleep,
};
const struct workload preempt_poll_workload = {
	.name = "preempt.poll",
	.what = "the same, woken by a socket",
	.procs = bench_procs_1_2,
	.figures = poll_figures,
	.seconds = 30,
	.process = preempt_poll,
};
const struct workload preempt_sleep_libc_workload = {
	.name = "preempt.sleep.libc",
	.what = "preempt.sleep beside 4 loops in libc",
	.procs = bench_procs_1_2,
	.figures = sleep_libc_figures,
	.seconds = 30,
	.parameter = LOOP_LIBC,
	.process = preempt_sleep,
};
const struct workload preempt_poll_libc_workload = {
	.name = "preempt.poll.libc",
	.what = "preempt.poll beside 4 loops in libc",
	.procs = bench_procs_1_2,
	.figures = poll_libc_figures,
	.seconds = 30,
	.parameter = LOOP_LIBC,
	.process = preempt_poll,
};
const struct workload preempt_malloc_workload = {
	.name = "preempt.malloc",
	.what = "how long malloc takes in a goroutine that wakes beside 4 loops of malloc",
	.procs = bench_procs_1_2,
	.figures = malloc_figures,
	.seconds = 30,
	.process = preempt_malloc,
};
