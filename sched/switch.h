/* SPDX-License-Identifier: MIT */
/*
 * Switching between goroutines, and between a goroutine and g0.
 *
 * Until the switch is over the old goroutine's stack is in use. So whatever lets others see it (an
 * unlock, an entry in a run queue, a change to Gwaiting or Grunnable) happens after the switch, on
 * the new side: the old side leaves one function and its arguments in m.after, and each of the
 * four ways to arrive calls it first:
 *
 *	switch_to returns		a goroutine, or g0, that was suspended by it
 *	gostart				a new goroutine
 *	(the injected preemption is a goroutine that called gopreempt, so it is of the first kind)
 *
 * Rejected: enqueue, then switch. A thief that takes the goroutine in between runs it on a stack
 * that is still in use (tests/programs/mutations.sh shows it with a deliberately wrong yield).
 *
 * errno and C++'s exception globals belong to the goroutine: they are exchanged here.
 */
#ifndef URGE_SCHED_SWITCH_H
#define URGE_SCHED_SWITCH_H

#include "kernelshim/context.h"
#include "kernelshim/rcu.h"
#include "kernelshim/sanitizer.h"
#include "sched/fatal.h"
#include "sched/stack.h"
#include "sched/tls.h"

/*
 * What __cxa_get_globals points to (Itanium C++ ABI 2.2.2): a pointer to the caught exceptions, and
 * behind it the number of uncaught ones. The scheduler itself, on g0, throws nothing.
 */
static inline void switch_exceptions(intptr_t at, struct gtop *old, const struct gtop *next)
{
	if (old) {
		old->eh_caught = tls_load64(at);
		old->eh_uncaught = tls_load32(at + 8);
	}
	if (next) {
		tls_store64(at, next->eh_caught);
		tls_store32(at + 8, next->eh_uncaught);
	}
}

/* The new side's part of a goroutine's end: see g.c. */
void goexit_after(struct m *mp, struct g *old);

/* First thing on the new side of every switch. */
static inline void arrive(void)
{
	struct m *mp = getm();
	void (*fn)(struct m *, struct g *) = mp->after.fn;

	sanitizer_finish_switch(mp->curg ? mp->curg->top->asan_fake_stack : mp->asan_fake_stack);
	if (fn)
		fn(mp, mp->after.old);
}

/*
 * Suspends old, which runs, and resumes next. fn(mp, old) runs on the new side, on the M that made
 * the switch; NULL for none. Returns when somebody resumes old, perhaps on another M.
 */
static inline void switch_to(struct m *mp, struct g *old, struct g *next,
			     void (*fn)(struct m *mp, struct g *old))
{
	void **fake_stack = &mp->asan_fake_stack;
	int32_t thread_errno;

	if (IS_ENABLED(CONFIG_DEBUG) && rcu_reading()) /* it would end on another thread */
		fatal("urge: a goroutine blocks or yields in an RCU read section");
	if (old != &mp->g0) /* a stack's last exit gives its fake stack up */
		fake_stack = fn == goexit_after ? NULL : &old->top->asan_fake_stack;
	if (unlikely(old->canary))
		stack_check_canary(old);
	mp->after.fn = fn;
	mp->after.old = old;
	__atomic_store_n(&mp->curg, next == &mp->g0 ? NULL : next, __ATOMIC_RELAXED);
	thread_errno = (int32_t)tls_load32(
		mp->errno_at); /* mostly nothing changes, and a store less is a store less */
	if (old->errno_ != thread_errno)
		old->errno_ = thread_errno;
	if (next->errno_ != thread_errno)
		tls_store32(mp->errno_at, (uint32_t)next->errno_);
	if (mp->eh_at)
		switch_exceptions(mp->eh_at, old == &mp->g0 ? NULL : old->top,
				  next == &mp->g0 ? NULL : next->top);
	sanitizer_start_switch(fake_stack, (void *)next->stack_lo, next->stack_hi - next->stack_lo,
			       next->tsan_fiber);
	context_switch(&old->ctx, &next->ctx);
	arrive();
}

#endif
