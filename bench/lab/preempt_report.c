/* SPDX-License-Identifier: MIT */
/*
 * The files and the table of the experiment `preempt`.
 *
 * A sleeper that still waited when the loops ended gives a lower bound, not a sample. It is counted
 * as larger than all samples, so that every percentile below it is exact, and printed with ">=".
 */
#include "bench/lab/preempt.h"
#include "bench/lab/report.h"
#include "bench/lab/table.h"
#include "kernelshim/compiler.h"

#include <inttypes.h>
#include <stdio.h>

static const struct preempt_row *off_row(const struct preempt_row *rows)
{
	return &rows[0];
}

static size_t count_all(const struct preempt_row *row)
{
	return row->lateness.n + (row->bound > 0);
}

/* The percentile in ns; *at_least tells a lower bound. The row has a sample or a bound. */
static double lateness_at(const struct preempt_row *row, double p, bool *at_least)
{
	size_t rank = percentile_rank(count_all(row), p);

	*at_least = rank == row->lateness.n;
	return *at_least ? row->bound : row->lateness.v[rank];
}

/* A bound below the largest sample says nothing that the samples do not. */
static void drop_idle_bound(struct preempt_row *row)
{
	for (size_t i = 0; i < row->lateness.n; i++)
		if (row->lateness.v[i] >= row->bound)
			row->bound = 0;
}

/* Turns per second of wall or CPU time in percent of the row without preemption; -1: unknown. */
static double kept(const struct preempt_row *row, const struct preempt_row *off, bool by_cpu)
{
	double time = by_cpu ? row->cpu : row->wall, off_time = by_cpu ? off->cpu : off->wall;

	if (row->failure[0] || off->failure[0] || time <= 0 || off->turns <= 0)
		return -1;
	return 100 * (row->turns / time) / (off->turns / off_time);
}

/* ---- the table ----------------------------------------------------------------------------- */

static const char *const heads[] = {
	"",         "wake-ups", "late p50", "p99",      "p99.9", "max",
	"requests", "injected", "parked",   "deferred", "kept",  "kept/CPU",
};

static void add_duration(struct table *table, const struct preempt_row *row, double p,
			 const char *behind)
{
	bool at_least;
	double ns = lateness_at(row, p, &at_least);
	const char *sign = at_least ? ">= " : "";

	behind = at_least ? behind : "";
	if (ns < 1e6)
		table_add(table, "%s%.1f us%s", sign, ns / 1e3, behind);
	else if (ns < 1e9)
		table_add(table, "%s%.2f ms%s", sign, ns / 1e6, behind);
	else
		table_add(table, "%s%.3f s%s", sign, ns / 1e9, behind);
}

static void add_percent(struct table *table, double percent)
{
	if (percent < 0)
		table_add(table, "-");
	else
		table_add(table, "%.1f %%", percent);
}

static void add_row(struct table *table, const struct preempt_options *options,
		    const struct preempt_row *row, const struct preempt_row *off)
{
	const char *starved = row->bound >= options->seconds * 1e9 / 2 ? " (starved)" : "";

	table_add(table, "%s", row->name);
	if (row->failure[0]) {
		table_add(table, "failed");
		while (table->n % table->columns)
			table_add(table, "-");
		return;
	}
	table_add(table, "%zu", row->lateness.n);
	static const double percentiles[] = { .5, .99, .999, 1 };
	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++) {
		if (count_all(row) > 0)
			add_duration(table, row, percentiles[i],
				     percentiles[i] == 1 ? starved : "");
		else
			table_add(table, "-");
	}
	table_add(table, "%.0f", row->requests);
	table_add(table, "%.0f", row->injected);
	table_add(table, "%.0f", row->parked);
	table_add(table, "%.0f", row->deferred);
	add_percent(table, kept(row, off, false));
	add_percent(table, kept(row, off, true));
}

static double left_in_all(const struct preempt_options *options, const struct preempt_row *rows,
			  unsigned reason)
{
	double sum = 0;

	for (unsigned i = 0; i < options->rows; i++)
		sum += rows[i].left[reason];
	return sum;
}

