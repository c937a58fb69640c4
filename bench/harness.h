/* SPDX-License-Identifier: MIT */
/*
 * What a workload is, and how it reports. The names of figures and the lines that are printed are
 * those of the Go twins (bench/peers/go), so that bench/compare can put them side by side:
 *
 *	yield.g2.p1 14.2 ns/switch min=14.1 max=14.9 n=5
 *	yield.g2.p1.cpu 14.2 cpu-ns/switch min=14.1 max=14.9 n=5
 *
 * A name is a stem ("yield.g2"), the number of Ps (".p1") and sometimes a tail (".cpu", ".p99").
 *
 * Each workload runs in a process of its own for each number of Ps, GOMAXPROCS set before boot.
 * That process prints raw samples; the parent collects, filters and prints them.
 */
#ifndef URGE_BENCH_HARNESS_H
#define URGE_BENCH_HARNESS_H

#include "bench/child.h"
#include "bench/stats.h"

#include <stdbool.h>
#include <stdint.h>

struct bench_run;

struct workload {
	const char *name;
	const char *what;            /* one line for --list */
	const unsigned *procs;       /* the numbers of Ps it is run with, 0 at the end */
	const char *const *figures;  /* all it prints, NULL at the end; '*' stands for "p1" */
	bool unnumbered;             /* there is one number of Ps, and no name has it */
	bool process_per_repetition; /* for what only a new process can show, such as memory */
	unsigned seconds;            /* a repetition that takes longer is hung and is killed */
	long parameter;              /* for workloads that share their code */
	/* One of the two: as goroutine 1, or as the only thread, before boot. 0 or -errno. */
	int (*goroutine)(const struct bench_run *run);
	int (*process)(const struct bench_run *run);
};

/* What a workload is told; constant. */
struct bench_run {
	const struct workload *workload;
	unsigned procs;
	unsigned reps;
	const char *cell; /* NULL, or the argument of bench_cell */
};

/* The usual `procs` of a workload: one and two. */
extern const unsigned bench_procs_1_2[];

/* ---- for workloads ------------------------------------------------------------------------- */

/*
 * One sample of the figure stem.pN tail, or stem tail of an unnumbered workload; tail is "" or
 * starts with a dot. Any thread.
 */
void bench_sample(const struct bench_run *run, const char *stem, const char *tail, double value,
		  const char *unit);

/* A whole line, printed as it is behind the figure's name, once per process. */
void bench_line(const struct bench_run *run, const char *stem, const char *tail, const char *format,
		...) __attribute__((format(printf, 4, 5)));

/* Wall and CPU clock of a timed section. */
struct bench_section {
	int64_t wall, cpu;
};

struct bench_section bench_start(void);

/* Reports the section per operation: stem.pN in `unit` of ns, and stem.pN.cpu in cpu-`unit`. */
void bench_end(const struct bench_run *run, struct bench_section start, const char *stem,
	       double operations, const char *unit);

/* The same in parts: what has passed since start, to be added up, and the report of the sum. */
struct bench_section bench_spent(struct bench_section start);
void bench_end_spent(const struct bench_run *run, struct bench_section spent, const char *stem,
		     double operations, const char *unit);

/*
 * Reports latencies in ns, one struct samples a repetition, as microseconds: .p50, .p99 and .max
 * of each repetition, and the percentiles of all together on the line .pooled. Sorts and frees
 * them.
 */
void bench_distribution(const struct bench_run *run, const char *stem, struct samples *reps,
			unsigned n);

/* The figures that bench_distribution makes of a stem that ends in "*". */
#define BENCH_DISTRIBUTION(stem) stem ".p50", stem ".p99", stem ".max", stem ".pooled"

/* The figures that bench_end makes. */
#define BENCH_SECTION(stem) stem ".*", stem ".*.cpu"

/*
 * Runs the same workload once more in a process of its own, with run->cell = cell; its output is
 * what the cell printed. Ends the process when the cell fails. For workloads that are a `process`.
 */
void bench_cell(const struct bench_run *run, const char *cell, struct child_result *result);

/* Ends the process with a message and status 1 when err is negative; what says who gave it. */
void bench_check(int err, const char *what);

/* ---- for main ------------------------------------------------------------------------------ */

/* Prints all workloads with their figures. */
void bench_list(const struct workload *const *workloads);

/*
 * Runs every workload that has a figure that one of the names asks for and prints those figures.
 * A name is a figure, a workload with or without a number of Ps (spawn.p2), or the beginning of
 * either, and may hold the wildcards of fnmatch(3). Returns the exit status of the program;
 * EXIT_USAGE and one line on stderr when a name asks for nothing.
 */
int bench_run_named(const struct workload *const *workloads, char *const *names, unsigned reps);

/* The child's side: argv holds the workload, the Ps, the repetitions and perhaps a cell. */
int bench_run_child(const struct workload *const *workloads, char *const *argv);

/* Tells workloads of a server's that another program is measured in its place (--server). */
#define BENCH_SERVER_VARIABLE "URGE_BENCH_SERVER"

/* The hidden option that makes a process a child. */
#define BENCH_CHILD_OPTION "--child"

#endif
