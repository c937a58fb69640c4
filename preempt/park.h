/* SPDX-License-Identifier: MIT */
/* Preemption by parking the thread in the handler: see park_sig.c. Signal-side. */
#ifndef URGE_PREEMPT_PARK_H
#define URGE_PREEMPT_PARK_H

#include "sched/runtime2.h"

/*
 * The calling M, whose goroutine was interrupted in ucontext outside the runtime, waits until
 * somebody hands it a P again. False, at once: no thread is ready to take its place.
 */
bool park_sig(struct m *mp, const void *ucontext);

#endif