/* By reason and row the requests that left the goroutine alone; no rows when there were none. */
static void fill_reasons(struct table *table, const struct preempt_options *options,
			 const struct preempt_row *rows)
{
	const char *reason;

	for (unsigned r = 0; (reason = urge_preempt_reason(r)) != NULL; r++) {
		if (left_in_all(options, rows, r) == 0)
			continue;
		table_add(table, "%s", reason);
		for (unsigned i = 0; i < options->rows; i++)
			table_add(table, "%.0f", rows[i].left[r]);
	}
}

/* ---- CSV ----------------------------------------------------------------------------------- */

/* In the order of time: before the samples are sorted. */
static void write_samples(const struct preempt_options *options, const struct preempt_row *rows)
{
	FILE *file = report_open_file(options->out, "preempt.csv");

	fputs("row,index,lateness_ns,at_least\n", file);
	for (unsigned i = 0; i < options->rows; i++) {
		const struct preempt_row *row = &rows[i];

		for (size_t j = 0; j < row->lateness.n; j++)
			fprintf(file, "%s,%zu,%.0f,0\n", row->file_name, j, row->lateness.v[j]);
		if (row->bound > 0)
			fprintf(file, "%s,%zu,%.0f,1\n", row->file_name, row->lateness.n,
				row->bound);
	}
	report_close_file(file, "preempt.csv");
}

static void write_percentile(FILE *file, const struct preempt_row *row, double p)
{
	bool at_least;

	if (count_all(row) > 0)
		fprintf(file, "%.0f", lateness_at(row, p, &at_least));
	fputc(',', file);
}

/* A percentile that is a lower bound equals bound_ns. An empty field is unknown. */
static void write_summary(const struct preempt_options *options, const struct preempt_row *rows)
{
	FILE *file = report_open_file(options->out, "preempt-summary.csv");

	fputs("row,slice_ns,wakeups,p50_ns,p99_ns,p999_ns,max_ns,bound_ns,requests,injected,parked,"
	      "deferred,turns,wall_ns,cpu_ns,kept_percent,kept_cpu_percent,failure\n",
	      file);
	for (unsigned i = 0; i < options->rows; i++) {
		const struct preempt_row *row = &rows[i];

		fprintf(file, "%s,%" PRId64 ",%zu,", row->file_name, row->slice, row->lateness.n);
		write_percentile(file, row, .5);
		write_percentile(file, row, .99);
		write_percentile(file, row, .999);
		write_percentile(file, row, 1);
		fprintf(file, "%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,", row->bound, row->requests,
			row->injected, row->parked, row->deferred, row->turns, row->wall, row->cpu);
		for (int by_cpu = 0; by_cpu <= 1; by_cpu++) {
			double percent = kept(row, off_row(rows), by_cpu);

			if (percent >= 0)
				fprintf(file, "%.3f", percent);
			fputc(',', file);
		}
		fprintf(file, "%s\n", row->failure);
	}
	report_close_file(file, "preempt-summary.csv");
}

/* ---- the page ------------------------------------------------------------------------------ */

/* Readable on white and on black. */
enum { COLORS = 12 };
static const char *const colors[COLORS] = {
	"#d1495b", "#2a9d8f", "#4c86d8", "#e08e2b", "#8a63c9", "#6b8e23",
	"#c71585", "#008b8b", "#a0522d", "#708090", "#cd5c5c", "#4682b4",
};

/*
 * A row's distribution as gnuplot data: 300 steps, and each of the last 30 samples, where the tail
 * is. Clocks may give 0, which a logarithmic axis cannot show: at least 0.1 us.
 */
static void write_distribution(FILE *commands, const struct preempt_row *row, unsigned index)
{
	size_t n = row->lateness.n, step = n / 300 + 1;

	fprintf(commands, "$row%u << EOD\n", index);
	for (size_t i = 0; i < n; i++) {
		double us = row->lateness.v[i] / 1e3;

		if (i % step == 0 || i + 30 > n)
			fprintf(commands, "%g %g\n", us > 0.1 ? us : 0.1,
				100 * (double)(i + 1) / (double)count_all(row));
	}
	if (row->bound > 0)
		fprintf(commands, "%g %g\n%g 100\n", row->bound / 1e3,
			100 * (double)n / (double)count_all(row), row->bound / 1e3);
	fputs("EOD\n", commands);
}

