/* SPDX-License-Identifier: MIT */
/*
 * Values of command line options. A bad one ends the program with one line that says what is
 * allowed, and exit status 2.
 */
#ifndef URGE_BENCH_OPTIONS_H
#define URGE_BENCH_OPTIONS_H

/* Exit status of a command line that makes no sense. */
enum { EXIT_USAGE = 2 };

/* A whole number from min to max; option is its name, for the message. */
long option_integer(const char *option, const char *text, long min, long max);

/* A decimal number from min to max. */
double option_number(const char *option, const char *text, double min, double max);

#endif
