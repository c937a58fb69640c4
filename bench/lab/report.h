/* SPDX-License-Identifier: MIT */
/*
 * The files of an experiment: DIR/NAME.html, one page that needs nothing else, and the CSV files
 * beside it. Whatever can't be written ends the program with a message and status 1.
 */
#ifndef URGE_BENCH_LAB_REPORT_H
#define URGE_BENCH_LAB_REPORT_H

#include <stdio.h>

/* Makes the folder with its parents; checks that files can be written there. */
void report_make_directory(const char *dir);

/* Opens DIR/NAME for writing. report_close_file checks that everything went to disk. */
FILE *report_open_file(const char *dir, const char *name);
void report_close_file(FILE *file, const char *name);

/*
 * Starts a page: title, the machine, the date and the command line. report_end ends and closes it.
 */
FILE *report_begin(const char *dir, const char *name, const char *title, int argc, char **argv);
void report_end(FILE *page, const char *name);

/* A stream to write gnuplot commands and data to; the terminal and the theme are set already. */
FILE *plot_begin(const char *id);

/*
 * Runs gnuplot on it and puts the drawing into the page, or a line that says why there is none;
 * then closes the stream. Returns 0, or -1 without a drawing, with a line on stderr.
 */
int plot_end(FILE *commands, FILE *page);

#endif
