/* SPDX-License-Identifier: MIT */
/*
 * Asking for a preemption.
 *
 * One signal is pending on an M at a time: signal_sent says since when, and the handler clears it.
 * A signal can get lost (a debugger drops it, a seccomp filter, a full queue), so one that has not
 * been handled after two slices is sent again.
 *
 * A declared system call must not see a signal, since many return EINTR whatever SA_RESTART says:
 *
 *	signalM					urge_entersyscall
 *	signal_sent = now, being sent		incall = true
 *	full barrier (the CAS)			full barrier
 *	incall? then take it back		being sent? then wait
 *	send; signal_sent = now			sent? then let it come
 *
 * Either the sender sees the call, or the caller the request. What has been sent is delivered when
 * any system call returns.
 *
 * While it is being sent the word is the sender's: others don't send, and the handler, which a
 * former signal may start at any time, only adds that it was there (SIGNAL_HANDLED). The sender
 * ends it in every case, or the caller waits for ever.
 *
 * Both barriers are full ones: were the caller's the free half of an asymmetric pair, each signal
 * would interrupt all processors, to spare a call to the kernel the price of one locked
 * instruction.
 */
#define URGE_KEEP_ERRNO
#include "preempt/preempt.h"

#include "kernelshim/clock.h"
#include "kernelshim/sys.h"
#include "kernelshim/thread.h"
#include "preempt/safepoint.h"
#include "sched/exit.h"
#include "sched/proc.h"
#include "sched/sysmon.h"
#include "sched/tls.h"
#include "sched/trace.h"
#include "sched/urge.h"

struct preempt_counters preempt_counters;
struct timehist preempt_latency[WAYS];

/* The sender's last step: what is pending from now on, and what, if one was handled meanwhile. */
static void sending_ends(struct m *mp, int64_t now, int64_t pending, int64_t if_handled)
{
	if (!cas_i64(&mp->signal_sent, now | SIGNAL_BEING_SENT, pending))
		store_rel_i64(&mp->signal_sent, if_handled); /* pairs with preempt_wait_out */
}

/* why: 0, SIGNAL_SEEN_RUNNING, or SIGNAL_EVEN_IN_CALL. */
static void signalM(struct m *mp, int64_t why)
{
	uint32_t tid = load_acq_u32(&mp->tid); /* pairs with minit and mfree */
	uint64_t generation = load_rlx_u32(&mp->generation);
	int64_t now = (nanotime() & ~(int64_t)SIGNAL_BITS) | (why & SIGNAL_SEEN_RUNNING);
	int64_t sent = load_rlx_i64(&mp->signal_sent);
	int err;

	if (tid == 0 || sent & SIGNAL_BEING_SENT ||
	    (sent != 0 && now - sent < 2 * load_rlx_i64(&time_slice)))
		return;
	if (!cas_i64(&mp->signal_sent, sent, now | SIGNAL_BEING_SENT))
		return;
	if (!(why & SIGNAL_EVEN_IN_CALL) && __atomic_load_n(&mp->incall, __ATOMIC_RELAXED)) {
		sending_ends(mp, now, sent, 0);
		return;
	}
	add_u64(&preempt_counters.requests, 1);
	trace_about(__atomic_load_n(&mp->p, __ATOMIC_RELAXED), TRACE_PREEMPT_REQUEST, 0, mp->id);
	err = thread_sigqueue((int)tid, CONFIG_PREEMPT_SIGNAL, generation << 32 | mp->id);
	if (err) /* the thread is gone */
		sending_ends(mp, now, 0, 0);
	else /* if one was handled meanwhile, and it was sent again, then perhaps the former one was */
		sending_ends(mp, now, now, sent ? now : 0);
}

void preempt_wait_out(const struct m *mp)
{
	while (load_acq_i64(&mp->signal_sent) & SIGNAL_BEING_SENT) /* pairs with sending_ends */
		sys_call0(SYS_sched_yield);
	if (load_rlx_i64(&mp->signal_sent) != 0)
		sys_call0(SYS_sched_yield); /* it comes on the way out of the kernel */
}

/* The flag for the exits from the runtime. The first time that it is set counts. */
static void ask(struct m *mp)
{
	if (load_rlx_i64(&mp->asked) == 0)
		store_rlx_i64(&mp->asked, nanotime());
	store_rlx_u32(&mp->preempt, 1);
}

void preempt_answered(struct m *mp)
{
	int64_t asked = load_rlx_i64(&mp->asked);

	if (mp->preempted != WAY_NONE && asked != 0)
		timehist_add(&preempt_latency[mp->preempted], nanotime() - asked);
	mp->preempted = WAY_NONE;
	store_rlx_i64(&mp->asked, 0);
	store_rlx_u32(&mp->preempt, 0);
}

void preempt_ask(const struct p *pp)
{
	struct m *mp = load_rlx_ptr(&pp->m);

	if (mp && __atomic_load_n(&mp->curg, __ATOMIC_RELAXED))
		ask(mp);
}

void preemptone(struct p *pp, bool seen_running)
{
	struct m *mp = load_rlx_ptr(&pp->m);

	if (!mp || !__atomic_load_n(&mp->curg, __ATOMIC_RELAXED))
		return;
	ask(mp);
	if (text.policy != URGE_PREEMPT_OFF)
		signalM(mp, seen_running ? SIGNAL_SEEN_RUNNING : 0);
}

void preempt_stray(struct m *mp, bool seen_running)
{
	ask(mp);
	if (text.policy != URGE_PREEMPT_OFF)
		signalM(mp, seen_running ? SIGNAL_SEEN_RUNNING : 0);
}

void preempt_discard(struct m *mp)
{
	if (__atomic_load_n(&mp->curg, __ATOMIC_RELAXED)) {
		store_rlx_u32(&mp->preempt, 1);
		signalM(mp, SIGNAL_EVEN_IN_CALL);
	}
}

int urge_set_preempt(int policy)
{
	switch (policy) {
	case URGE_PREEMPT_AUTO:
	case URGE_PREEMPT_INJECT:
	case URGE_PREEMPT_PARK:
	case URGE_PREEMPT_OFF:
		__atomic_store_n(&text.policy, (uint32_t)policy, __ATOMIC_RELAXED);
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- what the injected calls run ----------------------------------------------------------- */

void asyncpreempt2(void);
void asyncabandon2(void);

/* Called by asyncpreempt, on the goroutine's stack, with all its registers saved. */
void asyncpreempt2(void)
{
	struct m *mp = getm();

	__atomic_store_n(&mp->locks, 1, __ATOMIC_RELAXED);
	barrier();
	if (load_rlx_u32(&mp->attn) & MATTN_ENDED) /* as in enter */
		world_ended(mp);
	if (!revoke_settle(mp)) /* without a P it can be queued just as well, and nobody follows */
		mp->preempted = WAY_NONE;
	gopreempt();
	__atomic_store_n(&getm()->locks, 0, __ATOMIC_RELEASE); /* pairs with load_acq in revoke */
}

/* Called by asyncabandon: leaves the goroutine where it is, for good. */
void asyncabandon2(void)
{
	struct m *mp = getm();

	mp->incall = false;
	world_ended(mp);
}
