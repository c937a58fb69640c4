/* SPDX-License-Identifier: MIT */
/*
 * preempt.lat: one preemption, from the request until the next goroutine runs. One P, a goroutine
 * that loops and one that waits for the P. Each request is made by hand, as the runtime makes it:
 * the slice is so long that the runtime itself makes none.
 *	preempt.lat.injected.same	the loop signals itself, and is moved: signal, decision, injected
 *	preempt.lat.parked.same		call, switch; or its thread is parked, and another one, on the
 *					same CPU, goes on with the P
 *	preempt.lat.injected.cross	a thread on another CPU signals it; all threads of the runtime
 *					share the one CPU
 *	preempt.lat.parked.cross	the same, and the kernel may put the other thread onto either CPU
 *	preempt.lat.parked.busy		the same beside a thread that loops all the time: the CPU that
 *					becomes free is the one where the thread parks
 * The last three only on a machine with two CPUs. A repetition is 2,000 requests.
 * preempt.lat.floor.* are the same with bare threads, without a runtime (preempt_floor.c), each
 * right before its figure.
 *
 * There is no twin: Go has no way to ask for one preemption.
 */
#define _GNU_SOURCE
#include "bench/preempt_floor.h"
#include "bench/workloads.h"
#include "kernelshim/clock.h"
#include "kernelshim/sys.h"
#include "kernelshim/thread.h"
#include "preempt/preempt.h"
#include "sched/tls.h"
#include "urge.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REQUESTS = 2000 };

struct lat {
	/* constant */
	int policy;
	bool cross;
	/* who asks, then who runs next */
	int64_t asked; /* 0: nobody has */
	/* the loop, then who runs next: where it runs, waiting to be asked by another thread; or NULL */
	struct m *loops_on;
	uint32_t stop;
	/* who runs next */
	struct samples samples;
	urge_waitgroup running;
};

#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define STORE(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELEASE)

/*
 * A request as the runtime makes it. Inlined, with the system call: nobody is moved out of a
 * function of the runtime's.
 */
static inline void ask(struct lat *lat, struct m *mp)
{
	siginfo_t info = { .si_signo = CONFIG_PREEMPT_SIGNAL, .si_code = SI_QUEUE };
	uint64_t value = (uint64_t)load_rlx_u32(&mp->generation) << 32 | mp->id;
	long tid = mp->tid_, pid = sys_call0(SYS_getpid);
	int64_t now = nanotime();

	info.si_pid = (pid_t)pid;
	info.si_value.sival_ptr = (void *)(uintptr_t)value;
	STORE(lat->asked, now);
	store_rlx_i64(&mp->asked, now);
	store_rlx_u32(&mp->preempt, 1);
	store_rlx_i64(&mp->signal_sent, now & ~(int64_t)SIGNAL_BITS);
	sys_call4(SYS_rt_tgsigqueueinfo, pid, tid, CONFIG_PREEMPT_SIGNAL, sys_ptr(&info));
}

static void loop(void *arg)
{
	struct lat *lat = arg;

	while (!LOAD(lat->stop)) {
		if (!lat->cross) {
			ask(lat, getm()); /* if it is stopped, then right behind the call */
			continue;
		}
		STORE(lat->loops_on, getm());
		while (LOAD(lat->loops_on) && !LOAD(lat->stop))
			;
	}
	urge_waitgroup_done(&lat->running);
}

/* On another CPU: asks when the loop runs, and again if it was put off. */
static void *asking_thread(void *arg)
{
	struct lat *lat = arg;

	thread_set_short_slice(100000); /* both as sysmon has */
	thread_lower_nice(10);
	while (!LOAD(lat->stop)) {
		struct m *mp = LOAD(lat->loops_on);
		struct timespec pause = { .tv_nsec = 50000 };

		nanosleep(&pause, NULL);
		if (mp && mp == LOAD(lat->loops_on) && !LOAD(lat->stop))
			ask(lat, mp);
	}
	return NULL;
}

static void *busy_thread(void *stop)
{
	while (!__atomic_load_n((uint32_t *)stop, __ATOMIC_RELAXED))
		;
	return NULL;
}

/* Whoever asks waits meanwhile: another one of the two runs now. */
static void run_next(struct lat *lat)
{
	while (lat->samples.n < REQUESTS) {
		int64_t asked = LOAD(lat->asked);

		if (asked) {
			samples_add(&lat->samples, (double)(nanotime() - asked));
			STORE(lat->asked, 0);
			STORE(lat->loops_on, NULL);
		}
		urge_yield();
	}
	STORE(lat->stop, 1);
}

static int measure(void *arg)
{
	struct lat *lat = arg;
	struct urge_stats before, after;
	uint64_t how;

	urge_set_time_slice(10 * URGE_S);
	urge_set_preempt(lat->policy);
	urge_stats_read(&before);
	urge_waitgroup_add(&lat->running, 1);
	bench_check(urge_go(loop, lat), "urge_go");
	run_next(lat);
	urge_waitgroup_wait(&lat->running);
	urge_stats_read(&after);
	how = lat->policy == URGE_PREEMPT_PARK ? after.preempt_parked - before.preempt_parked
					       : after.preempt_injected - before.preempt_injected;
	return how >= REQUESTS ? 0 : -EPROTO;
}

