/* SPDX-License-Identifier: MIT */
/*
 * The loads of the experiment `maxprocs`. One of them runs in a cell, and goes on from point to
 * point: nothing is started again. A worker counts what it has done, and keeps the times of the
 * first LATENCIES operations of a point.
 */
#ifndef URGE_BENCH_LAB_MAXPROCS_LOAD_H
#define URGE_BENCH_LAB_MAXPROCS_LOAD_H

#include "bench/lab/maxprocs.h"
#include "bench/loops.h"
#include "kernelshim/compiler.h"
#include "urge.h"

#include <stdbool.h>
#include <stdint.h>

enum { WORKERS = 8, LATENCIES = 1 << 15 };

struct worker {
	/* the worker, but for the reset at the start of a point */
	uint64_t operations cacheline_aligned;
	uint32_t n;
	double latency[LATENCIES];
};

/* What the threads used that make load and are none of the runtime's. */
struct outside {
	int64_t cpu; /* ns */
	long voluntary, involuntary;
};

struct maxprocs_load {
	const char *name, *what;
	void (*start)(void); /* goroutine 1; ends the process when it can't */
};

extern const struct maxprocs_load maxprocs_loads[MAXPROCS_WORKLOADS];

/* Of the load that runs. */
extern struct load {
	struct worker workers[WORKERS];
	uint32_t stop;
	urge_waitgroup running; /* its goroutines, but for the loops */
	struct loops loops;
	struct outside outside; /* relaxed, field by field */
} load;

/* NULL: no load is named so. */
const struct maxprocs_load *maxprocs_load_named(const char *name);

/* Tells the goroutines to end, and waits for them. Goroutine. */
void end_load(void);

/* ---- for the loads ------------------------------------------------------------------------- */

static inline bool stopped(void)
{
	return __atomic_load_n(&load.stop, __ATOMIC_RELAXED);
}

/* An operation of the worker took so long. */
static inline void count_operation(struct worker *worker, double ns)
{
	uint32_t i = __atomic_fetch_add(&worker->n, 1, __ATOMIC_RELAXED);

	if (i < LATENCIES)
		worker->latency[i] = ns;
	__atomic_fetch_add(&worker->operations, 1, __ATOMIC_RELAXED);
}

/* urge_go; or the end of the process. */
void start_goroutine(urge_fn fn, void *arg);

/* Servers, see maxprocs_servers.c. */
void start_echo(void);
void start_kv(void);

/* What serves one connection, from examples/; does not close it. */
void echo_connection(int fd);
void kv_connection(int fd);

#endif
