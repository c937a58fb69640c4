/* SPDX-License-Identifier: MIT */
/* The command line of an experiment: options with a value each, and --help. */
#ifndef URGE_BENCH_LAB_ARGUMENTS_H
#define URGE_BENCH_LAB_ARGUMENTS_H

#include <stddef.h>

/* One option; the first of the four that is not NULL takes the value. */
struct argument {
	const char *name; /* with the dashes */
	unsigned *integer;
	double *number;
	const char **text; /* stays that of argv */
	void (*parse)(const char *text, void *arg);
	double min, max; /* of integer and number */
	void *arg;       /* of parse */
};

/*
 * Reads argv, whose first word is the experiment's name. --help prints usage and ends the program;
 * so does, with EXIT_USAGE and a line that says why, what can't be understood.
 */
void arguments_read(int argc, char **argv, const char *usage, const struct argument *arguments,
		    size_t n);

#endif
