/* SPDX-License-Identifier: MIT */
/*
 * One line on stderr that is rewritten in place while something takes long. Nothing is written when
 * stderr is not a terminal.
 */
#ifndef URGE_BENCH_PROGRESS_H
#define URGE_BENCH_PROGRESS_H

/* Replaces the line. */
void progress_show(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Removes it; before anything else is printed. */
void progress_clear(void);

#endif
