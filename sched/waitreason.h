/* SPDX-License-Identifier: MIT */
/* Why a goroutine waits, in Go's words: one table, read by dumps and by schedtrace. */
#ifndef URGE_SCHED_WAITREASON_H
#define URGE_SCHED_WAITREASON_H

#define WAIT_REASONS(X)                                                                            \
	X(WAIT_NONE, "")                                                                           \
	X(WAIT_SLEEP, "sleep")                                                                     \
	X(WAIT_WAITGROUP, "sync.WaitGroup.Wait")                                                   \
	X(WAIT_STOPPINGTHEWORLD, "stopping the world")

enum waitreason {
#define X(name, words) name,
	WAIT_REASONS(X)
#undef X
		WAIT_REASONS_N
};

const char *waitreason_words(enum waitreason reason);

#endif
