/* SPDX-License-Identifier: MIT */
#include "bench/lab/arguments.h"
#include "bench/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct argument *find(const char *word, size_t length,
				   const struct argument *arguments, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(arguments[i].name) == length &&
		    !strncmp(word, arguments[i].name, length))
			return &arguments[i];
	return NULL;
}

static void take(const struct argument *argument, const char *text)
{
	if (argument->integer)
		*argument->integer = (unsigned)option_integer(
			argument->name, text, (long)argument->min, (long)argument->max);
	else if (argument->number)
		*argument->number =
			option_number(argument->name, text, argument->min, argument->max);
	else if (argument->text)
		*argument->text = text;
	else
		argument->parse(text, argument->arg);
}

static _Noreturn void misuse(const char *experiment, const char *what, const char *word)
{
	fprintf(stderr, "urge-lab: %s: %s: %s\nurge-lab %s --help shows the options\n", experiment,
		what, word, experiment);
	exit(EXIT_USAGE);
}

void arguments_read(int argc, char **argv, const char *usage, const struct argument *arguments,
		    size_t n)
{
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		size_t length = strcspn(word, "=");
		const struct argument *argument = find(word, length, arguments, n);

		if (!strcmp(word, "--help")) {
			fputs(usage, stdout);
			exit(0);
		}
		if (!argument)
			misuse(argv[0], word[0] == '-' ? "no such option" : "takes options only",
			       word);
		if (word[length] == '=')
			take(argument, word + length + 1);
		else if (i + 1 < argc)
			take(argument, argv[++i]);
		else
			misuse(argv[0], "the option needs a value", word);
	}
}
