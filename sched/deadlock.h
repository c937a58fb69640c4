/* SPDX-License-Identifier: MIT */
/* The deadlock verdict. See deadlock.c. */
#ifndef URGE_SCHED_DEADLOCK_H
#define URGE_SCHED_DEADLOCK_H

#include <stdint.h>

/* sysmon: is this a deadlock? Then it does not return. Else when to look again. */
int64_t checkdead(int64_t now);

#endif
