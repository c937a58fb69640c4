/* SPDX-License-Identifier: MIT */
/*
 * preempt.thr: what preemption costs those who are preempted. K = 4 goroutines each make M turns of
 * the tight loop (M = 100,000,000 for each P); the rate is turns per second of wall and of CPU
 * time.
 * For slices of 10 ms, 1 ms and 100 us three processes run one after the other:
 *	off	preemption is off
 *	on	preemption is on, with this slice
 *	control	no goroutines: as many threads as there are Ps share the loops, and each gets the
 *		signal from a timer of its own once a slice, with an empty handler, the timers
 *		staggered. No runtime that preempts by signals can keep more.
 * A round of the three gives kept = on / off and control = control / off in percent; the order
 * within a round rotates. .cpu is the same by CPU time.
 *
 * preempt.thr.libc: the same with loops in libc (bench/loops.h), M / 200 turns each.
 *
 * In the twin, w09_preempt -mode thr, the slice is 10 ms and cannot be changed: its 100 - loss_wall
 * is slice10ms.kept.
 */
#define _GNU_SOURCE
#include "bench/loops.h"
#include "bench/process.h"
#include "bench/workloads.h"
#include "urge.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LOOPS = 4, TURNS_PER_P = 100000000, TURNS_PER_P_LIBC = TURNS_PER_P / 200, MAX_THREADS = 8 };

static const struct {
	const char *name;
	int64_t slice;
} slices[] = {
	{ "slice10ms", 10 * URGE_MS },
	{ "slice1ms", URGE_MS },
	{ "slice100us", 100 * URGE_US },
};

/* ---- one process --------------------------------------------------------------------------- */

struct cell {
	/* constant */
	enum loop_kind kind;
	uint64_t turns; /* of each loop */
	int64_t slice;  /* 0: preemption off */
	/* the loops */
	urge_waitgroup running;
};

static void print_rates(const struct cell *cell, struct bench_section start)
{
	double turns = (double)cell->turns * LOOPS;
	int64_t wall = urge_now() - start.wall;
	int64_t cpu = process_cpu_ns() - start.cpu;

	printf("%.9g %.9g\n", turns / (double)wall, turns / (double)cpu);
}

static void loop(void *arg)
{
	struct cell *cell = arg;

	loop_turns(cell->kind, cell->turns);
	urge_waitgroup_done(&cell->running);
}

static int run_goroutines(void *arg)
{
	struct cell *cell = arg;

	if (cell->slice == 0)
		bench_check(urge_set_preempt(URGE_PREEMPT_OFF), "urge_set_preempt");
	else
		bench_check(urge_set_time_slice(cell->slice), "urge_set_time_slice");
	urge_waitgroup_add(&cell->running, LOOPS);
	struct bench_section start = bench_start();
	for (unsigned i = 0; i < LOOPS; i++)
		bench_check(urge_go(loop, cell), "urge_go");
	urge_waitgroup_wait(&cell->running);
	print_rates(cell, start);
	return 0;
}

struct control {
	const struct cell *cell;
	unsigned index, count; /* of the threads */
};

static void empty_handler(int signo)
{
	(void)signo;
}

/* A timer that signals the calling thread every slice; there is no wrapper for its thread id. */
static void start_timer(const struct control *control)
{
	int64_t slice = control->cell->slice;
	int64_t first = slice * (control->index + 1) / control->count;
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG };
	struct itimerspec when = {
		.it_value = { first / URGE_S, first % URGE_S },
		.it_interval = { slice / URGE_S, slice % URGE_S },
	};
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
	    timer_settime(timer, 0, &when, NULL) < 0)
		bench_check(-errno, "timer");
}

static void *control_thread(void *arg)
{
	const struct control *control = arg;

	start_timer(control);
	for (unsigned i = control->index; i < LOOPS; i += control->count)
		loop_turns(control->cell->kind, control->cell->turns);
	return NULL;
}

