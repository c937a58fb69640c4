/* SPDX-License-Identifier: MIT */
/* The files and tables of the experiment `maxprocs`. */
#include "bench/lab/maxprocs.h"
#include "bench/lab/report.h"
#include "bench/lab/table.h"
#include "kernelshim/compiler.h"

#include <stdio.h>

/* Readable on white and on black. */
static const char *const colors[] = { "#d1495b", "#2a9d8f", "#4c86d8", "#e08e2b", "#8a63b8" };

/* ---- tables -------------------------------------------------------------------------------- */

static void add_duration(struct table *table, double ns)
{
	if (ns < 1e6)
		table_add(table, "%.1f us", ns / 1e3);
	else if (ns < 1e9)
		table_add(table, "%.2f ms", ns / 1e6);
	else
		table_add(table, "%.3f s", ns / 1e9);
}

static const char *const sweep_heads[] = {
	"GOMAXPROCS", "ops/s",    "p50",        "p99",          "p99.9",
	"max",        "steals/s", "switches/s", "taken away/s", "CPU/op",
};

static void fill_sweep(struct table *table, const struct maxprocs_sweep *sweep)
{
	for (unsigned i = 0; i < sweep->npoints; i++) {
		const struct maxprocs_point *p = &sweep->points[i];

		table_add(table, "%u", p->n);
		table_add(table, "%.0f", p->throughput);
		add_duration(table, p->p50);
		add_duration(table, p->p99);
		add_duration(table, p->p999);
		add_duration(table, p->max);
		table_add(table, "%.0f", p->steals);
		table_add(table, "%.0f", p->voluntary);
		table_add(table, "%.0f", p->involuntary);
		add_duration(table, p->cpu);
	}
}

static const char *const pause_heads[] = {
	"changes/s", "ticks", "gap p50", "p99", "max", "call p50", "p99", "max",
};

static void fill_pauses(struct table *table, const struct maxprocs_pause *pauses,
			const struct maxprocs_twin *twin)
{
	for (unsigned i = 0; i < MAXPROCS_RATES; i++) {
		const struct samples *gaps = &pauses[i].gaps, *calls = &pauses[i].calls;

		table_add(table, "%u", pauses[i].rate);
		table_add(table, "%zu", gaps->n);
		for (int column = 0; column < 6; column++) {
			const struct samples *s = column < 3 ? gaps : calls;
			static const double percentiles[] = { .5, .99, 1 };

			if (s->n > 0)
				add_duration(table, samples_percentile(s, percentiles[column % 3]));
			else
				table_add(table, "-");
		}
	}
	if (!twin->there)
		return;
	table_add(table, "Go, every 2 ms");
	for (int column = 0; column < 3; column++)
		table_add(table, "-");
	add_duration(table, twin->gap * 1e3);
	add_duration(table, twin->call_p50 * 1e3);
	add_duration(table, twin->call_p99 * 1e3);
	add_duration(table, twin->call_max * 1e3);
}

/* "1 at 0 ms, 2 at 640 ms": what the controller did. */
static void print_trace(const struct maxprocs_sweep *sweep, FILE *out)
{
	unsigned last = 0;

	for (unsigned i = 0; i < sweep->ntrace; i++) {
		if (sweep->trace[i].n == last)
			continue;
		fprintf(out, "%s%u at %.0f ms", last ? ", " : "", sweep->trace[i].n,
			sweep->trace[i].ms);
		last = sweep->trace[i].n;
	}
}

/* ---- CSV ----------------------------------------------------------------------------------- */

static void write_points(const char *dir, const struct maxprocs_sweep *sweeps)
{
	FILE *file = report_open_file(dir, "maxprocs.csv");

	fputs("workload,gomaxprocs,ops_per_s,p50_ns,p99_ns,p999_ns,max_ns,steals_per_s,"
	      "voluntary_per_s,involuntary_per_s,cpu_ns_per_op\n",
	      file);
	for (unsigned w = 0; w < MAXPROCS_WORKLOADS; w++) {
		for (unsigned i = 0; i < sweeps[w].npoints; i++) {
			const struct maxprocs_point *p = &sweeps[w].points[i];

			fprintf(file, "%s,%u,%.1f,%.0f,%.0f,%.0f,%.0f,%.1f,%.1f,%.1f,%.1f\n",
				sweeps[w].name, p->n, p->throughput, p->p50, p->p99, p->p999,
				p->max, p->steals, p->voluntary, p->involuntary, p->cpu);
		}
	}
	report_close_file(file, "maxprocs.csv");
}

