/* SPDX-License-Identifier: MIT */
/*
 * Taking the P away from a thread that is blocked in the kernel in a call that it did not declare,
 * or in a page fault: without a signal, so that no call returns EINTR.
 *
 *	sysmon					the M's thread
 *	attn |= REVOKING
 *	mb_rare					locks = 1 (enter, or the handler)
 *	locks != 0? then never mind		barrier
 *	cas(attn: REVOKING -> REVOKED)		attn? then cas(attn: REVOKING -> 0)
 *
 * After its barrier sysmon sees that the thread is in the runtime, or the thread, entering later,
 * sees REVOKING; in the second case whoever wins the compare-and-swap has the P. The thread's way
 * into the runtime pays nothing: it tests the one word that it tests anyway, and the barrier is the
 * free half of an asymmetric pair. Where there is no membarrier the word has a bit, FENCE, all the
 * time, which leads to a fence.
 *
 * A thread that comes back to its own code without a P, a stray, goes on until it enters the
 * runtime, where it asks for a P like somebody who returns from a declared call, or until sysmon
 * finds that it uses the CPU: then it is signalled, and preempted like others.
 *
 * A ring of goroutines that block like that passes at the pace of sysmon's looks, some 100 us each,
 * and 61 of them are 6 to 15 ms: for so long those waited who stood in the global queue, that is,
 * everybody whom sysmon had woken. So each takes half of the ticks after which that queue comes
 * first. (All of them would be too many: the ring would not be looked at while strays come home to
 * the queue.)
 *
 * Rejected: a signal that asks the thread to let go of its P. It would end the call with EINTR, and
 * a thread that is blocked uninterruptibly would not even get it.
 */
#define URGE_KEEP_ERRNO
#include "preempt/preempt.h"

#include "kernelshim/clock.h"
#include "kernelshim/threadstate.h"
#include "sched/fatal.h"
#include "sched/globq.h"
#include "sched/lockedm.h"
#include "sched/m.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/trace.h"

#define STRAY_LOOK INT64_C(1000000)
#define STRAY_LOOK_EACH INT64_C(20000) /* a look at one costs 0.3 us and more */
#define STRAY_USED INT64_C(50000)      /* so much CPU time, and it is not on its way to us */

bool revoke_settle(struct m *mp)
{
	uint32_t attn = load_rlx_u32(&mp->attn);

	if (attn & MATTN_FENCE) {
		smp_mb(); /* pairs with mb_rare in revokep */
		attn = load_rlx_u32(&mp->attn);
	}
	if (attn & MATTN_REVOKING && cas_u32(&mp->attn, attn, attn & ~(uint32_t)MATTN_REVOKING))
		return true;
	if (!(load_rlx_u32(&mp->attn) & MATTN_REVOKED))
		return true;
	__atomic_store_n(&mp->p, NULL, __ATOMIC_RELAXED);
	sub_u32(&sched.nrevoked, 1);
	and_u32(&mp->attn, ~(uint32_t)MATTN_REVOKED);
	return false;
}

bool revokep(struct p *pp, bool waits_for_lock)
{
	struct m *mp = load_rlx_ptr(&pp->m);
	const uint32_t none = have_membarrier ? 0 : MATTN_FENCE;
	bool ours;

	/* the goroutine that has stopped the world keeps its P */
	if (!mp || world_stopping() || !cas_u32(&mp->attn, none, none | MATTN_REVOKING))
		return false;
	mb_rare(); /* pairs with the barrier in enter */
	/* outside the runtime these do not change; pairs with the store_rel in leave */
	ours = __atomic_load_n(&mp->locks, __ATOMIC_ACQUIRE) == 0 &&
	       __atomic_load_n(&mp->curg, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&mp->p, __ATOMIC_RELAXED) == pp;
	if (ours)
		add_u32(&sched.nrevoked, 1);
	if (!cas_u32(&mp->attn, none | MATTN_REVOKING, none | (ours ? MATTN_REVOKED : 0))) {
		if (ours)
			sub_u32(&sched.nrevoked, 1);
		return false;
	}
	if (!ours)
		return false;
	add_u64(&preempt_counters.revoked, 1);
	mp->stray_cpu = thread_cputime((int)load_rlx_u32(&mp->tid));
	trace_about(pp, TRACE_REVOKE, 0, 0);
	store_rlx_ptr(&pp->m, NULL);
	pp->globtick -= GLOBAL_TICK / 2 + 1;
	store_rel_u32(&pp->status, Pidle);
	/* whoever holds the lock that it waits for may be parked */
	if (waits_for_lock)
		store_rlx_u32(&sched.graces, GRACES * parkedsize());
	if (!waits_for_lock || load_rlx_u32(&pp->attn) || !parked_runs(pp))
		handoffp(pp);
	return true;
}

/* Only sysmon revokes, so an M that is seen revoked here stays so until it comes to us. */
static void look_at_stray(struct m *mp, void *unused)
{
	int tid = (int)load_rlx_u32(&mp->tid);
	int64_t cpu;
	long call;

	(void)unused;
	if (!(load_rlx_u32(&mp->attn) & MATTN_REVOKED))
		return;
	cpu = thread_cputime(tid);
	if (cpu - mp->stray_cpu < STRAY_USED)
		return;
	if (thread_state(tid, &call) == THREAD_BLOCKED)
		mp->stray_cpu = cpu;
	else
		preempt_stray(mp, true);
}

int64_t strays_look(int64_t now)
{
	static int64_t next;
	int64_t n = load_rlx_u32(&sched.nrevoked);

	if (n == 0)
		return INT64_MAX;
	if (now >= next || next - now > STRAY_LOOK + n * STRAY_LOOK_EACH) {
		forEachM(look_at_stray, NULL);
		next = now + STRAY_LOOK + n * STRAY_LOOK_EACH;
	}
	return next;
}
