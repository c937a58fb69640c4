/* SPDX-License-Identifier: MIT */
/* The deadlock verdict. See deadlock.c. */
#ifndef URGE_SCHED_DEADLOCK_H
#define URGE_SCHED_DEADLOCK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * sysmon: is this a deadlock? Then it does not return. Else when to look again. fell_asleep: the
 * last M went idle since the last look, so this is another occurrence.
 */
int64_t checkdead(int64_t now, bool fell_asleep);

/* How many threads the process has that are not the runtime's. Reads /proc. */
int strangers(void);

#endif
