/* SPDX-License-Identifier: MIT */
/* The lists of numbers that the kernel writes for CPUs and nodes: "0-3,8,10-11". */
#ifndef URGE_KERNELSHIM_CPULIST_H
#define URGE_KERNELSHIM_CPULIST_H

#ifdef __cplusplus
extern "C" {
#endif

/* Larger numbers are taken for bad text: a list must not make its reader loop for minutes. */
#define CPULIST_MAX 65535

/*
 * Calls each(cpu, arg) for every number of the list, in its order. An empty list is none; a newline
 * may end it. -EINVAL for any other text, and then each was never called.
 */
int cpulist_parse(const char *s, void (*each)(unsigned cpu, void *arg), void *arg);

#ifdef __cplusplus
}
#endif

#endif
