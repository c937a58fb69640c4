/* SPDX-License-Identifier: MIT */
/*
 * Ps.
 *
 * A P is owned by one M (Prunning), by whoever wins a CAS of its status (Psyscall), or by the
 * holder of sched.lock (Pidle, Pgcstop, Pdead). Ps are never freed, so a late reader sees a P, if
 * perhaps a dead one. How many there are is procresize.c's.
 */
#define URGE_KEEP_ERRNO
#include "sched/p.h"

#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/fatal.h"
#include "sched/g.h"
#include "sched/globq.h"
#include "sched/gqueue.h"
#include "sched/lock.h"
#include "sched/lockedm.h"
#include "sched/m.h"
#include "sched/maxprocs.h"
#include "sched/node.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/time.h"
#include "sched/tls.h"
#include "sched/trace.h"

void acquirep(struct m *mp, struct p *pp)
{
	if (IS_ENABLED(CONFIG_DEBUG) && (mp->p || load_rlx_ptr(&pp->m)))
		throw_("acquirep: the M has a P, or the P an M");
	__atomic_store_n(&mp->p, pp, __ATOMIC_RELAXED); /* revokep may look */
	store_rlx_ptr(&pp->m, mp);
	runq_alone(pp);
	store_rel_u32(&pp->status, Prunning); /* pairs with load_acq in sysmon: m is set */
	if (tracing())
		trace_p_start(mp);
	if (many_nodes())
		node_follow(mp, pp);
}

struct p *releasep(struct m *mp)
{
	struct p *pp = mp->p;

	if (IS_ENABLED(CONFIG_DEBUG) &&
	    (!pp || load_rlx_ptr(&pp->m) != mp || load_rlx_u32(&pp->status) != Prunning))
		throw_("releasep: the M does not own the P");
	trace(mp, TRACE_P_STOP, 0, 0);
	__atomic_store_n(&mp->p, NULL, __ATOMIC_RELAXED); /* revokep may look */
	store_rlx_ptr(&pp->m, NULL);
	store_rel_u32(&pp->status, Pidle);
	return pp;
}

void pidleput(struct p *pp)
{
	assert_held(&sched.lock);
	store_rel_u32(&pp->status, Pidle);
	pp->link = sched.pidle[pp->node];
	sched.pidle[pp->node] = pp;
	/* a full barrier between this and the look for work that follows: see findrunnable */
	add_u32(&sched.npidle, 1);
}

struct p *pidleget_on(uint32_t node)
{
	struct p *pp = sched.pidle[node];

	assert_held(&sched.lock);
	if (pp) {
		sched.pidle[node] = pp->link;
		pp->link = NULL;
		if (sub_u32(&sched.npidle, 1) + 1 == (uint32_t)load_rlx_i32(&sched.gomaxprocs))
			maxprocs_busy();
	}
	return pp;
}

struct p *pidleget(uint32_t node)
{
	struct p *pp = NULL;

	if (!many_nodes())
		return pidleget_on(0);
	for (uint32_t i = 0; i < sched.nnodes && !pp; i++)
		pp = pidleget_on(topology.node[node].near[i]);
	return pp;
}

bool pidle_purge(void)
{
	bool more;

	lock(&sched.lock);
	more = load_rlx_u32(&sched.npidle) < (uint32_t)load_rlx_i32(&sched.gomaxprocs);
	for (uint32_t node = 0; node < sched.nnodes; node++) {
		for (struct p *pp = sched.pidle[node]; pp; pp = pp->link) {
			uint64_t tick = load_rlx_u64(&pp->schedtick);

			if (pp->idle_tick == tick)
				gfpurge(pp);
			pp->idle_tick = tick;
			more |= pp->gfree != NULL;
		}
	}
	unlock(&sched.lock);
	return more;
}

/* The goroutines of a P that nobody will run go to the global queue. */
static void give_away_goroutines(struct p *pp)
{
	struct gqueue q = { NULL, NULL };

	assert_held(&sched.lock);
	runqdrain(pp, &q);
	for (struct g *gp; (gp = gqueue_pop(&q)) != NULL;)
		globrunqput(gp, false);
}

void p_counts(int change)
{
	bool several;

	assert_held(&sched.lock);
	sched.nplive += (uint32_t)change;
	several = sched.nplive > 1;
	if (several != load_rlx_u32(&sched.sharing) % 2)
		store_rel_u32(&sched.sharing, load_rlx_u32(&sched.sharing) + 1);
}

void pdead(struct p *pp)
{
	assert_held(&sched.lock);
	give_away_goroutines(pp);
	p_counts(-1);
	gfpurge(pp);
	and_u32(&pp->attn, ~(uint32_t)PATTN_DRAIN);
	store_rel_u32(&pp->status, Pdead);
}

void pidle_bury(int n)
{
	assert_held(&sched.lock);
	for (uint32_t node = 0; node < sched.nnodes; node++) {
		struct p **at = &sched.pidle[node], *pp;

		while ((pp = *at) != NULL) {
			if (pp->id < n) {
				at = &pp->link;
				continue;
			}
			*at = pp->link;
			pp->link = NULL;
			sub_u32(&sched.npidle, 1);
			pdead(pp);
		}
	}
}

bool pdrain(struct m *mp)
{
	struct p *pp = mp->p;

	lock(&sched.lock);
	if (load_rlx_u32(&pp->attn) & PATTN_STOP) { /* a stop has counted it meanwhile */
		unlock(&sched.lock);
		return false;
	}
	if (pp->id < load_rlx_i32(&sched.gomaxprocs)) {
		and_u32(&pp->attn, ~(uint32_t)PATTN_DRAIN);
		unlock(&sched.lock);
		return false;
	}
	if (mp->spinning) {
		mp->spinning = false;
		sub_u32(&sched.nmspinning, 1);
	}
	releasep(mp);
	pdead(pp);
	unlock(&sched.lock);
	timers_move(pp);
	wakep();
	return true;
}

void retirep(struct p *pp)
{
	bool dead;

	lock(&sched.lock);
	dead = pp->id >= load_rlx_i32(&sched.gomaxprocs);
	if (load_rlx_u32(&pp->attn) & PATTN_STOP) {
		pstopped(pp); /* with its goroutines; the start sees to both */
		unlock(&sched.lock);
		return;
	}
	if (dead) {
		pdead(pp);
	} else {
		and_u32(&pp->attn, ~(uint32_t)PATTN_DRAIN);
		give_away_goroutines(pp);
		pidleput(pp);
	}
	unlock(&sched.lock);
	if (dead)
		timers_move(pp);
	else
		timers_cover(load_acq_i64(&pp->timers.minwhen));
}

void handoffp(struct p *pp)
{
	if (load_rlx_u32(&pp->attn) == 0) {
		if (!runqempty(pp) || globrunqsize() > 0 || parkedsize() > 0) {
			startm(pp, false);
			return;
		}
		/* everybody else is busy: somebody must look for work in their queues */
		if (load_rlx_u32(&sched.npidle) + load_rlx_u32(&sched.nmspinning) == 0 &&
		    cas_u32(&sched.nmspinning, 0, 1)) {
			startm(pp, true);
			return;
		}
	}
	retirep(pp);
	idle_p_look();
}