static int plot_lateness(FILE *page, const struct preempt_options *options,
			 const struct preempt_row *rows)
{
	FILE *commands = plot_begin("lateness");
	const char *separator = "plot ";

	for (unsigned i = 0; i < options->rows; i++)
		write_distribution(commands, &rows[i], i);
	fprintf(commands,
		"set logscale x\nset xrange [1:%g]\nset yrange [0:101]\n"
		"set xtics ('1 us' 1, '10 us' 10, '100 us' 100, '1 ms' 1e3, '10 ms' 1e4, '100 ms' 1e5, "
		"'1 s' 1e6, '10 s' 1e7, '100 s' 1e8)\n"
		"set xlabel 'lateness'\nset ylabel 'wake-ups not later, in %%'\n",
		options->seconds * 2e6);
	for (unsigned i = 0; i < options->rows; i++) {
		if (count_all(&rows[i]) == 0)
			continue;
		fprintf(commands, "%s$row%u using 1:2 with lines lw 2 lc rgb '%s' title '%s%s'",
			separator, i, colors[i % COLORS], rows[i].name,
			rows[i].lateness.n ? "" : " (at least)");
		separator = ", ";
	}
	fputc('\n', commands);
	return plot_end(commands, page);
}

/* One curve for each way, of which each row is a point: slice, kept, p99 of the lateness. */
static unsigned write_curves(FILE *commands, const struct preempt_options *options,
			     const struct preempt_row *rows)
{
	unsigned curves = 0;

	for (unsigned way = 0; way < PREEMPT_WAYS; way++) {
		fprintf(commands, "$way%u << EOD\n", way);
		for (unsigned i = 1; i < options->rows; i++) {
			const struct preempt_row *row = &rows[i];
			bool at_least;

			if (row->way != way || kept(row, off_row(rows), false) < 0 ||
			    count_all(row) == 0)
				continue;
			fprintf(commands, "%g %g %g\n", (double)row->slice / 1e3,
				kept(row, off_row(rows), false),
				lateness_at(row, .99, &at_least) / 1e3);
			curves |= 1U << way;
		}
		fputs("EOD\n", commands);
	}
	return curves;
}

/* The throughput kept, against column `of` of the curves. */
static int plot_kept(FILE *page, const struct preempt_options *options,
		     const struct preempt_row *rows, const char *id, int of, const char *axis)
{
	FILE *commands = plot_begin(id);
	unsigned curves = write_curves(commands, options, rows);
	const char *separator = "plot ";

	fprintf(commands,
		"set logscale x\nset yrange [*<80:105<*]\n"
		"set xtics ('50 us' 50, '100 us' 100, '500 us' 500, '1 ms' 1e3, '10 ms' 1e4, "
		"'100 ms' 1e5, '1 s' 1e6)\n"
		"set xlabel '%s'\nset ylabel 'throughput kept, in %% of preemption off'\n",
		axis);
	for (unsigned way = 0; way < PREEMPT_WAYS; way++) {
		if (!(curves >> way & 1))
			continue;
		fprintf(commands,
			"%s$way%u using %d:2 with linespoints lw 2 pt 7 ps 0.6 lc rgb '%s' title '%s'",
			separator, way, of, colors[way + 1], preempt_ways[way].name);
		separator = ", ";
	}
	fputc('\n', commands);
	return plot_end(commands, page);
}

static bool any_result(const struct preempt_options *options, const struct preempt_row *rows)
{
	bool any = false;

	for (unsigned i = 1; i < options->rows; i++)
		any |= kept(&rows[i], off_row(rows), false) >= 0;
	return any;
}

