/* SPDX-License-Identifier: MIT */
/* What the parts of the experiment `maxprocs` share: options, and what the cells measured. */
#ifndef URGE_BENCH_LAB_MAXPROCS_H
#define URGE_BENCH_LAB_MAXPROCS_H

#include "bench/stats.h"

#include <stdbool.h>

enum { MAXPROCS_WORKLOADS = 5, MAXPROCS_POINTS = 16, MAXPROCS_RATES = 5, MAXPROCS_TRACE = 1024 };

struct maxprocs_options {
	unsigned max;   /* largest GOMAXPROCS of the sweep */
	double seconds; /* of each point */
	const char *out;
	int argc; /* the command line, for the report */
	char **argv;
};

/* One GOMAXPROCS of a sweep. Latencies in ns, rates per second, CPU time in ns per operation. */
struct maxprocs_point {
	unsigned n;
	double throughput, p50, p99, p999, max;
	double steals, voluntary, involuntary, cpu;
};

/* One workload: GOMAXPROCS goes over all points in one process; then the controller has it. */
struct maxprocs_sweep {
	const char *name, *what;
	struct maxprocs_point points[MAXPROCS_POINTS];
	unsigned npoints;
	struct {
		double ms;
		unsigned n;
	} trace[MAXPROCS_TRACE]; /* of the controller */
	unsigned ntrace;
	char failure[128]; /* why there is less than that; empty when there is all */
};

/* One rate of flips between two numbers, and what a ticker of 1 ms saw of it. */
struct maxprocs_pause {
	unsigned rate;              /* Hz, 0: none; constant */
	struct samples gaps, calls; /* ns: between two ticks; that urge_gomaxprocs took */
	char failure[128];
};

/* The twin in Go, which stops the world; us. */
struct maxprocs_twin {
	bool there;
	double call_p50, call_p99, call_max, gap;
	char why[128]; /* it is not there */
};

/* The child's side: argv is sweep|auto|pause, the workload, a number, SECONDS. */
int maxprocs_cell(char *const *argv);

/* Prints the tables, and writes DIR/maxprocs.html, maxprocs.csv and maxprocs-pause.csv. */
void maxprocs_report(const struct maxprocs_options *options, struct maxprocs_sweep *sweeps,
		     struct maxprocs_pause *pauses, const struct maxprocs_twin *twin);

#endif
