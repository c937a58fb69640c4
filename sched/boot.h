/* SPDX-License-Identifier: MIT */
/* The phases of the runtime's life. See boot.c, exit.c. */
#ifndef URGE_SCHED_BOOT_H
#define URGE_SCHED_BOOT_H

#include "sched/runtime2.h"

enum phase {
	PHASE_DOWN,
	PHASE_BOOT,
	PHASE_RUNNING,
	PHASE_EXITING, /* goroutine 1 has returned: threads come to their end */
};

/*
 * Signal-safe. Dumps all goroutines and ends the process with status 2. interrupted: the context
 * that the signal handler was called with.
 */
_Noreturn void dump_and_die(const char *words, const void *interrupted);

#endif