/* Only the n-th and later ones of the CPUs that the process may use, max of them. */
static int use_cpus(const cpu_set_t *allowed, int n, int max)
{
	cpu_set_t chosen;

	CPU_ZERO(&chosen);
	for (int cpu = 0; cpu < CPU_SETSIZE && max > 0; cpu++)
		if (CPU_ISSET(cpu, allowed) && n-- <= 0) {
			CPU_SET(cpu, &chosen);
			max--;
		}
	return sched_setaffinity(0, sizeof(chosen), &chosen) < 0 ? -errno : 0;
}

static int run_cell(const struct bench_run *run)
{
	bool parked = strstr(run->cell, "parked"), same = strstr(run->cell, "same");
	bool bare = strstr(run->cell, "floor"), busy = strstr(run->cell, "busy");
	const bool cross = !same;
	struct lat lat = { .cross = cross,
			   .policy = parked ? URGE_PREEMPT_PARK : URGE_PREEMPT_INJECT };
	struct preempt_floor floor = {
		.parked = parked, .cross = cross, .samples = &lat.samples, .requests = REQUESTS
	};
	uint32_t idle = 0;
	cpu_set_t allowed;
	pthread_t thread, busy_one;
	int err;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	samples_reserve(&lat.samples, REQUESTS);
	if (cross) {
		bench_check(use_cpus(&allowed, 1, 1), "sched_setaffinity");
		bench_check(-pthread_create(&thread, NULL,
					    bare ? preempt_floor_asks : asking_thread, &lat),
			    "pthread_create");
	}
	bench_check(use_cpus(&allowed, 0, cross && parked ? 2 : 1), "sched_setaffinity");
	if (busy)
		bench_check(-pthread_create(&busy_one, NULL, busy_thread, &idle), "pthread_create");
	err = bare ? preempt_floor(&floor) : urge_main(measure, &lat);
	if (cross)
		pthread_join(thread, NULL);
	__atomic_store_n(&idle, 1, __ATOMIC_RELAXED);
	if (busy)
		pthread_join(busy_one, NULL);
	for (size_t i = 0; i < lat.samples.n; i++)
		printf("%.0f\n", lat.samples.v[i]);
	samples_free(&lat.samples);
	return err;
}

static void measure_cell(const struct bench_run *run, const char *cell)
{
	struct samples *reps = calloc(run->reps, sizeof(*reps));
	char stem[48];

	bench_check(reps ? 0 : -ENOMEM, cell);
	for (unsigned i = 0; i < run->reps; i++) {
		struct child_result result;
		char *rest, *line;

		bench_cell(run, cell, &result);
		for (line = strtok_r(result.out, "\n", &rest); line;
		     line = strtok_r(NULL, "\n", &rest))
			samples_add(&reps[i], strtod(line, NULL));
		child_free(&result);
	}
	snprintf(stem, sizeof(stem), "preempt.lat.%s", cell);
	bench_distribution(run, stem, reps, run->reps);
	free(reps);
}

static int preempt_lat(const struct bench_run *run)
{
	cpu_set_t allowed;

	if (run->cell)
		return run_cell(run);
	measure_cell(run, "floor.injected.same");
	measure_cell(run, "injected.same");
	measure_cell(run, "floor.parked.same");
	measure_cell(run, "parked.same");
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0 || CPU_COUNT(&allowed) < 2)
		return 0;
	measure_cell(run, "floor.injected.cross");
	measure_cell(run, "injected.cross");
	measure_cell(run, "floor.parked.cross");
	measure_cell(run, "parked.cross");
	measure_cell(run, "floor.parked.busy");
	measure_cell(run, "parked.busy");
	return 0;
}

static const unsigned one_p[] = { 1, 0 };

static const char *const figures[] = {
	BENCH_DISTRIBUTION("preempt.lat.floor.injected.same.*"),
	BENCH_DISTRIBUTION("preempt.lat.injected.same.*"),
	BENCH_DISTRIBUTION("preempt.lat.floor.parked.same.*"),
	BENCH_DISTRIBUTION("preempt.lat.parked.same.*"),
	BENCH_DISTRIBUTION("preempt.lat.floor.injected.cross.*"),
	BENCH_DISTRIBUTION("preempt.lat.injected.cross.*"),
	BENCH_DISTRIBUTION("preempt.lat.floor.parked.cross.*"),
	BENCH_DISTRIBUTION("preempt.lat.parked.cross.*"),
	BENCH_DISTRIBUTION("preempt.lat.floor.parked.busy.*"),
	BENCH_DISTRIBUTION("preempt.lat.parked.busy.*"),
	NULL,
};

const struct workload preempt_lat_workload = {
	.name = "preempt.lat",
	.what = "one preemption, from the request until the next goroutine runs",
	.procs = one_p,
	.figures = figures,
	.seconds = 60,
	.process = preempt_lat,
};