/* In the order of time: before the samples are sorted. */
static void write_pauses(const char *dir, const struct maxprocs_pause *pauses)
{
	FILE *file = report_open_file(dir, "maxprocs-pause.csv");

	fputs("changes_per_s,kind,index,ns\n", file);
	for (unsigned r = 0; r < MAXPROCS_RATES; r++) {
		for (size_t i = 0; i < pauses[r].gaps.n; i++)
			fprintf(file, "%u,gap,%zu,%.0f\n", pauses[r].rate, i, pauses[r].gaps.v[i]);
		for (size_t i = 0; i < pauses[r].calls.n; i++)
			fprintf(file, "%u,call,%zu,%.0f\n", pauses[r].rate, i,
				pauses[r].calls.v[i]);
	}
	report_close_file(file, "maxprocs-pause.csv");
}

/* ---- the page ------------------------------------------------------------------------------ */

/* One line for each workload of a value against GOMAXPROCS. */
static int plot_sweeps(FILE *page, const struct maxprocs_sweep *sweeps, bool latency)
{
	FILE *commands = plot_begin(latency ? "latency" : "throughput");
	const char *separator = "plot ";

	for (unsigned w = 0; w < MAXPROCS_WORKLOADS; w++) {
		fprintf(commands, "$sweep%u << EOD\n", w);
		for (unsigned i = 0; i < sweeps[w].npoints; i++)
			fprintf(commands, "%u %g\n", sweeps[w].points[i].n,
				latency ? sweeps[w].points[i].p99 / 1e3
					: sweeps[w].points[i].throughput / 1e3);
		fputs("EOD\n", commands);
	}
	fprintf(commands, "set xlabel 'GOMAXPROCS'\nset logscale y\nset ylabel '%s'\n",
		latency ? "p99 of an operation, us" : "thousand operations a second");
	for (unsigned w = 0; w < MAXPROCS_WORKLOADS; w++) {
		if (sweeps[w].npoints == 0)
			continue;
		fprintf(commands,
			"%s$sweep%u using 1:2 with linespoints lw 2 pt 7 ps 0.6 lc rgb '%s' title '%s'",
			separator, w, colors[w], sweeps[w].name);
		separator = ", ";
	}
	fputc('\n', commands);
	return plot_end(commands, page);
}

static int plot_traces(FILE *page, const struct maxprocs_sweep *sweeps)
{
	FILE *commands = plot_begin("controller");
	const char *separator = "plot ";

	for (unsigned w = 0; w < MAXPROCS_WORKLOADS; w++) {
		fprintf(commands, "$trace%u << EOD\n", w);
		for (unsigned i = 0; i < sweeps[w].ntrace; i++)
			fprintf(commands, "%g %u\n", sweeps[w].trace[i].ms / 1e3,
				sweeps[w].trace[i].n);
		fputs("EOD\n", commands);
	}
	fputs("set xlabel 'seconds'\nset ylabel 'GOMAXPROCS'\nset yrange [0:*]\n", commands);
	for (unsigned w = 0; w < MAXPROCS_WORKLOADS; w++) {
		if (sweeps[w].ntrace == 0)
			continue;
		fprintf(commands, "%s$trace%u using 1:2 with steps lw 2 lc rgb '%s' title '%s'",
			separator, w, colors[w], sweeps[w].name);
		separator = ", ";
	}
	fputc('\n', commands);
	return plot_end(commands, page);
}

/* The gaps' distributions; samples are sorted. */
static int plot_gaps(FILE *page, const struct maxprocs_pause *pauses)
{
	FILE *commands = plot_begin("gaps");
	const char *separator = "plot ";

	for (unsigned r = 0; r < MAXPROCS_RATES; r++) {
		const struct samples *gaps = &pauses[r].gaps;
		size_t step = gaps->n / 300 + 1;

		fprintf(commands, "$rate%u << EOD\n", r);
		for (size_t i = 0; i < gaps->n; i++)
			if (i % step == 0 || i + 30 > gaps->n)
				fprintf(commands, "%g %g\n", gaps->v[i] / 1e3,
					100 * (double)(i + 1) / (double)gaps->n);
		fputs("EOD\n", commands);
	}
	fputs("set logscale x\nset yrange [0:101]\nset xlabel 'gap between two ticks, us'\n"
	      "set ylabel 'gaps not longer, in %'\n",
	      commands);
	for (unsigned r = 0; r < MAXPROCS_RATES; r++) {
		if (pauses[r].gaps.n == 0)
			continue;
		fprintf(commands, "%s$rate%u using 1:2 with lines lw 2 lc rgb '%s' title '%u Hz'",
			separator, r, colors[r], pauses[r].rate);
		separator = ", ";
	}
	fputc('\n', commands);
	return plot_end(commands, page);
}

