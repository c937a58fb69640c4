/* SPDX-License-Identifier: MIT */
#ifndef URGE_SCHED_SCHEDTRACE_H
#define URGE_SCHED_SCHEDTRACE_H

#include <stdint.h>

/* sysmon: prints the trace when it is due; returns when it is due next, INT64_MAX for never. */
int64_t schedtrace_tick(int64_t now);

#endif
