/* SPDX-License-Identifier: MIT */
/*
 * The parent starts `urge-bench --child WORKLOAD PROCS REPS [CELL]`; the child prints one line a
 * sample, which the parent groups by figure in the order in which they first appear:
 *
 *	. FIGURE VALUE UNIT	a sample
 *	= FIGURE TEXT		a line to be printed as it is
 *
 * The figures of a workload are listed in its table because --list and the choice of workloads must
 * know them without running anything. A child that prints another figure is an error.
 */
#define _GNU_SOURCE
#include "bench/harness.h"
#include "bench/options.h"
#include "bench/process.h"
#include "bench/progress.h"
#include "kernelshim/compiler.h"
#include "urge.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 96 };

const unsigned bench_procs_1_2[] = { 1, 2, 0 };

/* ---- the child's side ---------------------------------------------------------------------- */

void bench_sample(const struct bench_run *run, const char *stem, const char *tail, double value,
		  const char *unit)
{
	if (run->workload->unnumbered)
		printf(". %s%s %.9g %s\n", stem, tail, value, unit);
	else
		printf(". %s.p%u%s %.9g %s\n", stem, run->procs, tail, value, unit);
}

void bench_line(const struct bench_run *run, const char *stem, const char *tail, const char *format,
		...)
{
	va_list args;

	va_start(args, format);
	printf("= %s.p%u%s ", stem, run->procs, tail);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
}

struct bench_section bench_start(void)
{
	int64_t cpu = process_cpu_ns();

	return (struct bench_section){ .wall = urge_now(), .cpu = cpu };
}

struct bench_section bench_spent(struct bench_section start)
{
	return (struct bench_section){ urge_now() - start.wall, process_cpu_ns() - start.cpu };
}

void bench_end_spent(const struct bench_run *run, struct bench_section spent, const char *stem,
		     double operations, const char *unit)
{
	char cpu_unit[NAME_SIZE];

	snprintf(cpu_unit, sizeof(cpu_unit), "cpu-%s", unit);
	bench_sample(run, stem, "", (double)spent.wall / operations, unit);
	bench_sample(run, stem, ".cpu", (double)spent.cpu / operations, cpu_unit);
}

void bench_end(const struct bench_run *run, struct bench_section start, const char *stem,
	       double operations, const char *unit)
{
	bench_end_spent(run, bench_spent(start), stem, operations, unit);
}

void bench_distribution(const struct bench_run *run, const char *stem, struct samples *reps,
			unsigned n)
{
	struct samples all = { 0 };

	for (unsigned i = 0; i < n; i++) {
		if (reps[i].n == 0)
			continue;
		samples_sort(&reps[i]);
		bench_sample(run, stem, ".p50", samples_percentile(&reps[i], .5) / 1e3, "us");
		bench_sample(run, stem, ".p99", samples_percentile(&reps[i], .99) / 1e3, "us");
		bench_sample(run, stem, ".max", samples_percentile(&reps[i], 1) / 1e3, "us");
		samples_append(&all, &reps[i]);
		samples_free(&reps[i]);
	}
	if (all.n == 0)
		return;
	samples_sort(&all);
	bench_line(run, stem, ".pooled",
		   "p50=%.1f p90=%.1f p99=%.1f p99.9=%.1f max=%.1f us samples=%zu",
		   samples_percentile(&all, .5) / 1e3, samples_percentile(&all, .9) / 1e3,
		   samples_percentile(&all, .99) / 1e3, samples_percentile(&all, .999) / 1e3,
		   samples_percentile(&all, 1) / 1e3, all.n);
	samples_free(&all);
}

void bench_check(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(-err));
	exit(1);
}

static int start(void *arg)
{
	const struct bench_run *run = arg;

	return run->workload->goroutine(run);
}

int bench_run_child(const struct workload *const *workloads, char *const *argv)
{
	struct bench_run run = { 0 };

	for (; argv[0] && *workloads; workloads++)
		if (!strcmp((*workloads)->name, argv[0]))
			run.workload = *workloads;
	if (!run.workload || !argv[1] || !argv[2]) {
		fprintf(stderr, "%s: %s is for the program itself\n", program_invocation_short_name,
			BENCH_CHILD_OPTION);
		return EXIT_USAGE;
	}
	run.procs = (unsigned)option_integer("PROCS", argv[1], 1, 4096);
	run.reps = (unsigned)option_integer("REPS", argv[2], 1, 1000);
	run.cell = argv[3];
	bench_check(run.workload->process ? run.workload->process(&run) : urge_main(start, &run),
		    run.workload->name);
	return 0;
}

/* ---- starting children --------------------------------------------------------------------- */