static void write_page(const struct maxprocs_options *options, const struct maxprocs_sweep *sweeps,
		       const struct maxprocs_pause *pauses, const struct table *tables,
		       const struct table *pause_table, const struct maxprocs_twin *twin)
{
	FILE *page = report_begin(options->out, "maxprocs.html", "GOMAXPROCS under load",
				  options->argc, options->argv);
	bool drawn;

	fprintf(page,
		"<p>Each load runs in one process, in which GOMAXPROCS goes from 1 to %u, %g s each. "
		"Taken away: involuntary context switches of all threads. Latencies are those of an "
		"operation: a fork and its join, the way of an item through its pipeline, or a request "
		"and its answer, as the client sees it. The client of a server is a thread of the same "
		"process, whose CPU time and switches are left out.</p>\n",
		options->max, options->seconds);
	for (unsigned w = 0; w < MAXPROCS_WORKLOADS; w++) {
		fprintf(page, "<h2>%s: %s</h2>\n", sweeps[w].name, sweeps[w].what);
		table_print_html(&tables[w], page);
		fputs("<p>The controller: ", page);
		print_trace(&sweeps[w], page);
		fputs("</p>\n", page);
		if (sweeps[w].failure[0]) {
			fputs("<p>Failed: ", page);
			html_escape(sweeps[w].failure, page);
			fputs("</p>\n", page);
		}
	}
	drawn = sweeps[0].npoints > 0 && plot_sweeps(page, sweeps, false) == 0;
	if (drawn) { /* a second drawing without gnuplot would only say the same again */
		plot_sweeps(page, sweeps, true);
		fputs("<h2>The controller</h2>\n", page);
		plot_traces(page, sweeps);
	}
	fputs("<h2>What changes cost others</h2>\n<p>Gaps between the ticks of a goroutine that "
	      "sleeps 1 ms in a loop, under the mixed load, while GOMAXPROCS flips between 2 and 4; "
	      "and how long the calls took.</p>\n",
	      page);
	table_print_html(pause_table, page);
	if (!twin->there) {
		fputs("<p>No figures of Go: ", page);
		html_escape(twin->why, page);
		fputs("</p>\n", page);
	}
	if (drawn)
		plot_gaps(page, pauses);
	fputs("<p>The tables: maxprocs.csv; all gaps and calls: maxprocs-pause.csv.</p>\n", page);
	report_end(page, "maxprocs.html");
}

void maxprocs_report(const struct maxprocs_options *options, struct maxprocs_sweep *sweeps,
		     struct maxprocs_pause *pauses, const struct maxprocs_twin *twin)
{
	struct table tables[MAXPROCS_WORKLOADS];
	struct table pause_table = { .heads = pause_heads, .columns = ARRAY_SIZE(pause_heads) };

	write_points(options->out, sweeps);
	write_pauses(options->out, pauses);
	for (unsigned r = 0; r < MAXPROCS_RATES; r++) {
		samples_sort(&pauses[r].gaps);
		samples_sort(&pauses[r].calls);
	}
	for (unsigned w = 0; w < MAXPROCS_WORKLOADS; w++) {
		tables[w] =
			(struct table){ .heads = sweep_heads, .columns = ARRAY_SIZE(sweep_heads) };
		fill_sweep(&tables[w], &sweeps[w]);
	}
	fill_pauses(&pause_table, pauses, twin);
	write_page(options, sweeps, pauses, tables, &pause_table, twin);

	for (unsigned w = 0; w < MAXPROCS_WORKLOADS; w++) {
		printf("%s: %s\n\n", sweeps[w].name, sweeps[w].what);
		table_print(&tables[w], stdout);
		fputs("\nthe controller: ", stdout);
		print_trace(&sweeps[w], stdout);
		fputs("\n\n", stdout);
		table_free(&tables[w]);
	}
	puts("a ticker of 1 ms beside the mixed load, while GOMAXPROCS flips between 2 and 4\n");
	table_print(&pause_table, stdout);
	if (!twin->there)
		printf("no figures of Go: %s\n", twin->why);
	printf("\nReport: %s/maxprocs.html, maxprocs.csv, maxprocs-pause.csv\n", options->out);
	table_free(&pause_table);
}
