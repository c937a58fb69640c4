/* SPDX-License-Identifier: MIT */
/*
 * Preemption of what can't be moved: the whole thread waits, in the signal handler, and another one
 * goes on with its P. Sound for all code: whatever the goroutine holds of its thread is still
 * there when it resumes.
 *
 *	this thread, in the handler		another
 *	takes a spare M
 *	gives up the P
 *	the goroutine into the queue		findrunnable takes it out; its P for this M
 *	nextp of the spare = pp; wakes it
 *	waits on its futex			nextp = its P; wakes this M; becomes a spare
 *	acquires nextp; returns
 *
 * From the moment that the goroutine is in the queue this M may be handed a P, also before it
 * sleeps: its own P is given up before, and the futex word keeps the wake-up.
 *
 * If nobody waits but others that are parked, or no spare is ready, or the bound is reached, the P
 * goes straight to one of those, the one parked longest or nearly (hogq.h). So the bound starves
 * none of them.
 *
 * The handler takes locks of the runtime here. Interrupted code holds none of them (m.locks was 0),
 * and who holds one is not preempted by us. It allocates nothing, and uses no libc.
 */
#include "preempt/park.h"

#include "preempt/preempt.h"
#include "sched/hog.h"
#include "sched/lockedm.h"
#include "sched/m.h"
#include "sched/netpoll.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/sysmon.h"
#include "sched/template.h"
#include "sched/trace.h"

/* The calling M owns no P any more; nobody does until it is handed on. */
static void give_up_p_sig(struct m *mp, struct p *pp)
{
	mp->p = NULL;
	store_rlx_ptr(&pp->m, NULL);
	store_rel_u32(&pp->status, Pidle);
}

static void push_sig(struct g *gp, const struct p *pp)
{
	gp->bound |= BOUND_PARKED;
	gp->waitreason |= HOG_MARK;
	store_rel_u32(&gp->status, Grunnable); /* pairs with load_acq of dumps */
	hogq_put(&sched.parked[hogq_node(pp, gp)], gp, load_rlx_i64(&sysmon_now));
}

/* Takes one out that has waited long; its M is to get pp. */
static struct m *pop_sig(struct p *pp)
{
	struct g *gp = parked_take(pp);

	if (!gp)
		return NULL;
	store_rlx_u64(&pp->schedtick, load_rlx_u64(&pp->schedtick) + 1);
	/* else it could not be told from one that is no hog, and would be stopped for nobody */
	slice_begins(pp, gp, parked_begins(load_rlx_i64(&sysmon_now)));
	store_rel_u32(&gp->status, Grunning);
	return load_rlx_ptr(&gp->m);
}

/* The goroutine into the queue, the P to another M. False: there is none. */
static bool hand_over_sig(struct m *mp, struct g *gp, struct p *pp, int64_t asked)
{
	bool others = !runqempty(pp) || globrunqsize() > 0;
	uint32_t parked = parkedsize();
	struct m *next = NULL;

	if (parked < CONFIG_MAX_PARKED_MS && (others || parked == 0))
		next = template_take_spare(load_rlx_u32(&mp->cpu));
	if (next)
		next->spinning = false;
	else
		next = pop_sig(pp);
	if (!next)
		return false;
	pp->hogwhen = HOG_STOPPED;
	give_up_p_sig(mp, pp);
	push_sig(gp, pp);
	preempt_passes_on(next, asked, WAY_PARKED);
	next->nextp = pp;
	mwake(next);
	return true;
}

bool park_sig(struct m *mp, const void *ucontext)
{
	int64_t asked = load_rlx_i64(&mp->asked);
	struct g *gp = mp->curg;
	bool parked = true;
	struct p *pp;

	mp->locks = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* before the look at attn: see revoke.c */
	pp = revoke_settle(mp) ? mp->p : NULL;
	mp->parked_at = ucontext;
	store_rlx_u32(&mp->cpu, thread_cpu());
	trace(mp, TRACE_GO_PARK, gp->goid, 0);
	/* before it is queued: who hands it a P writes these */
	store_rlx_i64(&mp->asked, 0);
	store_rlx_u32(&mp->preempt, 0);
	if (load_rlx_u32(&mp->attn) & MATTN_ENDED)
		parked = false;
	else if (!pp || world_takes_p(mp))
		push_sig(gp, NULL); /* without a P, or its P stops with the world */
	else
		parked = hand_over_sig(mp, gp, pp, asked);
	if (parked) {
		/* pairs with mb_rare in findrunnable and in sysmon: the goroutine is queued */
		smp_mb();
		if (load_rlx_u32(&sched.npidle) > 0 || load_rlx_u32(&sysmon_watching) == 0)
			waitpoint_kick(&sysmon_point);
		mpark(mp, INT64_MAX);
		gp->bound &= (uint8_t)~BOUND_PARKED;
		pp = mp->nextp;
		mp->nextp = NULL;
		if (pp)
			acquirep(mp, pp);
		if (load_rlx_u32(&mp->preempt))
			preempt_answered(mp);
	} else {
		store_rlx_i64(&mp->asked, asked);
		store_rlx_u32(&mp->preempt, 1);
	}
	mp->parked_at = NULL;
	trace_go_start(mp, gp);
	__atomic_store_n(&mp->locks, 0, __ATOMIC_RELEASE); /* pairs with load_acq in revoke */
	return parked;
}
