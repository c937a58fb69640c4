/* SPDX-License-Identifier: MIT */
/*
 * Ps.
 *
 * A P is owned by one M (Prunning), by whoever wins a CAS of its status (Psyscall), or by the holder
 * of sched.lock (Pidle, Pgcstop, Pdead). Ps are never freed, and allp[i] never changes once
 * set, so a late reader sees a P, if perhaps a dead one.
 *
 * A change of GOMAXPROCS stops nobody. Growing puts Ps into the idle list. Shrinking takes idle Ps
 * out at once, and marks the others with PATTN_DRAIN: their owner gives them up when it next comes
 * through findrunnable, and a P in a system call is given up by whoever wins its CAS.
 */
#define URGE_KEEP_ERRNO
#include "sched/p.h"

#include "kernelshim/vm.h"
#include "preempt/preempt.h"
#include "sched/fatal.h"
#include "sched/g.h"
#include "sched/gqueue.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/time.h"
#include "sched/tls.h"

#include <errno.h>

struct p *allp[CONFIG_MAX_PROCS];
static struct mutex procresize_lock = MUTEX_INIT(RANK_PROCRESIZE);

void acquirep(struct m *mp, struct p *pp)
{
	if (IS_ENABLED(CONFIG_DEBUG) && (mp->p || load_rlx_ptr(&pp->m)))
		throw_("acquirep: the M has a P, or the P an M");
	mp->p = pp;
	store_rlx_ptr(&pp->m, mp);
	store_rel_u32(&pp->status, Prunning); /* pairs with load_acq in sysmon: m is set */
}

struct p *releasep(struct m *mp)
{
	struct p *pp = mp->p;

	if (IS_ENABLED(CONFIG_DEBUG) &&
	    (!pp || load_rlx_ptr(&pp->m) != mp || load_rlx_u32(&pp->status) != Prunning))
		throw_("releasep: the M does not own the P");
	mp->p = NULL;
	store_rlx_ptr(&pp->m, NULL);
	store_rel_u32(&pp->status, Pidle);
	return pp;
}

void pidleput(struct p *pp)
{
	assert_held(&sched.lock);
	store_rel_u32(&pp->status, Pidle);
	pp->link = sched.pidle;
	sched.pidle = pp;
	/* a full barrier between this and the look for work that follows: see findrunnable */
	add_u32(&sched.npidle, 1);
}

struct p *pidleget(void)
{
	struct p *pp = sched.pidle;

	assert_held(&sched.lock);
	if (pp) {
		sched.pidle = pp->link;
		pp->link = NULL;
		sub_u32(&sched.npidle, 1);
	}
	return pp;
}

static bool pidleremove(struct p *pp)
{
	struct p **at = &sched.pidle;

	assert_held(&sched.lock);
	while (*at && *at != pp)
		at = &(*at)->link;
	if (!*at)
		return false;
	*at = pp->link;
	pp->link = NULL;
	sub_u32(&sched.npidle, 1);
	return true;
}

/* The goroutines of a P that nobody will run go to the global queue. */
static void give_away_goroutines(struct p *pp)
{
	struct gqueue q = { NULL, NULL };
	uint32_t n = 0;

	assert_held(&sched.lock);
	runqdrain(pp, &q);
	for (const struct g *gp = q.head; gp; gp = gp->schedlink)
		n++;
	if (n > 0) {
		gqueue_append(&sched.globq[pp->node].q, &q);
		store_rlx_u32(&sched.globq[pp->node].size,
			      load_rlx_u32(&sched.globq[pp->node].size) + n);
	}
}

