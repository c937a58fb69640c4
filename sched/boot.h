/* SPDX-License-Identifier: MIT */
/* The runtime's life: boot, and the return of urge_main. See boot.c. */
#ifndef URGE_SCHED_BOOT_H
#define URGE_SCHED_BOOT_H

#include "sched/runtime2.h"

enum phase {
	PHASE_DOWN,
	PHASE_BOOT,
	PHASE_RUNNING,
	PHASE_EXITING, /* goroutine 1 has returned: threads come to their end */
};

/* The world is ending: no M may park or take a P. */
bool world_exiting(void);

/* enter: the calling goroutine has outlived its world. Does not return. */
_Noreturn void world_ended(struct m *mp);

/* An M's thread has left schedule_loop. */
void world_mexit(struct m *mp);

/* sysmon, at each wake-up: urges on those that are still running. When to look again. */
int64_t world_exit_tick(int64_t now);

/* Signal-safe. Dumps all goroutines and ends the process with status 2. */
_Noreturn void dump_and_die(const char *words);

#endif