static int run_threads(const struct cell *cell, unsigned count)
{
	struct sigaction action = { .sa_handler = empty_handler, .sa_flags = SA_RESTART };
	struct control controls[MAX_THREADS];
	pthread_t threads[MAX_THREADS];

	if (count > MAX_THREADS)
		return -EINVAL;
	sigaction(SIGURG, &action, NULL);
	struct bench_section start = bench_start();
	for (unsigned i = 0; i < count; i++) {
		controls[i] = (struct control){ .cell = cell, .index = i, .count = count };
		bench_check(-pthread_create(&threads[i], NULL, control_thread, &controls[i]),
			    "pthread_create");
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	print_rates(cell, start);
	return 0;
}

/* The cell's text is "off", "on SLICE" or "control SLICE". */
static int run_cell(const struct bench_run *run)
{
	struct cell cell = { .kind = (enum loop_kind)run->workload->parameter };
	char kind[16];

	cell.turns =
		(uint64_t)run->procs * (cell.kind == LOOP_LIBC ? TURNS_PER_P_LIBC : TURNS_PER_P);
	sscanf(run->cell, "%15s %" SCNd64, kind, &cell.slice);
	if (!strcmp(kind, "control"))
		return run_threads(&cell, run->procs);
	return urge_main(run_goroutines, &cell);
}

/* ---- all of them --------------------------------------------------------------------------- */

enum kind { OFF, ON, CONTROL, KINDS };

struct rate {
	double wall, cpu;
};

static struct rate rate_of(const struct bench_run *run, enum kind kind, int64_t slice)
{
	static const char *const names[] = { "off", "on", "control" };
	struct child_result result;
	struct rate rate;
	char cell[48];

	snprintf(cell, sizeof(cell), "%s %" PRId64, names[kind], kind == OFF ? 0 : slice);
	bench_cell(run, cell, &result);
	if (sscanf(result.out, "%lf %lf", &rate.wall, &rate.cpu) != 2)
		bench_check(-EPROTO, cell);
	child_free(&result);
	return rate;
}

static void report(const struct bench_run *run, const char *slice, const char *what,
		   struct rate rate, struct rate off)
{
	char stem[64];

	snprintf(stem, sizeof(stem), "%s.%s.%s", run->workload->name, slice, what);
	bench_sample(run, stem, "", 100 * rate.wall / off.wall, "%");
	bench_sample(run, stem, ".cpu", 100 * rate.cpu / off.cpu, "%");
}

static int preempt_thr(const struct bench_run *run)
{
	struct rate rates[KINDS];

	if (run->cell)
		return run_cell(run);
	for (unsigned rep = 0; rep < run->reps; rep++) {
		for (unsigned i = 0; i < ARRAY_SIZE(slices); i++) {
			for (unsigned turn = 0; turn < KINDS; turn++) {
				enum kind kind = (rep + turn) % KINDS;
				rates[kind] = rate_of(run, kind, slices[i].slice);
			}
			report(run, slices[i].name, "kept", rates[ON], rates[OFF]);
			report(run, slices[i].name, "control", rates[CONTROL], rates[OFF]);
		}
	}
	return 0;
}

#define SLICE(name) BENCH_SECTION(name ".kept"), BENCH_SECTION(name ".control")

static const char *const figures[] = {
	SLICE("preempt.thr.slice10ms"),
	SLICE("preempt.thr.slice1ms"),
	SLICE("preempt.thr.slice100us"),
	NULL,
};

static const char *const libc_figures[] = {
	SLICE("preempt.thr.libc.slice10ms"),
	SLICE("preempt.thr.libc.slice1ms"),
	SLICE("preempt.thr.libc.slice100us"),
	NULL,
};

const struct workload preempt_thr_workload = {
	.name = "preempt.thr",
	.what = "throughput that 4 tight loops keep under preemption, and under empty signals",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 60,
	.process = preempt_thr,
};
const struct workload preempt_thr_libc_workload = {
	.name = "preempt.thr.libc",
	.what = "the same with loops in libc",
	.procs = bench_procs_1_2,
	.figures = libc_figures,
	.seconds = 60,
	.parameter = LOOP_LIBC,
	.process = preempt_thr,
};
