/* SPDX-License-Identifier: MIT */
/*
 * Go's figures beside those of the experiment `preempt`, where there are a go command (GO, or go on
 * PATH) and the twin's source: the same loops and the same sleeper, w09_preempt of bench/peers/go.
 * Its slice is 10 ms and can't be changed.
 */
#include "bench/child.h"
#include "bench/lab/preempt.h"
#include "bench/progress.h"

#include <stdio.h>
#include <string.h>

enum { NO_GO = 3, NO_SOURCE = 4, NOT_BUILT = 5 };

/* Arguments: the folder for the program, Ps, loops, seconds. */
static const char script[] =
	"go=${GO:-go}; out=$(realpath \"$1\")\n"
	"command -v \"$go\" >/dev/null || exit 3\n"
	"cd bench/peers/go 2>/dev/null || exit 4\n"
	"export GOTOOLCHAIN=local GOFLAGS=-mod=mod\n"
	"\"$go\" build -o \"$out/w09_preempt\" ./w09_preempt >/dev/null 2>&1 || exit 5\n"
	"\"$go\" env GOVERSION\n"
	"\"$out/w09_preempt\" -mode sleep -reps 1 -procs \"$2\" -loops \"$3\" -secs \"$4\"\n"
	"\"$out/w09_preempt\" -mode thr -reps 1 -procs \"$2\" -loops \"$3\" -m 200000000\n"
	"rm -f \"$out/w09_preempt\"\n";

static const char *why_not(const struct child_result *result)
{
	if (result->timed_out)
		return "it took too long";
	switch (result->status >> 8) {
	case NO_GO:
		return "there is no go command";
	case NO_SOURCE:
		return "its source, bench/peers/go, is not below the current folder";
	case NOT_BUILT:
		return "bench/peers/go does not build";
	default:
		return "it failed";
	}
}

/* A line "preempt.sleep.loops4.p2.p50 19137 us ...". */
static void parse(struct preempt_go *go, const char *line)
{
	const struct {
		const char *tail;
		double *value;
	} figures[] = {
		{ ".p50", &go->p50 },
		{ ".p99", &go->p99 },
		{ ".max", &go->max },
		{ ".loss_wall", &go->kept },
	};
	char name[96];
	double value;

	if (sscanf(line, "go%23[0-9.]", name) == 1)
		snprintf(go->version, sizeof(go->version), "%.23s", name);
	if (sscanf(line, "%95s %lf", name, &value) != 2)
		return;
	for (unsigned i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		const char *tail = strrchr(name, '.');

		if (tail && !strcmp(tail, figures[i].tail))
			*figures[i].value = i < 3 ? value : 100 - value;
	}
}

static void show_time(void *arg, int64_t elapsed)
{
	(void)arg;
	progress_show("the same in Go, %.1f s", (double)elapsed / 1e9);
}

void preempt_go_run(const struct preempt_options *options, struct preempt_go *go)
{
	char procs[16], loops[16], seconds[32];
	char *argv[] = { "sh",  "-c",  (char *)script, "sh", (char *)options->out,
			 procs, loops, seconds,        NULL };
	struct child_spec spec = {
		.argv = argv,
		.input = -1,
		.limit = (int64_t)((options->seconds + 120) * 1e9),
		.tick = show_time,
	};
	struct child_result result;

	memset(go, 0, sizeof(*go));
	snprintf(procs, sizeof(procs), "%u", options->procs);
	snprintf(loops, sizeof(loops), "%u", options->loops);
	snprintf(seconds, sizeof(seconds), "%g", options->seconds);
	child_run(&spec, &result);
	progress_clear();
	if (child_succeeded(&result))
		for (char *line = strtok(result.out, "\n"); line; line = strtok(NULL, "\n"))
			parse(go, line);
	else
		snprintf(go->failure, sizeof(go->failure), "%s", why_not(&result));
	child_free(&result);
}