static void show_repetition(void *arg, int64_t elapsed)
{
	progress_show("%s, %lld s", (const char *)arg, (long long)(elapsed / URGE_S));
}

static void run_child(const struct workload *workload, unsigned procs, unsigned reps,
		      const char *cell, char *title, struct child_result *result)
{
	char procs_text[16], reps_text[16];
	const char *argv[] = { CHILD_SELF, BENCH_CHILD_OPTION, workload->name,
			       procs_text, reps_text,          cell,
			       NULL };
	struct child_spec spec = {
		.argv = (char *const *)argv,
		.gomaxprocs = procs,
		.input = -1,
		.limit = (int64_t)workload->seconds * reps * URGE_S,
		.tick = title ? show_repetition : NULL,
		.arg = title,
	};

	snprintf(procs_text, sizeof(procs_text), "%u", procs);
	snprintf(reps_text, sizeof(reps_text), "%u", reps);
	child_run(&spec, result);
	progress_clear();
}

void bench_cell(const struct bench_run *run, const char *cell, struct child_result *result)
{
	char how[128];

	run_child(run->workload, run->procs, 1, cell, NULL, result);
	if (child_succeeded(result))
		return;
	child_describe(result, how, sizeof(how));
	fprintf(stderr, "%s: %s, %s: %s\n", program_invocation_short_name, run->workload->name,
		cell, how);
	exit(1);
}

/* ---- names --------------------------------------------------------------------------------- */

/* A figure's full name: the '*' of its table entry, if any, replaced by the number of Ps. */
static void full_name(const char *figure, unsigned procs, char *name)
{
	const char *star = strchr(figure, '*');

	if (star)
		snprintf(name, NAME_SIZE, "%.*sp%u%s", (int)(star - figure), figure, procs,
			 star + 1);
	else
		snprintf(name, NAME_SIZE, "%s", figure);
}

/*
 * Whole components first: "mem.100000" must not ask for mem.1000000. Only a name that asks for
 * nothing this way may end within a component.
 */
enum match { WHOLE, WITHIN };

static bool name_matches(const char *name, const char *figure, enum match match)
{
	char pattern[NAME_SIZE];

	if (!fnmatch(name, figure, 0))
		return true;
	snprintf(pattern, sizeof(pattern), match == WHOLE ? "%s.*" : "%s*", name);
	return !fnmatch(pattern, figure, 0);
}

/* A workload counts as "spawn.p2" here. */
static bool name_asks_for(const char *name, const struct workload *workload, unsigned procs,
			  const char *figure, enum match match)
{
	char variant[NAME_SIZE];

	snprintf(variant, sizeof(variant), "%s.p%u", workload->name, procs);
	return name_matches(name, figure, match) || name_matches(name, variant, match);
}

/* Whether the name asks for any figure of the workload with this number of Ps, or for `only`. */
static bool name_wants(const char *name, const struct workload *workload, unsigned procs,
		       const char *only, enum match match)
{
	char figure[NAME_SIZE];

	if (only)
		return name_asks_for(name, workload, procs, only, match);
	for (const char *const *f = workload->figures; *f; f++) {
		full_name(*f, procs, figure);
		if (name_asks_for(name, workload, procs, figure, match))
			return true;
	}
	return false;
}

static enum match how_to_match(const struct workload *const *workloads, const char *name)
{
	for (; *workloads; workloads++)
		for (const unsigned *procs = (*workloads)->procs; *procs; procs++)
			if (name_wants(name, *workloads, *procs, NULL, WHOLE))
				return WHOLE;
	return WITHIN;
}

static bool wanted(const struct workload *const *workloads, char *const *names,
		   const struct workload *workload, unsigned procs, const char *only)
{
	for (; *names; names++)
		if (name_wants(*names, workload, procs, only, how_to_match(workloads, *names)))
			return true;
	return false;
}

static bool known(const struct workload *const *workloads, const char *name)
{
	for (; *workloads; workloads++)
		for (const unsigned *procs = (*workloads)->procs; *procs; procs++)
			if (name_wants(name, *workloads, *procs, NULL, WITHIN))
				return true;
	return false;
}

void bench_list(const struct workload *const *workloads)
{
	char figure[NAME_SIZE];

	for (; *workloads; workloads++) {
		for (const unsigned *procs = (*workloads)->procs; *procs; procs++) {
			printf("%s p%u: %s\n", (*workloads)->name, *procs, (*workloads)->what);
			for (const char *const *f = (*workloads)->figures; *f; f++) {
				full_name(*f, *procs, figure);
				printf("  %s\n", figure);
			}
		}
	}
}

/* ---- collecting and printing --------------------------------------------------------------- */

struct figure {
	char name[NAME_SIZE];
	char unit[NAME_SIZE];
	char *line; /* instead of samples */
	struct samples samples;
};

