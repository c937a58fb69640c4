/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: distributes runnable goroutines over threads.
 *
 * Waking threads. Enough of them must run to use the Ps, and the others must sleep. Three simple
 * ways fail: one central state (no scaling); waking an M for each goroutine made ready (its work is
 * gone when it arrives: threads thrash between park and unpark); handing a P and a goroutine over
 * (destroys locality). So, as in Go, an M that runs out of work *spins* for a while, looking into
 * everybody's queues; while one spins, nobody else is woken; and the last one that stops spinning
 * looks once more:
 *
 *	who submits work			the M that stops spinning
 *	1. work into a queue			1. P into the idle list (npidle++)
 *	2. barrier				2. nmspinning--
 *	3. an idle P, and nobody spins?		3. barrier
 *	   then start one that spins		4. look into all queues again;
 *						   work? take an idle P, spin again
 *
 * Either the submitter sees the idle P and that nobody spins, or the last look sees the work. The
 * last look is for every M that gives up a P, also one that did not spin (Go's does not look then):
 * a submitter that saw no idle P counts on it. A spinning M that finds work starts the next
 * spinning one (resetspinning) before it runs it, so that wake-ups spread. tests/model/parking.pml
 * is the model.
 *
 * The submitter's barrier is on the way of every ready(), so it is the free half of an asymmetric
 * pair: the other side pays with membarrier (mb_frequent, mb_rare).
 *
 * Where goroutines wait: runnext and ring of the P, then the global queue, looked at first on every
 * 61st tick, so that two goroutines that ready each other can't starve it; hogs, and those that
 * wait in the signal handler, behind all of them (hog.c).
 */
#define URGE_KEEP_ERRNO
#include "sched/proc.h"

#include "kernelshim/membarrier.h"
#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/fatal.h"
#include "sched/findrunnable.h"
#include "sched/g.h"
#include "sched/globq.h"
#include "sched/gqueue.h"
#include "sched/hog.h"
#include "sched/latency.h"
#include "sched/lock.h"
#include "sched/lockedm.h"
#include "sched/m.h"
#include "sched/node.h"
#include "sched/p.h"
#include "sched/park.h"
#include "sched/runq.h"
#include "sched/stats.h"
#include "sched/switch.h"
#include "sched/sysmon.h"
#include "sched/time.h"

#include <sched.h>

enum {
	DIRECT_MAX = 61, /* direct switches in a row */
};

struct schedt sched = {
	.lock = MUTEX_INIT(RANK_SCHED),
	.hogs = { [0 ... MAX_NODES - 1] = { .lock = MUTEX_INIT(RANK_HOGS) } },
	.parked = { [0 ... MAX_NODES - 1] = { .lock = MUTEX_INIT(RANK_PARKED) } },
	.nnodes = 1,
};
bool have_membarrier;

noinline void mb_rare_slow(void)
{
	if (have_membarrier)
		membarrier_expedited();
	else
		smp_mb();
}

/* ---- entering and leaving ------------------------------------------------------------------ */

void enter_misuse(const struct m *mp)
{
	if (mp->incall)
		fatal("urge: call between urge_entersyscall and urge_exitsyscall");
	fatal("urge: call from a signal handler that interrupted the runtime");
}

void leave_preempted(struct m *mp)
{
	struct g *gp = mp->curg;

	/* with a lock of the thread's it stays where others can't queue up behind it meanwhile */
	if (gp->nopreempt || gp->attr & GATTR_NOPREEMPT || mp->pins > 0) {
		store_rlx_i64(&mp->asked, 0);
		store_rlx_u32(&mp->preempt, 0);
		return;
	}
	mp->preempted = WAY_DEFERRED;
	count(mp->p, deferred, 1);
	__atomic_store_n(&mp->locks, 1, __ATOMIC_RELAXED);
	gopreempt();
	__atomic_store_n(&getm()->locks, 0, __ATOMIC_RELEASE); /* pairs with load_acq in revoke */
}

/* ---- waking threads ------------------------------------------------------------------------- */

noinline static void wakep_slow(const struct m *mp)
{
	struct p *pp;

	if (load_rlx_u32(&sched.nmspinning) != 0 || !cas_u32(&sched.nmspinning, 0, 1))
		return;
	lock(&sched.lock);
	pp = pidleget(mp && mp->p ? mp->p->node : 0);
	if (!pp) /* under the lock: whoever puts a P there next must see that nobody spins */
		sub_u32(&sched.nmspinning, 1);
	unlock(&sched.lock);
	if (pp)
		startm(pp, true);
	else if (load_rlx_u32(&sysmon_watching) < WATCH_ALL)
		sysmon_watch(WATCH_ALL);
}

/* wakep, by the calling thread's M or NULL. */
static inline void wakep_by(const struct m *mp)
{
	mb_frequent(); /* pairs with mb_rare in findrunnable and in sysmon: the work is queued */
	if (load_rlx_u32(&sched.npidle) != 0)
		wakep_slow(mp);
	else if (unlikely(load_rlx_u32(&sysmon_watching) < WATCH_ALL) &&
		 !(mp && mp->p && !mp->curg))
		sysmon_watch(WATCH_ALL); /* not for an M in the scheduler: it will run something */
}

void wakep(void)
{
	wakep_by(getm());
}

static void wakep_or_watch(uint32_t level)
{
	if (load_rlx_u32(&sched.npidle) != 0)
		wakep_slow(getm());
	else
		sysmon_watch(level);
}

void wakep_elsewhere(void)
{
	mb_frequent(); /* as in wakep */
	wakep_or_watch(WATCH_ALL);
}

/* ---- parking and readying ------------------------------------------------------------------ */

/* gp runs from now on: what holds for a switch from g0 and for a direct one. */
static inline __attribute__((always_inline)) void start_running(struct m *mp, struct p *pp,
								struct g *gp, bool inherit)
{
	if (inherit)
		store_rlx_u64(&pp->inherits, load_rlx_u64(&pp->inherits) + 1);
	else
		store_rlx_u64(&pp->schedtick, load_rlx_u64(&pp->schedtick) + 1);
	if (load_rlx_ptr(&gp->m) != mp)
		store_rlx_ptr(&gp->m, mp);
	latency_end(pp, gp);
	casgstatus(gp, Grunnable, Grunning);
	if (unlikely(load_rlx_u32(&mp->preempt)))
		preempt_answered(mp); /* it meant the former one */
	if (unlikely(load_rlx_i64(&pp->timers.minwhen) < load_rlx_i64(&sysmon_point.until)))
		timers_cover(load_rlx_i64(&pp->timers.minwhen));
}

struct g *pick_next(struct m *mp)
{
	struct p *pp = mp->p;
	struct g *gp;
	bool inherit;

	if (unlikely(load_rlx_u32(&pp->attn) || mp->lockedg || mp->directs == 0))
		return &mp->g0;
	mp->directs--;
	gp = runqget(pp, false, &inherit);
	if (!gp)
		return &mp->g0;
	if (unlikely(gp->bound)) {
		mp->nextg = gp;
		return &mp->g0;
	}
	start_running(mp, pp, gp, inherit);
	return gp;
}

void park_called_off(struct m *mp, struct g *old)
{
	casgstatus(old, Gwaiting, Grunnable);
	runqput_next(mp->p, old);
	wakep_by(mp);
}

static void park_after(struct m *mp, struct g *old)
{
	park_unlock_fn unlockf = mp->after.unlockf;

	parked(mp, old);
	if (unlockf && !unlockf(old, mp->after.arg))
		park_called_off(mp, old);
}

void gopark(park_unlock_fn unlockf, void *arg, enum waitreason reason)
{
	struct m *mp = getm();

	mp->after.unlockf = unlockf;
	gopark_inline(mp, park_after, arg, reason);
}

/* The next one of the caller's P, or where it is at home. */
static inline void queue_here(struct m *mp, struct g *gp)
{
	if (many_nodes() && gp->node != mp->p->node && (gp->attr & GATTR_NODE || !mp->curg) &&
	    node_ready(gp, gp->attr & GATTR_NODE)) {
		wakep_by(mp);
		return;
	}
	runqput_next(mp->p, gp);
	wakep_by(mp);
	if (mp->curg && unlikely(mp->curg->waitreason & HOG_MARK))
		store_rlx_u32(&mp->preempt, 1); /* it goes on when nobody else wants to */
}

void goqueue(struct g *gp)
{
	struct m *mp = getm();

	latency_begin(mp, gp, TRACE_GO_UNBLOCK);
	if (mp && mp->p) {
		queue_here(mp, gp);
	} else {
		struct gqueue q = { NULL, NULL };

		trace_runnable(NULL, gp, TRACE_GO_UNBLOCK);
		gqueue_push(&q, gp);
		injectglist(&q, 1);
	}
}

void goready(struct g *gp)
{
	casgstatus(gp, Gwaiting, Grunnable);
	goqueue(gp);
}

void goready_by(struct m *mp, struct g *gp)
{
	casgstatus(gp, Gwaiting, Grunnable);
	latency_begin(mp, gp, TRACE_GO_UNBLOCK);
	queue_here(mp, gp);
}

static void preempt_after(struct m *mp, struct g *old)
{
	struct gqueue q = { NULL, NULL };

	casgstatus(old, Grunning, Grunnable);
	latency_begin(mp, old, TRACE_GO_PREEMPT);
	if (old->waitreason & HOG_MARK) {
		hog_put(mp->p, old);
	} else {
		gqueue_push(&q, old);
		globrunqputbatch(&q, 1);
	}
	wakep();
}

void gopreempt(void)
{
	struct m *mp = getm();

	check_stack(mp->curg);
	hog_judge(mp);
	switch_to(mp, mp->curg, &mp->g0, preempt_after);
}

static void yield_after(struct m *mp, struct g *old)
{
	casgstatus(old, Grunning, Grunnable);
	latency_begin(mp, old, TRACE_GO_YIELD);
	runqput(mp->p, old);
	wakep_by(mp);
}

/* It may wait for one of them. */
static void yield_to_hogs_after(struct m *mp, struct g *old)
{
	casgstatus(old, Grunning, Grunnable);
	latency_begin(mp, old, TRACE_GO_YIELD);
	hog_put(mp->p, old);
	wakep();
}

static inline __attribute__((always_inline)) void yield(struct m *mp)
{
	struct g *next;

	check_stack(mp->curg);
	hog_no_more(mp->curg);
	next = pick_next(mp);
	if (next != &mp->g0)
		switch_to(mp, mp->curg, next, yield_after);
	else if (mp->nextg || !runqempty(mp->p)) /* to the tail, behind those that wait */
		switch_to(mp, mp->curg, next, yield_after);
	else if (load_rlx_u32(&mp->p->attn) || globqsize() > 0)
		switch_to(mp, mp->curg, next, preempt_after);
	else if (hogs_waiting() > 0 || parkedsize() > 0)
		switch_to(mp, mp->curg, next, yield_to_hogs_after);
}

void goyield(void)
{
	yield(getm());
}

static noinline void yield_and_leave(struct m *mp)
{
	yield(mp);
	leave();
}

void urge_yield(void)
{
	struct m *mp = enter();

	if (likely(mp))
		yield_and_leave(mp);
	else
		sched_yield();
}

/* ---- queues -------------------------------------------------------------------------------- */

uint32_t globrunqsize(void)
{
	return globqsize() + hogs_waiting();
}

/* Each goes home. */
static void inject_on_nodes(struct gqueue *q)
{
	for (struct g *gp; (gp = gqueue_pop(q)) != NULL;)
		node_ready(gp, true);
}

/* The first n idle Ps get threads. */
static void inject_on_one_node(struct gqueue *q, uint32_t n)
{
	globrunqputwoken(q, n);
	while (n-- > 0 && load_rlx_u32(&sched.npidle) > 0) {
		struct p *pp;

		lock(&sched.lock);
		pp = pidleget(0);
		unlock(&sched.lock);
		if (!pp)
			break;
		startm(pp, false);
	}
}

void injectglist(struct gqueue *q, uint32_t n)
{
	if (many_nodes())
		inject_on_nodes(q);
	else
		inject_on_one_node(q, n);
	wakep();
	if (load_rlx_u32(&sched.npidle) == 0 && hogs_run())
		sysmon_look();
}

uint32_t others_wait(uint32_t max)
{
	const struct procs *procs = procs_begin();
	uint32_t n = globqsize();

	for (uint32_t i = 0; i < procs->count && n < max; i++)
		if (!runqempty(procs->p[i]))
			n += runqlen(procs->p[i]);
	procs_end();
	return n < max ? n : max;
}

bool anyone_waits(void)
{
	return hogs_waiting() > 0 || parkedsize() > 0 || others_wait(1) > 0;
}

/* ---- the loop ------------------------------------------------------------------------------ */

void idle_p_look(void)
{
	mb_rare(); /* pairs with mb_frequent in wakep */
	if (anyone_waits())
		wakep_or_watch(others_wait(1) ? WATCH_ALL : WATCH_HOGS);
}

void schedule_loop(void)
{
	struct m *mp = getm();

	for (;;) {
		struct found found;
		struct g *gp = findrunnable(mp, &found);
		struct p *pp = mp->p;

		if (!gp)
			return;
		mp->directs = tracing() ? 0 : DIRECT_MAX;
		if (many_nodes())
			store_rlx_u32(&pp->expects, 0);
		if (load_rlx_u32(&sysmon_watching) < WATCH_ALL && !runqempty(pp))
			sysmon_watch(WATCH_ALL); /* see wakep */
		else if (load_rlx_u32(&sysmon_watching) == 0 && hogs_waiting() > 0)
			sysmon_watch(WATCH_HOGS);
		start_running(mp, pp, gp, found.inherit);
		if (!found.inherit)
			slice_begins(pp, gp, found.now);
		trace_go_start(mp, gp);
		vector_clear();
		switch_to(mp, &mp->g0, gp, NULL);
	}
}
