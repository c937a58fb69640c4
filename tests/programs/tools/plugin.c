/* SPDX-License-Identifier: MIT */
/* A shared library for process_wide.c: code to be preempted in, that calls back into the program. */
#include <stdint.h>

uint64_t plugin_sum(uint64_t n, uint64_t (*fn)(uint64_t n));

uint64_t plugin_sum(uint64_t n, uint64_t (*fn)(uint64_t n))
{
	volatile uint64_t sum = 0;

	for (int i = 0; i < 50000; i++)
		sum = sum + 1;
	return sum + fn(n);
}
