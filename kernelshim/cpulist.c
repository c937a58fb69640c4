/* SPDX-License-Identifier: MIT */
#include "kernelshim/cpulist.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static bool parse_number(const char **s, unsigned *number)
{
	unsigned sum = 0;
	const char *p = *s;

	for (; *p >= '0' && *p <= '9'; p++) {
		sum = sum * 10 + (unsigned)(*p - '0');
		if (sum > CPULIST_MAX)
			return false;
	}
	if (p == *s)
		return false;
	*s = p;
	*number = sum;
	return true;
}

/* "7" or "3-5" at *s; moves *s behind it. */
static bool parse_range(const char **s, unsigned *first, unsigned *last)
{
	if (!parse_number(s, first))
		return false;
	*last = *first;
	if (**s == '-') {
		(*s)++;
		if (!parse_number(s, last))
			return false;
	}
	return *first <= *last;
}

static bool at_end(const char *s)
{
	return *s == '\0' || (*s == '\n' && s[1] == '\0');
}

static bool well_formed(const char *s)
{
	unsigned first, last;

	if (at_end(s))
		return true;
	while (parse_range(&s, &first, &last)) {
		if (at_end(s))
			return true;
		if (*s++ != ',')
			return false;
	}
	return false;
}

int cpulist_parse(const char *s, void (*each)(unsigned cpu, void *arg), void *arg)
{
	unsigned first, last;

	if (!well_formed(s))
		return -EINVAL;
	while (parse_range(&s, &first, &last)) {
		for (unsigned cpu = first; cpu <= last; cpu++)
			each(cpu, arg);
		s += *s == ',';
	}
	return 0;
}
