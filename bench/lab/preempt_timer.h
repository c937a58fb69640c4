/* SPDX-License-Identifier: MIT */
/* A timer for each thread of the runtime as a second source of preemption requests. */
#ifndef URGE_BENCH_LAB_PREEMPT_TIMER_H
#define URGE_BENCH_LAB_PREEMPT_TIMER_H

#include <stdint.h>

/* Before urge_main: takes SIGUSR1. slice: the period, ns. */
void preempt_timers_init(int64_t slice);

/* Makes timers for threads that have none yet. While urge_main runs; one thread that is no goroutine. */
void preempt_timers_look(void);

/* No timer fires any more. The same thread. */
void preempt_timers_end(void);

#endif
