/* SPDX-License-Identifier: MIT */
/*
 * maxprocs: how a program fares with 1, 2, 3, ... Ps, changed while it runs; what the controller of
 * urge_gomaxprocs_auto makes of it; and what a change costs those who do not ask for it: the gaps
 * of a ticker of 1 ms while GOMAXPROCS flips between 2 and 4, up to a thousand times a second.
 *
 * Go's figures for the last, where there is a toolchain, are those of its twin w10_resize, which
 * resizes every 2 ms: there each change stops the world.
 */
#define _GNU_SOURCE
#include "bench/lab/maxprocs.h"
#include "bench/lab/arguments.h"
#include "bench/lab/lab.h"
#include "bench/lab/maxprocs_load.h"
#include "bench/lab/report.h"
#include "bench/progress.h"
#include "kernelshim/compiler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: urge-lab maxprocs [--max N] [--seconds S] [--out DIR]\n"
	"\n"
	"Changes GOMAXPROCS under five loads (fork-join, channel pipelines, fork-join beside tight\n"
	"loops, the echo and the key-value server) from 1 to N: throughput, latency, steals, context\n"
	"switches, CPU time. Then lets the controller of urge_gomaxprocs_auto choose, and shows what a\n"
	"ticker of 1 ms sees of 1 to 1000 changes a second. Runs Go's twin of the last, if there is a\n"
	"toolchain (GO, or go on PATH).\n"
	"\n"
	"  --max N       largest GOMAXPROCS (default 8)\n"
	"  --seconds S   length of each point (default 0.5)\n"
	"  --out DIR     folder for maxprocs.html, maxprocs.csv and maxprocs-pause.csv (default\n"
	"                build/report)\n"
	"  --help        print this\n";

static struct maxprocs_sweep sweeps[MAXPROCS_WORKLOADS];

static struct maxprocs_pause pauses[MAXPROCS_RATES] = {
	{ .rate = 0 }, { .rate = 1 }, { .rate = 10 }, { .rate = 100 }, { .rate = 1000 },
};

/* ---- cells --------------------------------------------------------------------------------- */

static void run(const struct maxprocs_options *options, const char *kind, const char *workload,
		unsigned number, struct child_result *result, char failure[128])
{
	char number_text[16], seconds[32], title[96];
	const char *argv[] = { kind, workload, number_text, seconds, NULL };
	struct cell cell = {
		.argv = argv,
		.limit = (int64_t)((options->seconds * 20 + 20) * 1e9),
		.title = title,
	};

	snprintf(number_text, sizeof(number_text), "%u", number);
	snprintf(seconds, sizeof(seconds), "%.17g", options->seconds);
	snprintf(title, sizeof(title), "%s %s %u", kind, workload, number);
	cell_run(&maxprocs_experiment, &cell, result);
	if (!child_succeeded(result))
		child_describe(result, failure, 128);
}

static bool parse_sweep(struct maxprocs_sweep *sweep, const char *line)
{
	struct maxprocs_point p;
	double ms;
	unsigned n;

	if (sscanf(line, "point %u %lf %lf %lf %lf %lf %lf %lf %lf %lf", &p.n, &p.throughput,
		   &p.p50, &p.p99, &p.p999, &p.max, &p.steals, &p.voluntary, &p.involuntary,
		   &p.cpu) == 10) {
		if (sweep->npoints < MAXPROCS_POINTS)
			sweep->points[sweep->npoints++] = p;
		return true;
	}
	if (sscanf(line, "trace %lf %u", &ms, &n) != 2)
		return false;
	if (sweep->ntrace < MAXPROCS_TRACE) {
		sweep->trace[sweep->ntrace].ms = ms;
		sweep->trace[sweep->ntrace++].n = n;
	}
	return true;
}

static void run_sweep(const struct maxprocs_options *options, struct maxprocs_sweep *sweep,
		      const char *kind)
{
	struct child_result result;

	run(options, kind, sweep->name, options->max, &result, sweep->failure);
	for (char *line = strtok(result.out, "\n"); line; line = strtok(NULL, "\n"))
		if (!parse_sweep(sweep, line) && !sweep->failure[0])
			snprintf(sweep->failure, sizeof(sweep->failure), "printed: %s", line);
	child_free(&result);
}

