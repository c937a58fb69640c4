/* SPDX-License-Identifier: MIT */
/*
 * The event trace: what the scheduler does, recorded while it does it, and written as JSON at the
 * end (tracejson.c). See trace.c.
 *
 * A trace point is one line: trace(mp, TRACE_GO_BLOCK, gp->goid, reason). While no trace runs it is
 * one branch on a word that nobody writes; switches from goroutine to goroutine have none.
 */
#ifndef URGE_SCHED_TRACE_H
#define URGE_SCHED_TRACE_H

#include "sched/runtime2.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The events: name, what arg holds. "By" is where an event belongs: on the P of who records it, or
 * outside, if that thread has none.
 */
#define TRACE_EVENTS(X)                                                                            \
	X(TRACE_NONE, "an empty place in a buffer")                                                \
	X(TRACE_GO_CREATE, "its function")                                                         \
	X(TRACE_GO_START, "its function: it runs on this P")                                       \
	X(TRACE_GO_BLOCK, "the wait reason")                                                       \
	X(TRACE_GO_UNBLOCK, "-: it is runnable")                                                   \
	X(TRACE_GO_YIELD, "-")                                                                     \
	X(TRACE_GO_PREEMPT, "-: it has been moved")                                                \
	X(TRACE_GO_PARK, "-: it waits in the signal handler, with its thread")                     \
	X(TRACE_GO_END, "-")                                                                       \
	X(TRACE_P_START, "the M that runs the P from now on")                                      \
	X(TRACE_P_STOP, "-")                                                                       \
	X(TRACE_SYSCALL_ENTER, "-")                                                                \
	X(TRACE_SYSCALL_EXIT, "-")                                                                 \
	X(TRACE_SYSCALL_HANDOFF, "-: the P has been taken from a declared call")                   \
	X(TRACE_REVOKE, "-: the P has been taken from a call that was not declared")               \
	X(TRACE_PREEMPT_REQUEST, "the M that the signal goes to")                                  \
	X(TRACE_PREEMPT_LEFT, "enum preempt_reason: the request has moved nobody")                 \
	X(TRACE_GOMAXPROCS, "the new number")                                                      \
	X(TRACE_STW_STOPPING, "-")                                                                 \
	X(TRACE_STW_STOPPED, "-")                                                                  \
	X(TRACE_STW_START, "-: the world goes on")

enum trace_kind {
#define X(name, words) name,
	TRACE_EVENTS(X)
#undef X
};

struct trace_event {
	int64_t when;  /* nanotime */
	uint64_t goid; /* of the goroutine that it is about, 0 for none */
	uint64_t arg;
	int32_t p; /* on which P, TRACE_OUTSIDE for none */
	uint32_t kind;
};

enum { TRACE_OUTSIDE = -1 };

extern struct atomic_u32 trace_on;

/* For tests: the chunks of 1024 events that a trace may fill. While none runs. */
extern uint32_t trace_chunks_max;

static inline bool tracing(void)
{
	return unlikely(load_rlx_u32(&trace_on) != 0);
}

/*
 * Records an event on mp's P; on none if mp is NULL or has no P. To be called in the runtime, as
 * mp's owner. Signal-safe as the runtime's locks are: not where a trace point may have been
 * interrupted.
 */
void trace_write(const struct m *mp, enum trace_kind kind, uint64_t goid, uint64_t arg);

/*
 * Records an event on pp, NULL for none, which the caller need not own. Takes a lock of the last
 * rank.
 */
void trace_write_about(const struct p *pp, enum trace_kind kind, uint64_t goid, uint64_t arg);

static inline void trace(const struct m *mp, enum trace_kind kind, uint64_t goid, uint64_t arg)
{
	if (tracing())
		trace_write(mp, kind, goid, arg);
}

static inline void trace_about(const struct p *pp, enum trace_kind kind, uint64_t goid,
			       uint64_t arg)
{
	if (tracing())
		trace_write_about(pp, kind, goid, arg);
}

/* gp runs on mp from now on. */
static inline void trace_go_start(const struct m *mp, const struct g *gp)
{
	if (tracing())
		trace_write(mp, TRACE_GO_START, gp->goid, (uintptr_t)gp->top->fn);
}

/* mp, the calling one, has got its P. */
void trace_p_start(struct m *mp);

/* gp has been made runnable, by mp, NULL on a foreign thread. kind says how. */
static inline void trace_runnable(const struct m *mp, const struct g *gp, enum trace_kind kind)
{
	if (tracing())
		trace_write(mp, kind, gp->goid,
			    kind == TRACE_GO_CREATE ? (uintptr_t)gp->top->fn : 0);
}

/*
 * urge_main's end: a trace that still runs is written. On the calling thread, when all others are
 * gone.
 */
void trace_fini(void);

/* In a fork's child, at once: a trace is the parent's. */
void trace_after_fork(void);

/*
 * Writes n events, in any order, empty ones among them, as JSON to fd. dropped: how many more there
 * were. 0 or -errno: of write, or -ENOMEM. Not in the runtime: it allocates.
 */
int trace_write_json(int fd, const struct trace_event *events, size_t n, int64_t start,
		     uint64_t dropped);

#endif
