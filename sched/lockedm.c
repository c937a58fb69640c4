/* SPDX-License-Identifier: MIT */
/*
 * Goroutines that can run on one M only: those locked to their thread, which wait on its g0, and
 * those that were preempted where they could not be moved, which wait in the signal handler.
 *
 *	picker, with a P			the goroutine's M
 *	takes it out of a queue			waits on its futex (mpark)
 *	releasep; nextp = pp; mwake
 *	becomes a spare thread			acquirep(nextp); runs it
 *
 * Nobody else can hand a P to that M meanwhile: who takes the goroutine out of its queue is its
 * owner, and the only one. (As in Go's startlockedm; there are no spares there.)
 *
 * When a thread blocks on a futex, one of those that wait in the handler may hold the lock, and its
 * turn comes after all others': 10 ms of each that computes in a library. So each of them gets
 * grace runs first, as if its slice had begun long ago. Beside 16 goroutines in strlen, on one P, a
 * mutex whose holder had been stopped was waited for 170 to 260 ms without, and for 9 to 24 ms with
 * one run for each (half of the waits, on a busy machine). Rejected: a grace run for each that is
 * parked, whether anybody waits or not; it doubles the switches for what is seldom needed.
 *
 * An M that waits on g0 for its goroutine counts as idle, whoever wakes it counts it as running;
 * one that waits in the handler counts as running all the time, since its goroutine is runnable.
 */
#define URGE_KEEP_ERRNO
#include "sched/lockedm.h"

#include "kernelshim/clock.h"
#include "preempt/preempt.h"
#include "sched/exit.h"
#include "sched/fatal.h"
#include "sched/g.h"
#include "sched/hog.h"
#include "sched/m.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/sysmon.h"

/* pp, which the caller owns, goes to the M that gp is bound to. */
static void hand_to_its_m(struct g *gp, struct p *pp)
{
	struct m *owner = load_rlx_ptr(&gp->m);

	if (gp->bound & BOUND_PARKED) {
		store_rlx_u64(&pp->schedtick, load_rlx_u64(&pp->schedtick) + 1);
		slice_begins(pp, gp, parked_begins(nanotime()));
		store_rlx_u32(&pp->expects, 0); /* others may take what waits there */
		casgstatus(gp, Grunnable, Grunning);
	} else {
		add_u32(&sched.nmrunning, 1);
	}
	owner->nextp = pp;
	mwake(owner);
}

void startlockedm(struct m *mp, struct g *gp)
{
	preempt_passes_on(load_rlx_ptr(&gp->m), load_rlx_i64(&mp->asked), mp->preempted);
	mp->preempted = WAY_NONE;
	hand_to_its_m(gp, releasep(mp));
}

bool parked_runs(struct p *pp)
{
	struct g *gp = parked_take(pp);

	if (gp)
		hand_to_its_m(gp, pp);
	return gp != NULL;
}

int64_t parked_begins(int64_t now)
{
	int64_t slice = load_rlx_i64(&time_slice);
	uint32_t left = load_rlx_u32(&sched.graces);

	/* one that is lost or given twice among several Ps does no harm */
	if (left == 0 || slice - slice / 8 <= GRACE)
		return now;
	store_rlx_u32(&sched.graces, left - 1);
	return now - (slice - slice / 8) + GRACE;
}

bool stoplockedm(struct m *mp)
{
	if (mp->spinning) {
		mp->spinning = false;
		sub_u32(&sched.nmspinning, 1);
	}
	if (mp->p)
		handoffp(releasep(mp));
	mrunning_less();
	__atomic_store_n(&mp->blocked, true, __ATOMIC_RELAXED);
	/*
	 * here				the end of the world
	 * blocked = true		phase = exiting
	 * barrier			sysmon looks, twice at least
	 * exiting? then don't wait	blocked? then wake it (lockedm_release_all)
	 */
	smp_mb();
	if (!world_exiting())
		mpark(mp, INT64_MAX); /* for a P that comes with the goroutine; or none */
	__atomic_store_n(&mp->blocked, false, __ATOMIC_RELAXED);
	if (!mp->nextp)
		return false;
	acquirep(mp, mp->nextp);
	mp->nextp = NULL;
	return true;
}

static void release_waiting(struct m *mp, void *unused)
{
	(void)unused;
	if (__atomic_load_n(&mp->blocked, __ATOMIC_RELAXED))
		mwake(mp);
}

void lockedm_release_all(void)
{
	struct g *gp;

	forEachM(release_waiting, NULL);
	while ((gp = hogq_take(sched.parked, 0, THREAD_NO_CPU)) != NULL) {
		struct m *owner = load_rlx_ptr(&gp->m);

		casgstatus(gp, Grunnable, Grunning);
		add_u32(&sched.nrevoked, 1);
		or_u32(&owner->attn, MATTN_REVOKED);
		owner->nextp = NULL;
		mwake(owner);
	}
}
