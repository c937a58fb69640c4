/* SPDX-License-Identifier: MIT */
/*
 * Sleeping on a word of memory. The words are private to the process. Both calls leave errno
 * alone and are safe in signal handlers.
 */
#ifndef URGE_KERNELSHIM_FUTEX_H
#define URGE_KERNELSHIM_FUTEX_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Blocks while *addr == val. deadline_ns is absolute, on nanotime()'s clock; INT64_MAX or a
 * negative one never comes. Returns 0 when woken or when *addr was not val (spurious wake-ups are
 * possible: look at the word again), -ETIMEDOUT, or -EINTR after a signal handler.
 */
int futex_wait(const uint32_t *addr, uint32_t val, int64_t deadline_ns);

/* Wakes at most n waiters; returns how many, or -errno. Never blocks. */
int futex_wake(const uint32_t *addr, int n);

#ifdef __cplusplus
}
#endif

#endif