/* Everything that a P which goes away holds for others goes to them. */
static void pdead(struct p *pp)
{
	assert_held(&sched.lock);
	give_away_goroutines(pp);
	gfpurge(pp);
	and_u32(&pp->attn, ~(uint32_t)PATTN_DRAIN);
	store_rel_u32(&pp->status, Pdead);
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
		if (!runqempty(pp) || globrunqsize() > 0) {
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

/* ---- GOMAXPROCS ---------------------------------------------------------------------------- */

/* Makes allp[id], dead, if it has never been. */
static int pmake(int id)
{
	struct p *pp = allp[id];

	if (pp)
		return 0;
	pp = vm_reserve(round_up(sizeof(*pp), vm_page_size()), vm_page_size());
	if (!pp)
		return -ENOMEM;
	pp->id = id;
	store_rlx_u32(&pp->status, Pdead);
	if (timers_init(&pp->timers, id == 0 ? RANK_TIMERS_P0 : RANK_TIMERS)) {
		vm_release(pp, round_up(sizeof(*pp), vm_page_size()));
		return -ENOMEM;
	}
	__atomic_store_n(&allp[id], pp, __ATOMIC_RELEASE); /* pairs with readers' dependency */
	return 0;
}

static int pmake_all(int n)
{
	for (int i = 0; i < n; i++) {
		int err = pmake(i);

		if (err)
			return err;
	}
	return 0;
}

static void pgrow(int from, int to)
{
	for (int i = from; i < to; i++) {
		struct p *pp = allp[i];

		if (load_rlx_u32(&pp->status) == Pdead && world_stopping()) {
			or_u32(&pp->attn, PATTN_STOP); /* it stands still with the others */
			store_rel_u32(&pp->status, Pgcstop);
		} else if (load_rlx_u32(&pp->status) == Pdead)
			pidleput(pp);
		else /* it was draining, and its owner had not come to it yet */
			and_u32(&pp->attn, ~(uint32_t)PATTN_DRAIN);
	}
}

static void pshrink(int from, int to)
{
	for (int i = to; i < from; i++) {
		struct p *pp = allp[i];

		or_u32(&pp->attn, PATTN_DRAIN); /* a full barrier: before the looks below */
		if (pidleremove(pp)) {
			pdead(pp);
		} else if (!world_stopping() && cas_u32(&pp->status, Psyscall, Pdead)) {
			/* (a stop has counted it, and takes it; it dies at the start) */
			store_rlx_ptr(&pp->m, NULL);
			pdead(pp);
		}
	}
}

int procresize(int n)
{
	int old, err = 0;

	if (n > CONFIG_MAX_PROCS)
		return -EINVAL;
	lock(&procresize_lock);
	err = pmake_all(n);
	if (!err) {
		lock(&sched.lock);
		old = load_rlx_i32(&sched.gomaxprocs);
		store_rel_i32(&sched.gomaxprocs, n);
		if (n > old)
			pgrow(old, n);
		else
			pshrink(old, n);
		unlock(&sched.lock);
		for (int i = n; i < old; i++) {
			if (load_acq_u32(&allp[i]->status) == Pdead)
				timers_move(allp[i]);
			else
				preemptone(allp[i]);
		}
		if (n > old)
			idle_p_look();
	}
	unlock(&procresize_lock);
	return err;
}

int procinit(int n)
{
	int err = pmake_all(n);

	if (err)
		return err;
	lock(&sched.lock);
	store_rel_i32(&sched.gomaxprocs, n);
	for (int i = n - 1; i >= 0; i--)
		pidleput(allp[i]);
	unlock(&sched.lock);
	return 0;
}

void procreset(void)
{
	for (int i = 0; i < CONFIG_MAX_PROCS && allp[i]; i++)
		timers_forget(&allp[i]->timers);
	lock(&sched.lock);
	sched.pidle = NULL;
	store_rlx_u32(&sched.npidle, 0);
	for (int i = 0; i < CONFIG_MAX_PROCS && allp[i]; i++) {
		struct p *pp = allp[i];

		store_rlx_u64(&pp->runqhead, load_rlx_u32(&pp->runqtail));
		store_rlx_ptr(&pp->runnext, NULL);
		store_rlx_ptr(&pp->m, NULL);
		/* attn last: a stray that comes back from a system call finds one of the three */
		store_rlx_u32(&pp->status, Pdead);
		store_rlx_u32(&pp->syscalltick, load_rlx_u32(&pp->syscalltick) + 1);
		store_rel_u32(&pp->attn, 0);
		pp->link = NULL;
		pp->gfree = NULL;
		pp->ngfree = 0;
		pp->goidcache = pp->goidcacheend = 0;
		/* the goroutines that were discarded count as gone */
		store_rlx_u64(&pp->count.exited, load_rlx_u64(&pp->count.spawned));
	}
	store_rlx_u64(&sched.spawned_outside, 0);
	store_rlx_u64(&sched.goidgen, 0);
	store_rlx_u32(&sched.nmspinning, 0);
	sched.globq[0].q.head = sched.globq[0].q.tail = NULL;
	store_rlx_u32(&sched.globq[0].size, 0);
	unlock(&sched.lock);
}
