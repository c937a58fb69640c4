/* SPDX-License-Identifier: MIT */
/* Clocks, in nanoseconds. No call blocks or touches errno; all are safe in signal handlers. */
#ifndef URGE_KERNELSHIM_CLOCK_H
#define URGE_KERNELSHIM_CLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* CLOCK_MONOTONIC, from the vDSO: the clock of every deadline in urge. */
int64_t nanotime(void);

/*
 * CPU time of one thread of this process, by its tid; it moves only while the thread runs. -ESRCH
 * when this process has no such thread (any more): a tid that went to another process is none.
 */
int64_t thread_cputime(int tid);

/* CPU time of the whole process, threads that ended included. */
int64_t process_cputime(void);

#ifdef __cplusplus
}
#endif

#endif