/* One line about Go. */
static void print_go(const struct preempt_go *go, FILE *out)
{
	if (go->failure[0])
		fprintf(out, "Without Go: %s.", go->failure);
	else
		fprintf(out,
			"Go %s, whose slice is 10 ms: late p50 %.2f ms, p99 %.2f ms, max %.2f ms; kept "
			"%.1f %% of its throughput without asynchronous preemption.",
			go->version, go->p50 / 1e3, go->p99 / 1e3, go->max / 1e3, go->kept);
}

static void write_page(const struct preempt_options *options, const struct preempt_row *rows,
		       const struct preempt_go *go, const struct table *table,
		       const struct table *reasons)
{
	FILE *page = report_begin(options->out, "preempt.html", "Tight loops and preemption",
				  options->argc, options->argv);

	fprintf(page,
		"<p>%u tight loops without a call on %u Ps, beside one goroutine that sleeps 1 ms in a "
		"loop, for %g s in each row. Late: the time from the end of the sleep until the goroutine "
		"runs. Policy: %s. Kept: turns of all loops per second of wall time (and of CPU time) in percent of "
		"the row without preemption. Requests, injected, parked, deferred: the runtime's "
		"preemption counters.</p>\n",
		options->loops, options->procs, options->seconds, options->means);
	table_print_html(table, page);
	fputs("<p>", page);
	print_go(go, page);
	fputs("</p>\n", page);
	for (unsigned i = 0; i < options->rows; i++) {
		if (rows[i].failure[0]) {
			fprintf(page, "<p>%s failed: ", rows[i].name);
			html_escape(rows[i].failure, page);
			fputs("</p>\n", page);
		}
	}
	if (reasons->n > 0) {
		fputs("<h2>Requests that left the goroutine alone</h2>\n", page);
		table_print_html(reasons, page);
	}
	if (any_result(options, rows)) {
		fputs("<h2>Lateness</h2>\n", page);
		/* a second drawing without gnuplot would only say the same again */
		if (plot_lateness(page, options, rows) == 0) {
			fputs("<h2>Throughput kept</h2>\n", page);
			plot_kept(page, options, rows, "kept", 1, "time slice");
			fputs("<h2>Throughput kept against lateness, a point for each slice</h2>\n",
			      page);
			plot_kept(page, options, rows, "price", 3, "lateness, 99th percentile");
		}
	}
	fputs("<p>A lower bound (&gt;=) is a wake-up that was due and did not happen until the loops "
	      "were ended. All samples: preempt.csv; this table: preempt-summary.csv.</p>\n",
	      page);
	report_end(page, "preempt.html");
}

void preempt_report(const struct preempt_options *options, struct preempt_row *rows,
		    const struct preempt_go *go)
{
	struct table table = { .heads = heads, .columns = ARRAY_SIZE(heads) };
	const char *reason_heads[1 + PREEMPT_ROWS_MAX] = { "left alone because" };
	struct table reasons = { .heads = reason_heads, .columns = 1 + options->rows };

	for (unsigned i = 0; i < options->rows; i++) {
		drop_idle_bound(&rows[i]);
		reason_heads[1 + i] = rows[i].name;
	}
	fill_reasons(&reasons, options, rows);
	write_samples(options, rows);
	for (unsigned i = 0; i < options->rows; i++) {
		samples_sort(&rows[i].lateness);
		add_row(&table, options, &rows[i], off_row(rows));
	}
	write_summary(options, rows);
	write_page(options, rows, go, &table, &reasons);

	printf("%u tight loops on %u Ps beside a goroutine that sleeps 1 ms, %g s a row, "
	       "policy %s\n\n",
	       options->loops, options->procs, options->seconds, options->means);
	table_print(&table, stdout);
	fputc('\n', stdout);
	print_go(go, stdout);
	fputc('\n', stdout);
	if (reasons.n > 0) {
		fputc('\n', stdout);
		table_print(&reasons, stdout);
	}
	printf("\nReport: %s/preempt.html, preempt.csv, preempt-summary.csv\n", options->out);
	table_free(&table);
	table_free(&reasons);
}
