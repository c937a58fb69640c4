/* SPDX-License-Identifier: MIT */
/*
 * The stack that a thread's signal handlers run on. It is populated when made, so that a handler
 * that interrupts a fault or a full memory cgroup does not fault itself, and has a guard page
 * below.
 */
#ifndef URGE_KERNELSHIM_ALTSTACK_H
#define URGE_KERNELSHIM_ALTSTACK_H

#include <signal.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct altstack {
	void *base;   /* lowest usable byte; the guard page ends here */
	size_t size;  /* usable bytes */
	stack_t prev; /* what the thread had before */
};

/*
 * Makes an alternate stack and sets it for the calling thread. Block the signals that use it until
 * this has returned. -ENOMEM without memory or mappings; -EPERM when called on an alternate stack.
 * Touches no errno; blocks no longer than mmap does.
 */
int altstack_install(struct altstack *stack);

/*
 * On the same thread, not from a handler: sets again what was there before and unmaps ours. If
 * the program has set another one since, that stays.
 */
void altstack_remove(struct altstack *stack);

/* In a fork's child: unmaps that of a thread of the parent, unless it had been removed. */
void altstack_forget(struct altstack *stack);

#ifdef __cplusplus
}
#endif

#endif
