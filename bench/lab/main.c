/* SPDX-License-Identifier: MIT */
#include "bench/lab/lab.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "kernelshim/compiler.h"

#include <stdio.h>
#include <string.h>

static const struct experiment *const experiments[] = {
	&preempt_experiment,
	&maxprocs_experiment,
	&topology_experiment,
};

static void print_usage(FILE *out)
{
	fputs("usage: urge-lab EXPERIMENT [OPTION...]\n\nExperiments with the scheduler:\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(experiments); i++)
		fprintf(out, "  %-10s %s\n", experiments[i]->name, experiments[i]->what);
	fputs("\n`urge-lab EXPERIMENT --help` shows its options.\n", out);
}

static const struct experiment *experiment_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(experiments); i++)
		if (!strcmp(experiments[i]->name, name))
			return experiments[i];
	return NULL;
}

static void show_time(void *arg, int64_t elapsed)
{
	progress_show("%s, %.1f s", (const char *)arg, (double)elapsed / 1e9);
}

void cell_run(const struct experiment *experiment, const struct cell *cell,
	      struct child_result *result)
{
	const char *argv[3 + 8 + 1] = { CHILD_SELF, LAB_CELL_OPTION, experiment->name };
	struct child_spec spec = {
		.argv = (char *const *)argv,
		.gomaxprocs = cell->gomaxprocs,
		.input = -1,
		.limit = cell->limit,
		.tick = show_time,
		.arg = (void *)cell->title,
	};

	for (unsigned i = 0; i < 8 && cell->argv[i]; i++)
		argv[3 + i] = cell->argv[i];
	child_run(&spec, result);
	progress_clear();
}

int main(int argc, char **argv)
{
	const struct experiment *experiment;

	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help")) {
		print_usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], LAB_CELL_OPTION) && argc > 2) {
		experiment = experiment_named(argv[2]);
		return experiment && experiment->cell ? experiment->cell(argv + 3) : EXIT_USAGE;
	}
	experiment = experiment_named(argv[1]);
	if (!experiment) {
		fprintf(stderr, "urge-lab: no experiment is named %s (urge-lab --help shows all)\n",
			argv[1]);
		return EXIT_USAGE;
	}
	return experiment->run(argc - 1, argv + 1);
}
