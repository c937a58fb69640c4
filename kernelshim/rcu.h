/* SPDX-License-Identifier: MIT */
/*
 * Userspace RCU: the one place that knows which flavour of liburcu this is (memb). liburcu counts
 * readers per thread, so a section begins and ends on one thread, and only registered threads read.
 *
 * Its functions are called, not inlined: the inline forms import a thread-local variable, and a
 * program with that in it could not be preempted by moving (preempt/text.c).
 *
 * In the child of a fork liburcu's registry names threads that are not there, in memory that other
 * threads get, and its locks may be held: memb has no handlers for fork (bp has). So there nobody
 * registers, and nobody waits for a grace period; read sections, which only count in their thread,
 * do no harm.
 *
 * Not used: call_rcu. It aborts the process when it can't make its thread, runs callbacks of the
 * program's own on it, and before version 0.14 leaves a thread behind that nobody may join. See
 * sched/allp.c for what stands in its place.
 */
#ifndef URGE_KERNELSHIM_RCU_H
#define URGE_KERNELSHIM_RCU_H

#include "kernelshim/sanitizer.h"

#include <stdbool.h>
#include <urcu/urcu-memb.h>

/* Stands for the order that a grace period makes, which ThreadSanitizer does not see in liburcu. */
extern char rcu_order;

/* In a fork's child, where rcu_synchronize must not be called. */
extern bool rcu_lost;

/*
 * Lets the calling thread read; takes a mutex that nobody holds for long. liburcu aborts the
 * process if the thread is registered already, so urge_main's caller must not be.
 */
static inline void rcu_register(void)
{
	if (!rcu_lost)
		urcu_memb_register_thread();
}

static inline void rcu_unregister(void)
{
	if (!rcu_lost)
		urcu_memb_unregister_thread();
}

/* A read section, a few nanoseconds; nests. What was read in it stays until its end. */
static inline void rcu_lock(void)
{
	urcu_memb_read_lock();
}

static inline void rcu_unlock(void)
{
	sanitizer_release(&rcu_order); /* pairs with rcu_synchronize */
	urcu_memb_read_unlock();
}

/* Whether the calling thread is in a read section: its own, or one of the program's. */
static inline bool rcu_reading(void)
{
	return urcu_memb_read_ongoing() != 0;
}

/*
 * Returns when every section that was open at the call has ended: as long as the program's own
 * readers take. Any thread that is not in a read section.
 */
static inline void rcu_synchronize(void)
{
	urcu_memb_synchronize_rcu();
	sanitizer_acquire(&rcu_order); /* pairs with rcu_unlock */
}

#endif
