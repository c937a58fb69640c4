/* SPDX-License-Identifier: MIT */
/* Goroutines that wait for ever, shown to do so. See leaks.c. */
#ifndef URGE_SCHED_LEAKS_H
#define URGE_SCHED_LEAKS_H

#include "sched/runtime2.h"

/* urge_main, at its beginning: what is above on the calling thread's stack is the program's. */
void leaks_boot(void);

/*
 * Marks the goroutines that are leaked with GATTR_LEAKED, and counts them. NULL; or words that say
 * why nothing could be shown. Stops the world, for 2 s at most; so not in the runtime, nor where a
 * goroutine may not block. The caller has all registers that are the program's in its frame
 * (__builtin_unwind_init).
 */
const char *leaks_find(uint64_t *found);

#endif
