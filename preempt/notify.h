/* SPDX-License-Identifier: MIT */
/* Signals that goroutines want to hear of: the handler's side. See sched/notify.c. */
#ifndef URGE_PREEMPT_NOTIFY_H
#define URGE_PREEMPT_NOTIFY_H

#include "kernelshim/atomic.h"

#include <signal.h>

/* What the handler leaves: bit n-1 for signal n; and the eventfd that tells of it, -1: none yet. */
extern struct atomic_u64 notify_pending;
extern struct atomic_i32 notify_eventfd;

void notify_handler_sig(int sig, siginfo_t *info, void *ucontext);

#endif