static void run_pause(const struct maxprocs_options *options, struct maxprocs_pause *row)
{
	struct child_result result;
	double ns;

	run(options, "pause", "mixed", row->rate, &result, row->failure);
	for (char *line = strtok(result.out, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "gap %lf", &ns) == 1)
			samples_add(&row->gaps, ns);
		else if (sscanf(line, "call %lf", &ns) == 1)
			samples_add(&row->calls, ns);
	}
	if (!row->failure[0] && row->gaps.n == 0)
		snprintf(row->failure, sizeof(row->failure), "the ticker never ran");
	child_free(&result);
}

/* ---- the twin ------------------------------------------------------------------------------ */

static bool run_program(char *const *argv, int64_t seconds, struct child_result *result,
			struct maxprocs_twin *twin)
{
	struct child_spec spec = {
		.argv = argv,
		.input = -1,
		.limit = seconds * INT64_C(1000000000),
	};

	progress_show("Go's twin: %s", argv[0]);
	child_run(&spec, result);
	progress_clear();
	if (child_succeeded(result))
		return true;
	child_describe(result, twin->why, sizeof(twin->why));
	child_free(result);
	return false;
}

/* The figure of a line "NAME 12.3 us ...", whose name ends so. */
static void parse_twin(char *out, const char *end, double *value)
{
	const char *at = strstr(out, end);

	if (at)
		*value = strtod(at + strlen(end), NULL);
}

static void run_twin(struct maxprocs_twin *twin)
{
	char *go = getenv("GO");
	char *build[] = { go && *go ? go : "go", "build", "-C",
			  "bench/peers/go",      "-o",    "../../../build/peers-go/w10_resize",
			  "./w10_resize",        NULL };
	char *twin_argv[] = { "build/peers-go/w10_resize",
			      "-a",
			      "2",
			      "-procs",
			      "4",
			      "-reps",
			      "1",
			      "-gosched",
			      "64",
			      NULL };
	struct child_result result;

	if (!run_program(build, 120, &result, twin))
		return;
	child_free(&result);
	if (!run_program(twin_argv, 60, &result, twin))
		return;
	parse_twin(result.out, ".call.p4.p50 ", &twin->call_p50);
	parse_twin(result.out, ".call.p4.p99 ", &twin->call_p99);
	parse_twin(result.out, ".call.p4.max ", &twin->call_max);
	parse_twin(result.out, ".gosched64.ticker_max_gap.p4 ", &twin->gap);
	twin->there = true;
	child_free(&result);
}

/* ---- the experiment ------------------------------------------------------------------------ */

static int complain(const char *what, const char *failure)
{
	if (!failure[0])
		return 0;
	fprintf(stderr, "urge-lab: %s: %s\n", what, failure);
	return 1;
}

static int maxprocs(int argc, char **argv)
{
	struct maxprocs_options options = {
		.max = 8,
		.seconds = 0.5,
		.out = "build/report",
		.argc = argc,
		.argv = argv,
	};
	const struct argument arguments[] = {
		{ "--max", .integer = &options.max, .min = 1, .max = 256 },
		{ "--seconds", .number = &options.seconds, .min = 0.05, .max = 60 },
		{ "--out", .text = &options.out },
	};
	struct maxprocs_twin twin = { 0 };
	int status = 0;

	arguments_read(argc, argv, usage, arguments, ARRAY_SIZE(arguments));
	report_make_directory(options.out);
	for (unsigned i = 0; i < MAXPROCS_WORKLOADS; i++) {
		sweeps[i].name = maxprocs_loads[i].name;
		sweeps[i].what = maxprocs_loads[i].what;
		run_sweep(&options, &sweeps[i], "sweep");
		run_sweep(&options, &sweeps[i], "auto");
	}
	for (unsigned i = 0; i < MAXPROCS_RATES; i++)
		run_pause(&options, &pauses[i]);
	run_twin(&twin);
	maxprocs_report(&options, sweeps, pauses, &twin);
	for (unsigned i = 0; i < MAXPROCS_WORKLOADS; i++)
		status |= complain(sweeps[i].name, sweeps[i].failure);
	for (unsigned i = 0; i < MAXPROCS_RATES; i++)
		status |= complain("pause", pauses[i].failure);
	return status;
}

const struct experiment maxprocs_experiment = {
	.name = "maxprocs",
	.what = "GOMAXPROCS from 1 to 8 under load, live; what changes cost a ticker",
	.run = maxprocs,
	.cell = maxprocs_cell,
};
