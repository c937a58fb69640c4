/* SPDX-License-Identifier: MIT */
/*
 * The environment. It is read with secure_getenv: a set-user-ID program takes no orders from it.
 * Nothing in it is worth refusing to start: what is not understood is named, in one line, and
 * ignored.
 */
#define _GNU_SOURCE
#include "sched/env.h"

#include "kernelshim/fdprint.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct debugvars debugvars;

static const struct {
	const char *name;
	int64_t lo, hi;
	int64_t *value;
} keys[] = {
#define X(name, lo, hi, words) { #name, lo, hi, &debugvars.name },
	DEBUG_KEYS(X)
#undef X
};

/* A decimal number in [lo, hi] that fills the text. */
static bool parse_number(const char *s, size_t n, int64_t lo, int64_t hi, int64_t *out)
{
	int64_t value = 0;

	if (n == 0 || n > 18)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		value = value * 10 + (s[i] - '0');
	}
	*out = value;
	return value >= lo && value <= hi;
}

static void print_n(struct fdprint *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fdp_char(out, s[i]);
}

static void ignored(const char *s, size_t n, const char *why)
{
	struct fdprint out;

	fdp_init(&out, 2);
	fdp_str(&out, "urge: URGEDEBUG: ");
	print_n(&out, s, n);
	fdp_str(&out, ": ");
	fdp_str(&out, why);
	fdp_str(&out, "; ignored\n");
	fdp_flush(&out);
}

static void parse_one(const char *s, size_t n)
{
	const char *eq = memchr(s, '=', n);
	size_t name = eq ? (size_t)(eq - s) : n;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		int64_t value;

		if (strlen(keys[i].name) != name || memcmp(keys[i].name, s, name) != 0)
			continue;
		if (eq && parse_number(eq + 1, n - name - 1, keys[i].lo, keys[i].hi, &value))
			*keys[i].value = value;
		else
			ignored(s, n, "needs a number in its range");
		return;
	}
	ignored(s, n, "unknown key");
}

void parsedebugvars(void)
{
	const char *s = secure_getenv("URGEDEBUG");

	debugvars = (struct debugvars){ .updatemaxprocs = 1 };
	while (s && *s) {
		size_t n = strcspn(s, ",");

		if (n > 0)
			parse_one(s, n);
		s += n + (s[n] == ',');
	}
}

int env_gomaxprocs(void)
{
	const char *s = secure_getenv("GOMAXPROCS");
	struct fdprint out;
	int64_t n;

	if (!s || !*s)
		return 0;
	if (parse_number(s, strlen(s), 1, CONFIG_MAX_PROCS, &n))
		return (int)n;
	fdp_init(&out, 2);
	fdp_str(&out, "urge: GOMAXPROCS=");
	fdp_str(&out, s);
	fdp_str(&out, ": needs a number from 1 to ");
	fdp_u64(&out, CONFIG_MAX_PROCS);
	fdp_str(&out, "; ignored\n");
	fdp_flush(&out);
	return 0;
}