struct figures {
	struct figure *v;
	size_t n;
};

static bool listed(const struct workload *workload, unsigned procs, const char *name)
{
	char figure[NAME_SIZE];

	for (const char *const *f = workload->figures; *f; f++) {
		full_name(*f, procs, figure);
		if (!strcmp(figure, name))
			return true;
	}
	return false;
}

static struct figure *figure_named(struct figures *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (!strcmp(all->v[i].name, name))
			return &all->v[i];
	all->v = realloc(all->v, (all->n + 1) * sizeof(*all->v));
	if (!all->v) {
		fprintf(stderr, "out of memory for figure %s\n", name);
		exit(1);
	}
	struct figure *figure = &all->v[all->n++];
	*figure = (struct figure){ .line = NULL };
	snprintf(figure->name, sizeof(figure->name), "%s", name);
	return figure;
}

/* One line of a child; false when it is of neither kind, or of a figure that is not listed. */
static bool collect_line(struct figures *all, const struct workload *workload, unsigned procs,
			 char *line)
{
	char name[NAME_SIZE], unit[NAME_SIZE];
	double value;
	int rest = 0;

	if (sscanf(line, ". %95s %lf %95s", name, &value, unit) == 3) {
		if (!listed(workload, procs, name))
			return false;
		struct figure *figure = figure_named(all, name);
		samples_add(&figure->samples, value);
		memcpy(figure->unit, unit, sizeof(unit));
		return true;
	}
	if (sscanf(line, "= %95s %n", name, &rest) != 1 || !listed(workload, procs, name))
		return false;
	struct figure *figure = figure_named(all, name);
	free(figure->line);
	figure->line = strdup(line + rest);
	return figure->line != NULL;
}

static bool collect(struct figures *all, const struct workload *workload, unsigned procs,
		    char *output)
{
	bool good = true;

	for (char *line = strtok(output, "\n"); line; line = strtok(NULL, "\n")) {
		if (collect_line(all, workload, procs, line))
			continue;
		fprintf(stderr, "%s: %s printed what is not in its list of figures: %s\n",
			program_invocation_short_name, workload->name, line);
		good = false;
	}
	return good;
}

static void print_figure(struct figure *figure)
{
	struct samples *s = &figure->samples;

	if (figure->line) {
		printf("%s %s\n", figure->name, figure->line);
		return;
	}
	samples_sort(s);
	printf("%s %.6g %s min=%.6g max=%.6g n=%zu\n", figure->name, samples_median(s),
	       figure->unit, s->v[0], s->v[s->n - 1], s->n);
}

static void free_figures(struct figures *all)
{
	for (size_t i = 0; i < all->n; i++) {
		free(all->v[i].line);
		samples_free(&all->v[i].samples);
	}
	free(all->v);
}

/* All repetitions of a workload, in one child or in one each. */
static bool run_variant(struct figures *all, const struct workload *workload, unsigned procs,
			unsigned reps)
{
	unsigned children = workload->process_per_repetition ? reps : 1;
	bool good = true;

	for (unsigned i = 0; i < children && good; i++) {
		char title[NAME_SIZE * 2], how[128];
		struct child_result result;

		snprintf(title, sizeof(title), "%s p%u, process %u of %u", workload->name, procs,
			 i + 1, children);
		run_child(workload, procs, reps / children, NULL, title, &result);
		if (!child_succeeded(&result)) {
			child_describe(&result, how, sizeof(how));
			fprintf(stderr, "%s: %s p%u: %s\n", program_invocation_short_name,
				workload->name, procs, how);
			good = false;
		}
		good = collect(all, workload, procs, result.out) && good;
		child_free(&result);
	}
	return good;
}

int bench_run_named(const struct workload *const *workloads, char *const *names, unsigned reps)
{
	bool good = true;

	for (char *const *name = names; *name; name++) {
		if (known(workloads, *name))
			continue;
		fprintf(stderr, "%s: no figure or workload is named %s (%s --list shows all)\n",
			program_invocation_short_name, *name, program_invocation_short_name);
		return EXIT_USAGE;
	}
	for (const struct workload *const *w = workloads; *w; w++) {
		for (const unsigned *procs = (*w)->procs; *procs; procs++) {
			struct figures all = { 0 };

			if (!wanted(workloads, names, *w, *procs, NULL))
				continue;
			good = run_variant(&all, *w, *procs, reps) && good;
			for (size_t i = 0; i < all.n; i++)
				if (wanted(workloads, names, *w, *procs, all.v[i].name))
					print_figure(&all.v[i]);
			fflush(stdout);
			free_figures(&all);
		}
	}
	return good ? 0 : 1;
}
