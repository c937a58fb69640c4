/* SPDX-License-Identifier: MIT */
/*
 * The end of the process. All three print on stderr, without libc's locks, then every goroutine,
 * and end the process with status 2. Signal-safe; the first caller wins, others wait for the end.
 */
#ifndef URGE_SCHED_FATAL_H
#define URGE_SCHED_FATAL_H

#include <stdint.h>

/* A broken invariant of ours: "fatal error: " and the words. (throw is a word of C++.) */
__attribute__((noreturn, cold)) void throw_(const char *words);

/* Misuse by the program, in Go's words: "fatal error: ". */
__attribute__((noreturn, cold)) void fatal(const char *words);

/* The same with a number behind the words. */
__attribute__((noreturn, cold)) void fatal_u64(const char *words, uint64_t n, const char *rest);

/*
 * urge_dump, but not more than max goroutines and the caller: their number tells enough.
 * interrupted: in a signal handler, the context that it was called with; else NULL.
 */
void dump_some(int fd, uint64_t max, const void *interrupted);

/* The entry in a dump of a goroutine that is parked, and stays so. */
struct fdprint;
struct g;
void dump_parked(struct fdprint *out, const struct g *gp);

/* One line on stderr; the program goes on. */
__attribute__((cold)) void complain(const char *words);

#endif
