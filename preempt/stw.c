/* SPDX-License-Identifier: MIT */
/*
 * Stop the world.
 *
 * Every P is brought to Pgcstop: idle ones at once, those in system calls by a CAS of their status,
 * and the running ones by their owners, who find PATTN_STOP in findrunnable; goroutines that do
 * not come there by themselves are preempted, again and again until they have come.
 *
 *	stopper					M with a P
 *	attn |= STOP				status = Psyscall (entersyscall)
 *	mb_rare					mb_frequent
 *	cas(status, Psyscall, Pgcstop)		attn? then cas(status, Psyscall, ...)
 *
 * One of the two sees the other. The stopper's own P keeps running it: the goroutine is not
 * preempted meanwhile, and may not block.
 *
 * Somebody who has to be waited for, between urge_nopreempt_begin and its end or in the kernel, may
 * be waiting himself, for a lock of malloc's or stdio's that somebody holds who has stopped
 * already. So a stop that takes long is given up, everybody goes on for as long, and it is tried
 * again with twice the patience.
 */
#include "preempt/preempt.h"

#include "kernelshim/clock.h"
#include "kernelshim/futex.h"
#include "sched/allp.h"
#include "sched/fatal.h"
#include "sched/g.h"
#include "sched/gqueue.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/tls.h"
#include "sched/trace.h"
#include "sched/urge.h"

#include <errno.h>

#define RETRY_NS 100000
#define PATIENCE_NS INT64_C(8000000)
#define PATIENCE_MAX_NS INT64_C(1000000000)

static struct {
	struct mutex lock;     /* the turn */
	struct g *owner;       /* lock */
	struct gqueue waiting; /* lock: others who want to stop it */
	uint32_t depth;        /* owner */
	const char *why;       /* owner */
	int64_t since;         /* owner: when it began to stop the others */

	struct atomic_ptr own; /* sched.lock writes: the P of who stops; any M compares its own */
	struct atomic_u32 stopping; /* sched.lock writes */
	struct atomic_u32 stopwait; /* sched.lock writes; futex: Ps that have not stopped yet */
} world = { .lock = MUTEX_INIT(RANK_WORLD) };

struct stw_times stw_times;

bool world_stopping(void)
{
	return load_acq_u32(&world.stopping) != 0;
}

const char *world_why(void)
{
	return world_stopping() ? world.why : NULL;
}

void pstopped(struct p *pp)
{
	assert_held(&sched.lock);
	store_rel_u32(&pp->status, Pgcstop);
	if (sub_u32(&world.stopwait, 1) == 0)
		futex_wake(&world.stopwait.v, 1);
}

void gcstopm(struct m *mp)
{
	if (mp->p == load_rlx_ptr(&world.own))
		fatal("urge: the goroutine that stopped the world blocks");
	if (mp->spinning) {
		mp->spinning = false;
		sub_u32(&sched.nmspinning, 1);
	}
	lock(&sched.lock);
	if (load_rlx_u32(&world.stopping))
		pstopped(releasep(mp));
	unlock(&sched.lock);
	/* findrunnable sees that there is no P, and parks the thread; or that the stop is over */
}

bool world_takes_p(struct m *mp)
{
	bool takes;

	if (!world_stopping())
		return false;
	lock(&sched.lock);
	takes = load_rlx_u32(&world.stopping) && mp->p != load_rlx_ptr(&world.own);
	if (takes)
		pstopped(releasep(mp));
	unlock(&sched.lock);
	return takes;
}

/* ---- whose turn it is ---------------------------------------------------------------------- */

static bool queue_for_world(struct g *gp, void *unused)
{
	bool park;

	(void)unused;
	lock(&world.lock);
	park = world.owner != NULL;
	if (park)
		gqueue_push(&world.waiting, gp);
	else
		world.owner = gp;
	unlock(&world.lock);
	return park;
}

static void take_turn(struct g *gp)
{
	bool mine;

	lock(&world.lock);
	mine = !world.owner;
	if (mine)
		world.owner = gp;
	unlock(&world.lock);
	if (!mine)
		gopark(queue_for_world, NULL, WAIT_STOPPINGTHEWORLD);
}

static void pass_turn(void)
{
	struct g *next;

	lock(&world.lock);
	next = gqueue_pop(&world.waiting);
	world.owner = next;
	unlock(&world.lock);
	if (next)
		goready(next);
}

void stw_before_fork(const struct g *gp)
{
	if (world.owner == gp)
		fatal("urge: fork while the caller has stopped the world");
}

void stw_after_fork(void)
{
	mutex_init(&world.lock, RANK_WORLD);
	world.waiting = (struct gqueue){ NULL, NULL };
	world.owner = NULL;
	store_rlx_ptr(&world.own, NULL);
	store_rlx_u32(&world.stopping, 0);
}

/* ---- stopping ------------------------------------------------------------------------------ */

static void stop_syscalls(void)
{
	lock(&sched.lock);
	for_each_p(pp)
		if (cas_u32(&pp->status, Psyscall, Pidle)) {
			store_rlx_ptr(&pp->m, NULL);
			store_rlx_u32(&pp->syscalltick, load_rlx_u32(&pp->syscalltick) + 1);
			trace_about(pp, TRACE_SYSCALL_HANDOFF, 0, 0);
			pstopped(pp);
		}
	unlock(&sched.lock);
}

