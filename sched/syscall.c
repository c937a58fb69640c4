/* SPDX-License-Identifier: MIT */
/*
 * Blocking system calls and foreign code.
 *
 * entersyscall leaves the P with the M, in status Psyscall: whoever wins a CAS of the status has
 * it. Mostly that is the M itself, when it comes back (exitsyscall): one CAS, no lock. If the call
 * takes long and somebody has a use for the P, sysmon wins it and hands it off.
 *
 *	the M, back				sysmon (or a stop, or a smaller GOMAXPROCS)
 *	cas(status, Psyscall, Prunning)		cas(status, Psyscall, Pidle)
 *
 * One of them fails. syscalltick guards against a sysmon that looked at a former call.
 *
 * A program whose calls block has a thousand of them begun one look of sysmon's after the other,
 * each with a P idle meanwhile. So it is noted whether calls turn out long, and while they do a P
 * that others wait for is handed off at the beginning of the call. A short call then costs a
 * wake-up in vain, and counts as much as several long ones.
 */
#define URGE_KEEP_ERRNO
#include "sched/syscall.h"

#include "kernelshim/clock.h"
#include "preempt/preempt.h"
#include "sched/boot.h"
#include "sched/exit.h"
#include "sched/fatal.h"
#include "sched/fork.h"
#include "sched/g.h"
#include "sched/globq.h"
#include "sched/gqueue.h"
#include "sched/hog.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/switch.h"
#include "sched/sysmon.h"
#include "sched/time.h"
#include "sched/trace.h"
#include "sched/urge.h"

enum { LONG_CALL = 20 * 1000 /* ns */, LONG_CALLS_MAX = 16, SHORT_CALL_COUNTS = 4 };

/*
 * Long calls less short ones, of late; from SHORT_CALL_COUNTS on the next ones are expected to be
 * long.
 */
static struct atomic_i32 long_calls;

void syscall_was(bool lengthy)
{
	int32_t n = load_rlx_i32(&long_calls) + (lengthy ? 1 : -SHORT_CALL_COUNTS);

	/* an update that is lost among others is one of many */
	store_rlx_i32(&long_calls, n < 0 ? 0 : n < LONG_CALLS_MAX ? n : LONG_CALLS_MAX);
}

void entersyscall(struct m *mp)
{
	struct p *pp = mp->p;

	hog_no_more(mp->curg);
	trace(mp, TRACE_SYSCALL_ENTER, mp->curg->goid, 0);
	mp->incall = true;
	mp->oldp = pp;
	mp->syscalltick = load_rlx_u32(&pp->syscalltick) + 1;
	store_rlx_u32(&pp->syscalltick, mp->syscalltick);
	casgstatus(mp->curg, Grunning, Gsyscall);
	mp->p = NULL;
	store_rel_u32(&pp->status, Psyscall); /* pairs with the CAS of whoever takes it */
	/* pairs with the full barrier after a bit of attn is set, and with that in signalM */
	smp_mb();
	if (unlikely(load_rlx_i64(&mp->signal_sent)))
		preempt_wait_out(mp);
	if (unlikely(load_rlx_u32(&pp->attn)) && cas_u32(&pp->status, Psyscall, Pidle)) {
		store_rlx_ptr(&pp->m, NULL);
		trace_about(pp, TRACE_SYSCALL_HANDOFF, 0, 0);
		handoffp(pp);
	} else if (!runqempty(pp) || load_rlx_u32(&sched.npidle) == 0) {
		sysmon_watch_syscall();
	} else {
		timers_cover(load_rlx_i64(&pp->timers.minwhen));
	}
}

static bool wanted(const struct p *pp)
{
	return !runqempty(pp) || globrunqsize() > 0;
}

void urge_entersyscall(void)
{
	struct m *mp = enter();

	if (!mp)
		return;
	entersyscall(mp);
	if (load_rlx_i32(&long_calls) >= SHORT_CALL_COUNTS && wanted(mp->oldp) &&
	    syscall_retake(mp->oldp))
		mp->callstart = nanotime();
	/* locks stays at 1: nothing here is preempted, and no other call is allowed */
}

/* On g0, without a P: gets one, or leaves the goroutine to others; where put puts it. */
static void without_p(struct m *mp, struct g *old, void (*put)(struct gqueue *q, uint32_t n))
{
	struct p *pp;

	if (unlikely(load_rlx_u32(&mp->attn) & MATTN_FORKED))
		fork_restart(mp, old);
	lock(&sched.lock);
	pp = pidleget(mp->node);
	unlock(&sched.lock);
	if (pp) {
		acquirep(mp, pp);
		runqput_next(pp, old);
	} else {
		struct gqueue q = { NULL, NULL };

		gqueue_push(&q, old);
		put(&q, 1);
		wakep();
	}
}

