/* SPDX-License-Identifier: MIT */
/*
 * gnuplot draws SVG, which is put into the page as it is: the page stays one file, and its style
 * sheet recolours the black that gnuplot uses for axes and text, so that it is readable in light
 * and dark. (Two drawings, one for each theme, would double the page; a <img> with a data: URL
 * cannot be restyled.)
 */
#define _GNU_SOURCE
#include "bench/lab/report.h"
#include "bench/child.h"
#include "bench/lab/table.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char style[] =
	":root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--dim:#59636e;--line:#d1d9e0}\n"
	"@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--dim:#9198a1;"
	"--line:#3d444d}}\n"
	"body{font:16px/1.5 sans-serif;color:var(--fg);background:var(--bg);max-width:64rem;"
	"margin:2rem auto;padding:0 1rem}\n"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}\n"
	"th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;"
	"white-space:nowrap}\n"
	"th:first-child,td:first-child{text-align:left}\n"
	"dt{color:var(--dim)}dd{margin:0 0 .3rem 1rem}code{font-size:.9rem;overflow-wrap:anywhere}\n"
	"svg{max-width:100%;height:auto}.wide{overflow-x:auto}\n"
	"svg [color=black]{color:var(--fg)}svg [stroke=black]{stroke:var(--fg)}"
	"svg [fill=black]{fill:var(--fg)}\n";

static _Noreturn void fail(const char *dir, const char *name)
{
	fprintf(stderr, "urge-lab: %s%s%s: %s\n", dir, name[0] ? "/" : "", name, strerror(errno));
	exit(1);
}

void report_make_directory(const char *dir)
{
	char *path = strdup(dir);

	if (!path)
		fail(dir, "");
	for (char *slash = path + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (mkdir(path, 0777) < 0 && errno != EEXIST)
			fail(path, "");
		*slash = '/';
	}
	if ((mkdir(path, 0777) < 0 && errno != EEXIST) || access(path, W_OK | X_OK) < 0)
		fail(path, "");
	free(path);
}

FILE *report_open_file(const char *dir, const char *name)
{
	char *path;
	FILE *file = NULL;

	if (asprintf(&path, "%s/%s", dir, name) >= 0) {
		file = fopen(path, "we");
		free(path);
	}
	if (!file)
		fail(dir, name);
	return file;
}

void report_close_file(FILE *file, const char *name)
{
	if (ferror(file) || fclose(file) != 0)
		fail(name, "");
}

/* ---- the page ------------------------------------------------------------------------------ */

static void fact(FILE *page, const char *what, const char *text)
{
	fprintf(page, "<dt>%s</dt><dd>", what);
	html_escape(text, page);
	fputs("</dd>\n", page);
}

/* "model name" is x86's; arm64 has no such line. */
static void cpu_model(char *text, size_t size)
{
	FILE *cpuinfo = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(text, size, "unknown");
	while (cpuinfo && fgets(line, sizeof(line), cpuinfo)) {
		char *colon = strchr(line, ':');

		if (colon && !strncmp(line, "model name", strlen("model name"))) {
			snprintf(text, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
			break;
		}
	}
	if (cpuinfo)
		fclose(cpuinfo);
}

static void write_machine(FILE *page)
{
	char text[512];
	struct utsname name;
	cpu_set_t allowed;

	cpu_model(text, sizeof(text));
	fact(page, "Processor", text);
	CPU_ZERO(&allowed);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	snprintf(text, sizeof(text), "%d usable of %ld online", CPU_COUNT(&allowed),
		 sysconf(_SC_NPROCESSORS_ONLN));
	fact(page, "CPUs", text);
	uname(&name);
	snprintf(text, sizeof(text), "%s %s %s", name.sysname, name.release, name.machine);
	fact(page, "Kernel", text);
	time_t now = time(NULL);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", localtime(&now));
	fact(page, "Date", text);
}

FILE *report_begin(const char *dir, const char *name, const char *title, int argc, char **argv)
{
	FILE *page = report_open_file(dir, name);

	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>",
	      page);
	html_escape(title, page);
	fprintf(page, "</title>\n<style>\n%s</style></head>\n<body>\n<h1>", style);
	html_escape(title, page);
	fputs("</h1>\n<dl>\n", page);
	write_machine(page);
	fputs("<dt>Command</dt><dd><code>urge-lab", page);
	for (int i = 0; i < argc; i++) {
		fputc(' ', page);
		html_escape(argv[i], page);
	}
	fputs("</code></dd>\n</dl>\n", page);
	return page;
}

void report_end(FILE *page, const char *name)
{
	fputs("</body></html>\n", page);
	report_close_file(page, name);
}

/* ---- drawings ------------------------------------------------------------------------------ */

FILE *plot_begin(const char *id)
{
	FILE *commands = tmpfile();

	if (!commands)
		fail("a temporary file", "");
	fprintf(commands,
		"set terminal svg size 860,420 dynamic font 'sans-serif,13' name '%s'\n"
		"set grid lc rgb '#808080' lw 0.5 dt 3\n"
		"set key outside bottom center horizontal\n"
		"set border 3\nset tics nomirror\n",
		id);
	return commands;
}

static int no_drawing(FILE *page, const char *why)
{
	fprintf(stderr, "urge-lab: no plot in the report: %s\n", why);
	fputs("<p>No plot: ", page);
	html_escape(why, page);
	fputs("</p>\n", page);
	return -1;
}

int plot_end(FILE *commands, FILE *page)
{
	char *const argv[] = { "gnuplot", "-", NULL };
	struct child_result result;
	char how[128];
	int status = 0;

	fflush(commands);
	rewind(commands);
	struct child_spec spec = {
		.argv = argv,
		.input = fileno(commands),
		.limit = INT64_C(20) * 1000000000,
	};
	child_run(&spec, &result);
	const char *svg = strstr(result.out, "<svg");
	if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == CHILD_NOT_FOUND) {
		status = no_drawing(page, "gnuplot is missing (Debian package: gnuplot-nox)");
	} else if (!child_succeeded(&result) || !svg) {
		child_describe(&result, how, sizeof(how));
		status = no_drawing(page, how);
	} else {
		fprintf(page, "<div class=\"wide\">%s</div>\n", svg);
	}
	child_free(&result);
	fclose(commands);
	return status;
}
