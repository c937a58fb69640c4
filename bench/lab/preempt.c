/* SPDX-License-Identifier: MIT */
/*
 * preempt: what a goroutine that sleeps 1 ms in a loop sees of K tight loops on P Ps, with
 * preemption off and with some time slices, and what the loops pay for it.
 *
 * The loops make no calls and read a plain flag (bench/loops.c): only a signal can stop them. With
 * preemption off and K >= P the sleeper is never run; its row is not empty then, but holds a lower
 * bound, because the cell ends the loops after its time (preempt_cell.c).
 */
#define _GNU_SOURCE
#include "bench/lab/preempt.h"
#include "bench/lab/arguments.h"
#include "bench/lab/lab.h"
#include "bench/lab/report.h"
#include "bench/options.h"
#include "kernelshim/compiler.h"
#include "urge.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: urge-lab preempt [--loops K] [--procs P] [--policy HOW,...] [--slices US,...]\n"
	"                        [--seconds S] [--out DIR]\n"
	"\n"
	"K tight loops without a single call run on P Ps beside one goroutine that sleeps 1 ms in a\n"
	"loop. Shows how late it wakes, with preemption off and with each of the slices, and the\n"
	"throughput that the loops keep; and the same in Go, where there are a go command (GO, or go on\n"
	"PATH) and bench/peers/go.\n"
	"\n"
	"  --loops K     tight loops (default 4)\n"
	"  --procs P     GOMAXPROCS (default 2, or 1 on a machine with one CPU)\n"
	"  --policy HOW  how loops are preempted, one or more of: auto, inject, park, timer (as\n"
	"                auto, and a timer of each thread asks beside sysmon); default auto\n"
	"  --slices US   time slices in us, 50 to 10000000 (default 10000,1000,100); `sweep'\n"
	"                stands for eight from 50 to 10000\n"
	"  --seconds S   length of each run (default 3)\n"
	"  --out DIR     folder for preempt.html, preempt.csv (all samples) and\n"
	"                preempt-summary.csv (default build/report)\n"
	"  --help        print this\n";

const struct preempt_way_names preempt_ways[PREEMPT_WAYS] = {
	{ "auto", URGE_PREEMPT_AUTO, "sysmon" },
	{ "inject", URGE_PREEMPT_INJECT, "sysmon" },
	{ "park", URGE_PREEMPT_PARK, "sysmon" },
	{ "timer", URGE_PREEMPT_AUTO, "timer" },
};

static struct preempt_row rows[PREEMPT_ROWS_MAX] = {
	{ .name = "preemption off", .file_name = "off" },
};

bool preempt_parse(struct preempt_row *row, const char *line)
{
	const struct {
		const char *name;
		double *value;
	} fields[] = {
		{ "bound", &row->bound },       { "turns", &row->turns },
		{ "wall", &row->wall },         { "cpu", &row->cpu },
		{ "requests", &row->requests }, { "injected", &row->injected },
		{ "parked", &row->parked },     { "deferred", &row->deferred },
	};
	char name[16];
	unsigned reason;
	double value;

	if (sscanf(line, "%15s %lf", name, &value) != 2)
		return false;
	if (!strcmp(name, "lateness")) {
		samples_add(&row->lateness, value);
		return true;
	}
	if (sscanf(name, "left%u", &reason) == 1 && reason < URGE_PREEMPT_REASONS_MAX) {
		row->left[reason] = value;
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!strcmp(name, fields[i].name)) {
			*fields[i].value = value;
			return true;
		}
	}
	return false;
}

static void run_row(const struct preempt_options *options, unsigned index)
{
	struct preempt_row *row = &rows[index];
	char slice[24], policy[12], loops[16], seconds[32], title[128];
	const char *argv[] = { slice, policy, loops, seconds, preempt_ways[row->way].source, NULL };
	struct cell cell = {
		.argv = argv,
		.gomaxprocs = options->procs,
		/* longer than any run that works: the loops end by themselves */
		.limit = (int64_t)((options->seconds + 5) * 1e9),
		.title = title,
	};
	struct child_result result;

	snprintf(slice, sizeof(slice), "%" PRId64, row->slice);
	snprintf(policy, sizeof(policy), "%d",
		 row->slice == 0 ? URGE_PREEMPT_OFF : preempt_ways[row->way].policy);
	snprintf(loops, sizeof(loops), "%u", options->loops);
	snprintf(seconds, sizeof(seconds), "%.17g", options->seconds);
	snprintf(title, sizeof(title), "run %u of %u, %g s each: %s", index + 1, options->rows,
		 options->seconds, row->name);
	cell_run(&preempt_experiment, &cell, &result);
	if (!child_succeeded(&result))
		child_describe(&result, row->failure, sizeof(row->failure));
	for (char *line = strtok(result.out, "\n"); line; line = strtok(NULL, "\n"))
		if (!preempt_parse(row, line) && !row->failure[0])
			snprintf(row->failure, sizeof(row->failure), "printed: %s", line);
	child_free(&result);
}