static void exitsyscall_after(struct m *mp, struct g *old)
{
	trace(mp, TRACE_SYSCALL_EXIT, old->goid, 0);
	casgstatus(old, Gsyscall, Grunnable);
	without_p(mp, old, globrunqputwoken);
}

static void revoked_after(struct m *mp, struct g *old)
{
	casgstatus(old, Grunning, Grunnable);
	without_p(mp, old, globrunqputbatch);
}

struct m *enter_attn(struct m *mp)
{
	if (load_rlx_u32(&mp->attn) & MATTN_FENCE)
		smp_mb(); /* pairs with mb_rare in exit_wait_for_others; see also revoke_settle */
	if (load_rlx_u32(&mp->attn) & MATTN_ENDED)
		world_ended(mp);
	if (!revoke_settle(mp))
		switch_to(mp, mp->curg, &mp->g0, revoked_after);
	return getm();
}

/* The way back of gp: true if nobody has taken the P. */
static bool reacquire(struct m *mp, const struct g *gp)
{
	struct p *pp = mp->oldp;

	mp->oldp = NULL;
	mp->incall = false;
	if (load_rlx_u32(&pp->attn) == 0 && load_rlx_u32(&pp->syscalltick) == mp->syscalltick &&
	    cas_u32(&pp->status, Psyscall, Prunning)) {
		/* another M may have had it meanwhile, in a system call that began as ours ended */
		store_rlx_ptr(&pp->m, mp);
		mp->p = pp;
		store_rlx_u32(&pp->syscalltick, mp->syscalltick + 1);
		trace(mp, TRACE_SYSCALL_EXIT, gp->goid, 0);
		return true;
	}
	if (load_rlx_u32(&mp->attn) & MATTN_ENDED)
		world_ended(mp);
	return false;
}

void exitsyscall(void)
{
	struct m *mp = getm();
	struct g *gp = mp->curg;

	if (reacquire(mp, gp))
		casgstatus(gp, Gsyscall, Grunning);
	else
		switch_to(mp, gp, &mp->g0, exitsyscall_after);
}

void urge_exitsyscall(void)
{
	struct m *mp = getm();

	if (!mp || !mp->curg)
		return;
	if (!mp->incall)
		fatal("urge_exitsyscall without urge_entersyscall");
	if (mp->callstart) {
		syscall_was(nanotime() - mp->callstart >= LONG_CALL);
		mp->callstart = 0;
	}
	exitsyscall();
	leave();
}

/* ---- foreign code -------------------------------------------------------------------------- */

struct blocking {
	int (*fn)(void *);
	void *arg;
	int result;
};

/*
 * On g0, which is the thread's own stack. To all others the goroutine runs on this M, in a system
 * call: curg says so.
 */
static void blocking_after(struct m *mp, struct g *old)
{
	struct blocking *b = mp->after.arg;

	__atomic_store_n(&mp->curg, old, __ATOMIC_RELAXED);
	tls_store32(mp->errno_at, (uint32_t)old->errno_);
	b->result = b->fn(b->arg);
	old->errno_ = (int32_t)tls_load32(mp->errno_at);
	__atomic_store_n(&mp->curg, NULL, __ATOMIC_RELAXED);
	if (reacquire(mp, old)) {
		casgstatus(old, Gsyscall, Grunnable);
		runqput_next(mp->p, old);
	} else {
		exitsyscall_after(mp, old);
	}
}

int urge_blocking(int (*fn)(void *), void *arg)
{
	struct blocking b = { fn, arg, 0 };
	struct m *mp;

	if (!fn)
		return -EINVAL;
	mp = enter();
	if (!mp)
		return -EPERM;
	check_stack(mp->curg);
	mp->after.arg = &b;
	entersyscall(mp);
	if (wanted(mp->oldp))
		syscall_retake(mp->oldp); /* it will be long: no waiting for sysmon */
	switch_to(mp, mp->curg, &mp->g0, blocking_after);
	leave();
	return b.result;
}

/* ---- sysmon -------------------------------------------------------------------------------- */

bool syscall_retake(struct p *pp)
{
	if (!cas_u32(&pp->status, Psyscall, Pidle))
		return false;
	store_rlx_ptr(&pp->m, NULL);
	store_rlx_u32(&pp->syscalltick, load_rlx_u32(&pp->syscalltick) + 1);
	trace_about(pp, TRACE_SYSCALL_HANDOFF, 0, 0);
	handoffp(pp);
	return true;
}
