/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bench/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

long option_integer(const char *option, const char *text, long min, long max)
{
	char *end;

	errno = 0;
	long value = strtol(text, &end, 10);
	if (end == text || *end || errno || value < min || value > max) {
		fprintf(stderr, "%s: %s %s: give a whole number from %ld to %ld\n",
			program_invocation_short_name, option, text, min, max);
		exit(EXIT_USAGE);
	}
	return value;
}

double option_number(const char *option, const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	/* written so that "nan" fails too */
	if (end == text || *end || !(value >= min && value <= max)) {
		fprintf(stderr, "%s: %s %s: give a number from %g to %g\n",
			program_invocation_short_name, option, text, min, max);
		exit(EXIT_USAGE);
	}
	return value;
}
