/* SPDX-License-Identifier: MIT */
/* What the parts of the experiment `preempt` share: options, cells and what they measured. */
#ifndef URGE_BENCH_LAB_PREEMPT_H
#define URGE_BENCH_LAB_PREEMPT_H

#include "bench/stats.h"
#include "urge.h"

#include <stdbool.h>
#include <stdint.h>

struct preempt_options {
	unsigned loops;
	unsigned procs;
	unsigned rows;     /* the first has preemption off, the others a way and a slice each */
	const char *means; /* the names of the ways */
	double seconds;    /* of each cell */
	const char *out;
	int argc; /* the command line, for the report */
	char **argv;
};

/* One row of the result: a cell with preemption off or with one time slice. */
struct preempt_row {
	/* constant */
	char name[24];
	char file_name[24]; /* without blanks, for the CSV files */
	int64_t slice;      /* ns; 0: preemption off */
	unsigned way;       /* index of preempt_ways */
	/* what the cell printed */
	struct samples
		lateness; /* ns, in the order of time until the row is complete, then sorted */
	/*
	 * A wake-up that was due before the loops were told to end and came only after that: a
	 * lower bound of its lateness, in ns. 0: none.
	 */
	double bound;
	double turns, wall, cpu; /* of all loops; ns */
	double requests, injected, parked, deferred;
	double left[URGE_PREEMPT_REASONS_MAX]; /* requests that changed nothing, by reason */
	/* why there is nothing of the above; empty when there is */
	char failure[128];
};

enum { PREEMPT_ROWS_MAX = 48 };

/* How goroutines are preempted. */
enum { PREEMPT_WAYS = 4 };
extern const struct preempt_way_names {
	const char *name;
	int policy;
	const char *source; /* who asks: "sysmon", or "timer" beside it */
} preempt_ways[PREEMPT_WAYS];

/*
 * The child's side: argv is SLICE (ns, 0 for off), POLICY, LOOPS, SECONDS, SOURCE. Returns the exit
 * status.
 */
int preempt_cell(char *const *argv);

/* Reads one line that a cell printed into the row; false when it is none. */
bool preempt_parse(struct preempt_row *row, const char *line);

/* What Go's runtime makes of the same loops and the same sleeper. */
struct preempt_go {
	char version[24];
	double p50, p99, max; /* us late */
	double kept;          /* % by wall time */
	char failure[80];     /* why there is nothing of the above; empty when there is */
};
void preempt_go_run(const struct preempt_options *options, struct preempt_go *go);

/* Prints the table, and writes DIR/preempt.csv, preempt-summary.csv and preempt.html. */
void preempt_report(const struct preempt_options *options, struct preempt_row *rows,
		    const struct preempt_go *go);

#endif