static unsigned default_procs(void)
{
	cpu_set_t allowed;

	CPU_ZERO(&allowed);
	return sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && CPU_COUNT(&allowed) == 1 ? 1
												: 2;
}

static unsigned way_named(const char *name)
{
	for (unsigned i = 0; i < PREEMPT_WAYS; i++)
		if (!strcmp(name, preempt_ways[i].name))
			return i;
	fprintf(stderr, "urge-lab: --policy %s: give auto, inject, park or timer\n", name);
	exit(EXIT_USAGE);
}

static void name_row(struct preempt_row *row, unsigned way, bool ways, long us)
{
	const char *unit = us % 1000000 == 0 ? "s" : us % 1000 == 0 ? "ms" : "us";
	long n = us % 1000000 == 0 ? us / 1000000 : us % 1000 == 0 ? us / 1000 : us;
	const char *name = ways ? preempt_ways[way].name : "slice";

	row->slice = us * URGE_US;
	row->way = way;
	snprintf(row->name, sizeof(row->name), "%s %ld %s", name, n, unit);
	snprintf(row->file_name, sizeof(row->file_name), "%s%ld%s", name, n, unit);
}

/* The rows of one way. */
static void add_rows(struct preempt_options *options, unsigned way, bool ways, const char *slices)
{
	char list[256], *rest = list;

	snprintf(list, sizeof(list), "%s", slices);
	for (const char *word; (word = strsep(&rest, ",")) != NULL;) {
		if (options->rows == PREEMPT_ROWS_MAX) {
			fprintf(stderr, "urge-lab: at most %d pairs of policy and slice\n",
				PREEMPT_ROWS_MAX - 1);
			exit(EXIT_USAGE);
		}
		name_row(&rows[options->rows++], way, ways,
			 option_integer("--slices", word, 50, 10000000));
	}
}

/* Fills in the rows behind the first. */
static void make_rows(struct preempt_options *options, const char *slices)
{
	bool ways = strchr(options->means, ',');
	char list[64], *rest = list;

	if (!strcmp(slices, "sweep"))
		slices = "10000,5000,2000,1000,500,200,100,50";
	snprintf(list, sizeof(list), "%s", options->means);
	options->rows = 1;
	for (const char *word; (word = strsep(&rest, ",")) != NULL;)
		add_rows(options, way_named(word), ways, slices);
}

static int preempt(int argc, char **argv)
{
	struct preempt_options options = {
		.loops = 4,
		.procs = default_procs(),
		.seconds = 3,
		.means = "auto",
		.out = "build/report",
		.argc = argc,
		.argv = argv,
	};
	const char *slices = "10000,1000,100";
	const struct argument arguments[] = {
		{ "--loops", .integer = &options.loops, .min = 1, .max = 1000 },
		{ "--procs", .integer = &options.procs, .min = 1, .max = 1024 },
		{ "--policy", .text = &options.means },
		{ "--slices", .text = &slices },
		{ "--seconds", .number = &options.seconds, .min = 0.1, .max = 3600 },
		{ "--out", .text = &options.out },
	};
	struct preempt_go go;
	int status = 0;

	arguments_read(argc, argv, usage, arguments, ARRAY_SIZE(arguments));
	make_rows(&options, slices);
	report_make_directory(options.out);
	for (unsigned i = 0; i < options.rows; i++)
		run_row(&options, i);
	preempt_go_run(&options, &go);
	preempt_report(&options, rows, &go);
	for (unsigned i = 0; i < options.rows; i++) {
		if (rows[i].failure[0]) {
			fprintf(stderr, "urge-lab: %s: %s\n", rows[i].name, rows[i].failure);
			status = 1;
		}
	}
	return status;
}

const struct experiment preempt_experiment = {
	.name = "preempt",
	.what = "tight loops beside a goroutine that sleeps: lateness, throughput kept",
	.run = preempt,
	.cell = preempt_cell,
};