/*
 * One that runs without a P, or is blocked in the kernel: it has stopped when it waits in its
 * handler.
 */
static void stop_stray(struct m *mp, void *left)
{
	if (load_rlx_u32(&mp->attn) & MATTN_REVOKED) {
		preempt_stray(mp, false);
		++*(uint32_t *)left;
	}
}

/* Those that stand still already are stopped; the others are told. */
static void begin_stop(const struct m *mp)
{
	lock(&sched.lock);
	store_rlx_u32(&world.stopping, 1);
	store_rlx_u32(&world.stopwait, 0);
	store_rlx_ptr(&world.own, mp->p);
	for_each_p(pp) {
		if (load_rlx_u32(&pp->status) == Pdead)
			continue;
		or_u32(&pp->attn, PATTN_STOP);
		if (pp != mp->p)
			add_u32(&world.stopwait, 1);
	}
	for (struct p *pp; (pp = pidleget(0)) != NULL;)
		pstopped(pp);
	unlock(&sched.lock);
	mb_rare(); /* pairs with mb_frequent in urge_entersyscall */
}

static void nap(int64_t until)
{
	const uint32_t nobody_wakes = 0;

	while (futex_wait(&nobody_wakes, 0, until) != -ETIMEDOUT)
		;
}

/* False: not all have stopped at the deadline. */
static bool wait_for_stop(const struct m *mp, int64_t deadline, int64_t *tell)
{
	uint32_t left;

	while ((left = load_acq_u32(&world.stopwait)) != 0) {
		int64_t now = nanotime();

		if (now >= deadline)
			return false;
		stop_syscalls();
		for_each_p(pp)
			if (pp != mp->p && load_rlx_u32(&pp->status) == Prunning)
				preemptone(pp, false);
		futex_wait(&world.stopwait.v, left, now + RETRY_NS);
		stw_tell(mp->p, world.why, now - world.since, tell);
	}
	/* nobody loses his P while the world is stopping */
	while (load_rlx_u32(&sched.nrevoked) > 0) {
		int64_t now = nanotime();

		left = 0;
		forEachM(stop_stray, &left);
		if (left == 0)
			break;
		if (now >= deadline)
			return false;
		nap(now + RETRY_NS);
		stw_tell(mp->p, world.why, now - world.since, tell);
	}
	return true;
}

static void start(void)
{
	struct p *run = NULL;

	lock(&sched.lock);
	store_rlx_u32(&world.stopping, 0);
	store_rlx_ptr(&world.own, NULL);
	for_each_p(pp) {
		and_u32(&pp->attn, ~(uint32_t)PATTN_STOP);
		if (load_rlx_u32(&pp->status) != Pgcstop)
			continue;
		store_rlx_u32(&pp->status, Pidle);
		pp->link = run;
		run = pp;
	}
	unlock(&sched.lock);
	while (run) { /* to a thread if it has work, to its end if GOMAXPROCS shrank, else idle */
		struct p *pp = run;

		run = pp->link;
		pp->link = NULL;
		handoffp(pp);
	}
	wakep();
}

static void stop(const struct m *mp)
{
	int64_t patience = PATIENCE_NS, tell = 0;

	for (;;) {
		begin_stop(mp);
		if (wait_for_stop(mp, nanotime() + patience, &tell))
			return;
		start();
		nap(nanotime() + patience);
		if (patience < PATIENCE_MAX_NS)
			patience *= 2;
	}
}

int urge_stop_the_world(const char *why)
{
	struct m *mp = enter();
	struct g *gp;

	if (!mp)
		return -EPERM;
	gp = mp->curg;
	check_stack(gp);
	if (world.owner == gp) { /* only the owner can find itself here */
		world.depth++;
		leave();
		return 0;
	}
	take_turn(gp);
	world.depth = 1;
	world.why = why;
	gp->nopreempt++;
	world.since = nanotime();
	trace(getm(), TRACE_STW_STOPPING, gp->goid, 0);
	stop(getm());
	trace(getm(), TRACE_STW_STOPPED, gp->goid, 0);
	timehist_record(&stw_times.stopping, nanotime() - world.since);
	leave();
	return 0;
}

void urge_start_the_world(void)
{
	struct m *mp = enter();

	if (!mp || world.owner != mp->curg)
		fatal("urge_start_the_world: the caller has not stopped it");
	if (--world.depth == 0) {
		mp->curg->nopreempt--;
		trace(mp, TRACE_STW_START, mp->curg->goid, 0);
		start();
		timehist_record(&stw_times.total, nanotime() - world.since);
		pass_turn();
	}
	leave();
}

void urge_nopreempt_begin(void)
{
	struct m *mp = enter();

	if (mp) {
		mp->curg->nopreempt++;
		leave();
	}
}

void urge_nopreempt_end(void)
{
	struct m *mp = enter();

	if (mp) {
		if (mp->curg->nopreempt-- == 0)
			fatal("urge_nopreempt_end without urge_nopreempt_begin");
		leave();
	}
}
