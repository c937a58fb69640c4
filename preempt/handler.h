/* SPDX-License-Identifier: MIT */
/* The signal handlers, and what the program had before them. Signal-side but for signals.c. */
#ifndef URGE_PREEMPT_HANDLER_H
#define URGE_PREEMPT_HANDLER_H

#include <signal.h>

extern struct sigaction former_sigurg;

void preempt_handler_sig(int sig, siginfo_t *info, void *ucontext);

/*
 * Calls the program's former handler, if it had one. For signals whose default is to do nothing.
 */
void handler_chain_sig(const struct sigaction *former, int sig, siginfo_t *info, void *ucontext);

/* Injected on the first M when its goroutine is stuck in the kernel while the world ends. */
void asyncabandon(void);

#endif
