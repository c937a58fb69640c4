/* SPDX-License-Identifier: MIT */
/*
 * Why a preemption signal left its goroutine alone: one table, from which the counters of
 * urge_stats, their words, and the documentation are made. Append only: programs index it.
 */
#ifndef URGE_PREEMPT_REASON_H
#define URGE_PREEMPT_REASON_H

#define PREEMPT_REASONS(X)                                                                         \
	X(LEFT_NO_GOROUTINE, "no goroutine was running")                                           \
	X(LEFT_IN_RUNTIME, "in the runtime: yields at its exit")                                   \
	X(LEFT_OTHER_STACK, "on another stack: a signal handler of the program")                   \
	X(LEFT_NOPREEMPT, "urge_nopreempt, or the attribute")                                      \
	X(LEFT_POLICY, "the policy forbids moving it")                                             \
	X(LEFT_PINNED, "the thread holds a lock that belongs to it")                               \
	X(LEFT_MODULE, "the program has thread-local storage of its own, or is static")            \
	X(LEFT_FOREIGN_PC, "in a library")                                                         \
	X(LEFT_FOREIGN_FRAME, "called by a library, or may be")                                    \
	X(LEFT_DEEP, "more than 1024 words of stack to inspect")                                   \
	X(LEFT_TLS_POINTER, "holds an address of thread-local storage")                            \
	X(LEFT_XSTATE, "register state that can't be moved: AMX, APX, a protection key")           \
	X(LEFT_HEADROOM, "too little stack is left")                                               \
	X(LEFT_SHADOW_STACK, "shadow stacks are on")                                               \
	X(LEFT_NO_SPARE, "no thread was ready to take its place")

enum preempt_reason {
#define X(name, words) name,
	PREEMPT_REASONS(X)
#undef X
		LEFT_N,
	MOVE = -1,
};

#endif
