/* SPDX-License-Identifier: MIT */
/*
 * A small table of text that is printed on a terminal and in a report. The first column is aligned
 * left, the others right.
 */
#ifndef URGE_BENCH_LAB_TABLE_H
#define URGE_BENCH_LAB_TABLE_H

#include <stddef.h>
#include <stdio.h>

struct table {
	const char *const *heads;
	size_t columns;
	char **cells; /* row by row */
	size_t n;
};

/* Appends a cell; a row is full after `columns` of them. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

void table_print(const struct table *table, FILE *out);
void table_print_html(const struct table *table, FILE *out);
void table_free(struct table *table);

/* Text with &, < and > made harmless. */
void html_escape(const char *text, FILE *out);

#endif
