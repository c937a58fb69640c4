/* SPDX-License-Identifier: MIT */
/*
 * The handler of the preemption signal. Signal-side: no TLS, no libc, no locks; runs on the M's
 * alternate stack with all signals blocked.
 *
 * The M is found by the signal's value (its number and generation), so no thread-local variable is
 * read; what carries another value, or comes from elsewhere, goes to the handler that the program
 * had. When the limit of queued signals is used up the kernel delivers the signal without its
 * value: then the M is looked up by its thread id, and a request pending on it makes the signal
 * ours.
 */
#include "preempt/handler.h"

#include "kernelshim/sigframe.h"
#include "kernelshim/sys.h"
#include "preempt/park.h"
#include "preempt/preempt.h"
#include "preempt/safepoint.h"
#include "sched/boot.h"
#include "sched/trace.h"
#include "sched/urge.h"

#include <sys/syscall.h>
#include <time.h>

#define JUST_BEGUN INT64_C(10000000) /* ns; mostly a few thousand */

/* The M that this signal was sent to by the runtime; NULL: it was not. */
static struct m *our_request_sig(const siginfo_t *info)
{
	uint32_t tid = (uint32_t)sys_call0(SYS_gettid);
	uint64_t value = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
	uint32_t n = load_rlx_u32(&sched.mcount);
	struct m *mp;

	if (info->si_code == SI_QUEUE) {
		uint32_t id = (uint32_t)value;

		if (id >= n || info->si_pid != (pid_t)sys_call0(SYS_getpid))
			return NULL;
		mp = __atomic_load_n(&allm[id], __ATOMIC_ACQUIRE);
		if (mp && load_rlx_u32(&mp->tid) == tid &&
		    load_rlx_u32(&mp->generation) == value >> 32)
			return mp;
	} else if (info->si_code == SI_USER && info->si_pid == 0) {
		for (uint32_t id = 0; id < n; id++) {
			mp = __atomic_load_n(&allm[id], __ATOMIC_ACQUIRE);
			if (mp && load_rlx_u32(&mp->tid) == tid)
				return load_rlx_i64(&mp->signal_sent) ? mp : NULL;
		}
	}
	return NULL;
}

/* Takes note that the request has arrived: signal_sent, or 0 if it was sent twice. */
static int64_t request_arrives_sig(struct m *mp)
{
	int64_t sent;

	do {
		sent = load_rlx_i64(&mp->signal_sent);
		if (sent == 0)
			return 0;
	} while (!cas_i64(&mp->signal_sent, sent,
			  sent & SIGNAL_BEING_SENT ? sent | SIGNAL_HANDLED : 0));
	return sent;
}

/*
 * A system call that is about to return EINTR because of us, though its thread was seen running
 * right before: so it has only just begun, and is made again. A time-out begins anew with it, as if
 * the thread had come to the call so much later.
 */
static bool just_begun_sig(void *ucontext, int64_t sent)
{
	struct timespec ts = { 0, 0 };

	if (!(sent & SIGNAL_SEEN_RUNNING))
		return false;
	sys_call2(SYS_clock_gettime, CLOCK_MONOTONIC, sys_ptr(&ts));
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec - sent < JUST_BEGUN &&
	       sigframe_repeat_syscall_sig(ucontext);
}

/*
 * Could the goroutine that is refused for this reason be parked instead? Not where it will yield by
 * itself, or must not stop, and not on another stack: a handler of the program's may have
 * interrupted anything.
 */
static bool parkable_sig(const struct g *gp, enum preempt_reason reason)
{
	uint32_t policy = policy_of_sig(gp);

	switch (reason) {
	case LEFT_NO_GOROUTINE:
	case LEFT_IN_RUNTIME:
	case LEFT_OTHER_STACK:
	case LEFT_NOPREEMPT:
		return false;
	default:
		return policy == URGE_PREEMPT_AUTO || policy == URGE_PREEMPT_PARK;
	}
}

/*
 * Most visits to a library are short: the goroutine is let go twice, and can perhaps be moved when
 * it is asked again soon. Not if that is never possible, or the world waits; nor one that was let
 * go in vain the last time, until it is met where it can be moved: a loop in libc would be let go
 * again and again.
 */
static bool defer_sig(struct m *mp)
{
	const struct p *pp = mp->p;

	if (mp->deferredg != mp->curg) {
		mp->deferredg = mp->curg;
		mp->deferrals = 0;
		mp->dwells = false;
	}
	if (!text.movable || policy_of_sig(mp->curg) != URGE_PREEMPT_AUTO || mp->dwells ||
	    mp->deferrals >= DEFERRALS_MAX || !pp || load_rlx_u32(&pp->attn))
		return false;
	mp->deferrals++;
	return true;
}

/* What becomes of the goroutine that mp runs. */
static void preempt_sig(struct m *mp, void *ucontext, bool discard)
{
	enum preempt_reason reason = safepoint_sig(mp, ucontext, discard);

	if (reason == MOVE) {
		mp->deferrals = 0;
		mp->dwells = false;
		mp->preempted = WAY_INJECTED;
		add_u64(&preempt_counters.injected, 1);
		sigframe_inject_call_sig(ucontext, asyncpreempt);
		return;
	}
	if (!discard && parkable_sig(mp->curg, reason) && !defer_sig(mp)) {
		mp->dwells |= mp->deferrals >= DEFERRALS_MAX;
		mp->deferrals = 0;
		add_u64(&preempt_counters.parked, 1); /* before it is parked for long */
		if (park_sig(mp, ucontext))
			return;
		sub_u64(&preempt_counters.parked, 1);
		reason = LEFT_NO_SPARE;
	}
	add_u64(&preempt_counters.left[reason], 1);
	__atomic_store_n(&mp->left, (uint8_t)(reason + 1), __ATOMIC_RELAXED);
	/* else a trace point may have been interrupted */
	if (mp->locks == 0 && tracing())
		trace_write_about(mp->p, TRACE_PREEMPT_LEFT, 0, reason);
}

void preempt_handler_sig(int sig, siginfo_t *info, void *ucontext)
{
	struct m *mp = our_request_sig(info);
	int64_t sent;
	bool discard;

	if (!mp) {
		handler_chain_sig(&former_sigurg, sig, info, ucontext);
		return;
	}
	sent = request_arrives_sig(mp);
	if (!sent)
		return;
	discard = load_rlx_u32(&sched.phase) == PHASE_EXITING;
	if (discard && load_rlx_u32(&mp->abandon) && mp->curg && (mp->locks == 0 || mp->incall) &&
	    sigframe_in_syscall_sig(ucontext)) {
		sigframe_inject_call_sig(ucontext, asyncabandon);
		return;
	}
	if (sigframe_interrupted_sig(ucontext) && !just_begun_sig(ucontext, sent))
		add_u64(&preempt_counters.interrupted, 1);
	preempt_sig(mp, ucontext, discard);
}

void handler_chain_sig(const struct sigaction *former, int sig, siginfo_t *info, void *ucontext)
{
	if (former->sa_handler == SIG_DFL || former->sa_handler == SIG_IGN)
		return; /* whatever the flags say */
	if (former->sa_flags & SA_SIGINFO)
		former->sa_sigaction(sig, info, ucontext);
	else
		former->sa_handler(sig);
}
