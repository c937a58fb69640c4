/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bench/lab/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void table_add(struct table *table, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	table->cells = realloc(table->cells, (table->n + 1) * sizeof(*table->cells));
	if (length < 0 || !table->cells) {
		fputs("out of memory for a table\n", stderr);
		exit(1);
	}
	table->cells[table->n++] = text;
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t width = strlen(table->heads[column]);

	for (size_t i = column; i < table->n; i += table->columns)
		if (strlen(table->cells[i]) > width)
			width = strlen(table->cells[i]);
	return width;
}

/* The text of a column in row 0, the head, or one of those below. */
static const char *text_at(const struct table *table, size_t row, size_t column)
{
	return row == 0 ? table->heads[column] : table->cells[(row - 1) * table->columns + column];
}

void table_print(const struct table *table, FILE *out)
{
	for (size_t row = 0; row <= table->n / table->columns; row++) {
		for (size_t column = 0; column < table->columns; column++) {
			int width = (int)column_width(table, column);

			fprintf(out, column == 0 ? "%-*s" : "  %*s", width,
				text_at(table, row, column));
		}
		fputc('\n', out);
	}
}

void html_escape(const char *text, FILE *out)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

void table_print_html(const struct table *table, FILE *out)
{
	fputs("<div class=\"wide\"><table>\n", out);
	for (size_t row = 0; row <= table->n / table->columns; row++) {
		const char *tag = row == 0 ? "th" : "td";

		fputs("<tr>", out);
		for (size_t column = 0; column < table->columns; column++) {
			fprintf(out, "<%s>", tag);
			html_escape(text_at(table, row, column), out);
			fprintf(out, "</%s>", tag);
		}
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->n; i++)
		free(table->cells[i]);
	free(table->cells);
}
