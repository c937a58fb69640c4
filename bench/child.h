/* SPDX-License-Identifier: MIT */
/*
 * Runs a program, collects what it prints, and kills it when it takes too long. The bench and the
 * laboratory run each measurement in a fresh process of their own executable this way: one that
 * hangs, dies or leaves memory behind cannot disturb the next.
 */
#ifndef URGE_BENCH_CHILD_H
#define URGE_BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* argv[0] of the running executable itself. */
#define CHILD_SELF "/proc/self/exe"

struct child_spec {
	char *const *argv;   /* found on PATH; NULL at the end */
	unsigned gomaxprocs; /* the child's GOMAXPROCS; 0 leaves the variable alone */
	int input;           /* the child's standard input, -1 for /dev/null */
	int64_t limit;       /* ns after which it is killed */
	/* called about ten times a second, with the ns since the start; may be NULL */
	void (*tick)(void *arg, int64_t elapsed);
	void *arg;
};

struct child_result {
	char *out; /* what it printed, with a 0 behind; the caller frees it with child_free */
	size_t length;
	int status; /* as from waitpid */
	bool timed_out;
	int64_t elapsed; /* ns */
};

/* Exit status of a child whose program could not be executed. */
enum { CHILD_NOT_FOUND = 127 };

/*
 * Runs the child to its end. The child dies with its parent. Standard error is shared. Call it
 * from a process with one thread: it forks. Ends the program when there is no pipe, process or
 * memory.
 */
void child_run(const struct child_spec *spec, struct child_result *result);

/* True when the child ended by itself with status 0. */
bool child_succeeded(const struct child_result *result);

/* Says in words how the child ended: "killed by signal 11 (Segmentation fault)". */
void child_describe(const struct child_result *result, char *text, size_t size);

void child_free(struct child_result *result);

#endif
