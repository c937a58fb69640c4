/* SPDX-License-Identifier: MIT */
/*
 * urge-lab: experiments with the scheduler, each a subcommand with its own options and report. A
 * new one is a file that defines a struct experiment, and a line in the table of main.c.
 *
 * An experiment is a set of cells. Each runs in a process of its own (cell_run, the child's side
 * is experiment.cell), so that one that starves or dies is reported as such beside the others.
 */
#ifndef URGE_BENCH_LAB_LAB_H
#define URGE_BENCH_LAB_LAB_H

#include "bench/child.h"

#include <stdint.h>

struct experiment {
	const char *name;
	const char *what; /* one line for --help */
	/* argv[0] is the experiment's name. Returns the exit status. */
	int (*run)(int argc, char **argv);
	/*
	 * The child's side: argv is what cell_run was given, NULL at the end. Prints results. NULL
	 * if there are no cells.
	 */
	int (*cell)(char *const *argv);
};

extern const struct experiment preempt_experiment;
extern const struct experiment maxprocs_experiment;
extern const struct experiment topology_experiment;

/* The hidden option that makes a process a cell. */
#define LAB_CELL_OPTION "--cell"

struct cell {
	const char *const *argv; /* for experiment.cell, NULL at the end; at most 8 */
	unsigned gomaxprocs;
	int64_t limit;     /* ns after which the watchdog kills it */
	const char *title; /* for the progress line */
};

/* Runs one cell to its end; the caller frees the result with child_free. */
void cell_run(const struct experiment *experiment, const struct cell *cell,
	      struct child_result *result);

#endif
