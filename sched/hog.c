/* SPDX-License-Identifier: MIT */
/*
 * Two classes, found out by behaviour: hogs, and everybody else.
 *
 *	preempted at the end of its slice	into the queue of hogs, which findrunnable looks at
 *						last: after rings, the global queue, netpoll, thieves
 *	somebody else waits, no P is idle	sysmon stops a hog for it (retake), not before the hog
 *						has run for the minimal granularity
 *	others keep a P busy for 9 ms		the P runs a hog for 1 ms, during which it is not
 *						stopped: hogs have a tenth, whatever the others do
 *	it blocks or yields			it is a hog no more
 *
 * To stop a hog costs some 10 us: signal, switch, and what the caches forget. A P spends at most
 * 3 % on it: a bucket holds as many stops as that makes in 10 ms and fills at that rate; when it is
 * empty, who waits waits for the next drop, a third of a millisecond. What a waiting goroutine
 * sees is thus some microseconds after a quiet time, a third of a millisecond under a storm of
 * wake-ups, and never a slice.
 *
 * Goroutines that wait in the signal handler (lockedm.c) have been stopped where they could not be
 * moved, so they used up their slices too. They take turns with the hogs. One of them may hold a
 * lock that others wait for; when sysmon finds a thread blocked on a futex, they go first.
 *
 * A program that knows better says so by urge_attr.class_: BATCH begins as a hog and is one
 * whenever it is preempted, LATENCY never. Neither costs a switch anything, since both are looked
 * at when a goroutine is made or preempted only.
 *
 * Rejected: priorities that the program sets (nobody knows them, and they age badly); a decaying
 * average of use, as kernels have it (here a switch costs a hundredth of a clock reading); stopping
 * hogs from the waker's thread (it may hold locks, and it does not know whether the thread is in
 * the kernel: sysmon does).
 */
#include "sched/hog.h"

#include "kernelshim/clock.h"
#include "sched/allp.h"
#include "sched/lockedm.h"
#include "sched/sysmon.h"

#define GRANULARITY INT64_C(50000) /* ns that a hog runs at least */
#define OTHERS_TURN INT64_C(9000000)
#define HOGS_TURN INT64_C(1000000)
#define STOP_COST INT64_C(10000)
#define STOP_PERIOD (STOP_COST * 100 / 3)
#define STOP_WINDOW INT64_C(10000000)

/* pp runs the goroutine that schedule() started there, no other one has been switched to. */
static bool runs_first(const struct p *pp)
{
	return load_rlx_u64(&pp->slicetick) == load_rlx_u64(&pp->schedtick) &&
	       load_rlx_u64(&pp->sliceinherits) == load_rlx_u64(&pp->inherits);
}

/*
 * Whether the goroutine on pp has run for a slice, or nearly: sysmon's wake-ups for several Ps are
 * one. Known only of those that schedule() started; others are found out in their next slice.
 */
static bool used_slice(const struct p *pp, int64_t now)
{
	int64_t slice = load_rlx_i64(&time_slice);

	return runs_first(pp) && now - load_rlx_i64(&pp->slicestart) >= slice - slice / 4;
}

void hog_judge(const struct m *mp)
{
	struct g *gp = mp->curg;

	if (gp->attr & GATTR_LATENCY)
		gp->waitreason &= (uint8_t)~HOG_MARK;
	else if (gp->attr & GATTR_BATCH || (mp->p && used_slice(mp->p, nanotime())))
		gp->waitreason |= HOG_MARK;
}

bool hog_runs(const struct p *pp, int64_t now)
{
	return used_slice(pp, now) || (load_rlx_u32(&pp->runshog) && runs_first(pp));
}

bool hogs_run(void)
{
	int64_t now = nanotime();

	for_each_p(pp)
		if (load_rlx_u32(&pp->status) == Prunning && hog_runs(pp, now))
			return true;
	return false;
}

void hog_put(struct p *pp, struct g *gp)
{
	int64_t now = nanotime();

	if (pp)
		pp->hogwhen = now;
	hogq_put(&sched.hogs[hogq_node(pp, gp)], gp, now);
}

static struct g *take(const struct p *pp, bool parked)
{
	return parked ? parked_take(pp) : hogq_take(sched.hogs, pp->node, THREAD_NO_CPU);
}

struct g *hog_get(struct p *pp)
{
	bool parked_first = pp->parkedturn || load_rlx_u32(&sched.graces) > 0;
	struct g *gp = take(pp, parked_first);

	if (!gp)
		return take(pp, !parked_first);
	pp->parkedturn = !pp->parkedturn;
	return gp;
}

struct g *hog_due(struct p *pp, int64_t now)
{
	struct g *gp;

	if (hogs_waiting() == 0 && parkedsize() == 0) {
		pp->hogwhen = now; /* nobody has waited since */
		return NULL;
	}
	if (pp->hogwhen > now)
		pp->hogwhen =
			now; /* HOG_STOPPED: one was parked here, and this is what came next */
	if (now - pp->hogwhen < OTHERS_TURN)
		return NULL;
	gp = hog_get(pp);
	if (gp) {
		pp->hogwhen = now;
		store_rlx_i64(&pp->hogturn, now + HOGS_TURN);
	}
	return gp;
}

int64_t hog_stop_time(const struct p *pp, int64_t since)
{
	int64_t when = since + GRANULARITY;
	int64_t turn_over = load_rlx_i64(&pp->hogturn);
	int64_t bucket = pp->stops - STOP_WINDOW;

	when = when > turn_over ? when : turn_over;
	return when > bucket ? when : bucket;
}

void hog_stopped(struct p *pp, int64_t now)
{
	pp->stops = (pp->stops > now ? pp->stops : now) + STOP_PERIOD;
}
