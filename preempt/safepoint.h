/* SPDX-License-Identifier: MIT */
/* The decision whether a goroutine may be moved, and what it needs to know. Signal-side. */
#ifndef URGE_PREEMPT_SAFEPOINT_H
#define URGE_PREEMPT_SAFEPOINT_H

#include "preempt/reason.h"
#include "sched/runtime2.h"
#include "sched/urge.h"

/*
 * The text that may be moved. Made at boot by text.c; urge_preempt_text appends, and empties or
 * restores a range by its hi, so that a handler sees a range whole or not at all.
 */
struct text_range {
	uintptr_t lo, hi;
};

enum { TEXT_RANGES_MAX = 64 };

struct preemptible_text {
	struct text_range range[TEXT_RANGES_MAX]; /* first the main program's, without libc's */
	unsigned n;
	bool movable; /* a goroutine in there may resume on another thread */
	bool shadow_stack;
	uint32_t policy; /* URGE_PREEMPT_AUTO ... */
	size_t headroom; /* bytes that the injected call needs below the stack pointer */
};
extern struct preemptible_text text;

/*
 * May the goroutine that mp runs, interrupted in ucontext, be moved? MOVE, or why not. With discard
 * it will never resume, so what belongs to the thread does not matter: it only may not hold a
 * library's locks.
 */
enum preempt_reason safepoint_sig(struct m *mp, const void *ucontext, bool discard);

/* The stub that is injected; see async_amd64.S. */
void asyncpreempt(void);

/* Boot: fills text; the bounds of the calling thread's thread-local storage. */
int text_init(void);
void text_thread_bounds(uintptr_t *lo, uintptr_t *hi);

/*
 * How gp, which the calling thread runs, may be preempted: as it wants, if it does not leave that
 * to the process, and the process does not have it off.
 */
static inline uint32_t policy_of_sig(const struct g *gp)
{
	uint32_t policy = __atomic_load_n(&text.policy, __ATOMIC_RELAXED);

	if (policy == URGE_PREEMPT_OFF || !gp)
		return policy;
	if (gp->attr & GATTR_INJECT)
		return URGE_PREEMPT_INJECT;
	return gp->attr & GATTR_PARK ? URGE_PREEMPT_PARK : policy;
}

/* In a fork's child: nobody changes text. */
void text_after_fork(void);

#endif
