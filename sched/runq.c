/* SPDX-License-Identifier: MIT */
/*
 * The local run queue: a ring with one producer and many consumers.
 *
 * The owner alone moves runqtail. Owner and thieves move runqhead by CAS, and who moves it over a
 * slot has the goroutines in it. The counters run freely; tail - head is the length.
 *
 *	owner, put			owner or thief, get
 *	h = load_acq(head)		h = load_acq(head)
 *	slot[tail] = gp			t = load_acq(tail)	(the owner: relaxed)
 *	store_rel(tail, tail + 1)	gp = slot[h]
 *					cas(head, h, h + 1)
 *
 *	owner, take the newest		thief that has read head and tail before
 *	store_rel(tail, t - 1)
 *	cas(head: epoch + 1)		its cas fails: the epoch has changed
 *
 * The epoch, in the upper half of the head's word, makes sure that a thief which counted the newest
 * slot in, before tail was moved down, does not get it. If a thief was faster, the owner's CAS
 * fails, and tail goes up again.
 *
 * When is the newest taken? When the ring is more than half full of goroutines that have not run
 * yet: then a tree of goroutines is growing (fork-join), and the oldest ones are its largest
 * subtrees; running those first would make it flood the global queue, with thousands of stacks in
 * use at once (a fib(27) on one P had 34,000 goroutines alive, now 6,700, at 0.4 of the time).
 * Every 61st time the oldest is taken all the same. Go has no such rule: there the ring spills half
 * of itself to the global queue, which is then looked at every 61st time.
 *
 * A slot is reused only when head has passed it: the owner's load_acq of head pairs with the CAS of
 * whoever took the slot, so the read of the slot came first. A thief that read a slot which was
 * reused meanwhile fails its CAS, since head has moved; its read is of an atomic, so torn values
 * are no worry. runnext is a single word that everybody changes by exchange or CAS only.
 *
 * A thief copies half of the ring straight into its own ring, beyond its own tail, where nobody
 * looks, and publishes by storing its tail once it has won the CAS.
 *
 * As long as there is one P only, nobody steals, and its owner moves the head by a store: the CAS
 * is a third of what a switch costs. What if more Ps come while it is between load and store? Each
 * P has its own word of what its owner believes:
 *
 *	owner				a P comes: sharing odd		thief (it has a P)
 *	s = load_acq(sharing)		a P goes, one is left: even	s = sharing
 *	even: store(head, h + 1)	(each a new number, under	load_acq(victim.sharing) == s?
 *	odd: store_rel(pp.sharing, s)	sched.lock)			then CAS, else hands off
 *	     cas(head, h, h + 1)
 *
 * A thief's P is one of several, so what it reads is the odd number that stands as long as it has
 * its P. If the victim's word is the same, its owner has read that number before, has finished
 * every plain store before it wrote the word, and makes no other before the number changes, for
 * which the thief's P must go first. An owner that has not come by yet keeps its ring to itself:
 * like ownnext, it waits for a time slice at most, and whoever changes GOMAXPROCS comes by at once
 * (grow). tests/model/alone.pml is the model.
 *
 * The algorithm is Go's (runtime/proc.go); tests/model/runq.pml is its model.
 */
#include "sched/runq.h"

#include "kernelshim/clock.h"
#include "kernelshim/futex.h"
#include "sched/globq.h"
#include "sched/gqueue.h"
#include "sched/node.h"
#include "sched/proc.h"
#include "sched/stats.h"

bool runqputslow(struct p *pp, struct g *gp, uint64_t head, uint32_t t)
{
	struct gqueue batch = { NULL, NULL };
	uint32_t h = (uint32_t)head, n = (t - h) / 2;
	struct g *taken[RUNQ_SIZE / 2];

	for (uint32_t i = 0; i < n; i++)
		taken[i] = slot_load(pp, h + i);
	if (!cas_u64(&pp->runqhead, head, head_moved(head, n)))
		return false;
	for (uint32_t i = 0; i < n; i++)
		gqueue_push(&batch, taken[i]);
	gqueue_push(&batch, gp);
	globrunqputbatch(&batch, n + 1);
	return true;
}

static void nap(int64_t ns)
{
	const uint32_t nobody_wakes = 0;

	futex_wait(&nobody_wakes, 0, nanotime() + ns);
}

/* An M is on its way to a P that has been given a goroutine of its node: see node.c. */
static bool expects(const struct p *victim, const struct p *thief)
{
	return victim->node != thief->node && load_rlx_u32(&victim->expects);
}

/* Whether victim's owner knows that there are others. The thief, which has a P. */
static bool is_shared(const struct p *victim)
{
	return load_acq_u32(&victim->sharing) ==
	       load_rlx_u32(&sched.sharing); /* pairs with store_rel in runq_alone */
}

/*
 * Copies half of victim's ring behind pp's own tail and takes it. Returns how many.
 *
 * A goroutine in runnext is left alone for 3 us: the one that readied it is probably about to
 * block, and moving it would cost both a cache. Below that a thief sleeps a little and looks again.
 */
static uint32_t runqgrab(struct p *pp, struct p *victim, uint32_t at, bool runnext_too)
{
	while (is_shared(victim)) {
		/* pairs with the CAS of consumers */
		uint64_t head = load_acq_u64(&victim->runqhead);
		uint32_t h = (uint32_t)head;
		uint32_t t = load_acq_u32(&victim->runqtail); /* pairs with store_rel in runqput */
		uint32_t n = t - h;

		n -= n / 2;
		if (n == 0) {
			struct g *next = load_rlx_ptr(&victim->runnext);

			if (!runnext_too || !next)
				return 0;
			if (many_nodes() && expects(victim, pp))
				return 0;
			if (load_rlx_u32(&victim->status) == Prunning)
				nap(3000);
			if (!cas_ptr(&victim->runnext, next, NULL))
				continue;
			slot_store(pp, at, next);
			return 1;
		}
		if (n > RUNQ_SIZE / 2) /* head and tail were read at different times */
			continue;
		for (uint32_t i = 0; i < n; i++)
			slot_store(pp, at + i, slot_load(victim, h + i));
		if (cas_u64(&victim->runqhead, head, head_moved(head, n)))
			return n;
	}
	return 0;
}

struct g *runqsteal(struct p *pp, struct p *victim, bool runnext_too)
{
	uint32_t t = load_rlx_u32(&pp->runqtail);
	uint32_t n = runqgrab(pp, victim, t, runnext_too);

	if (n == 0)
		return NULL;
	count(pp, steals, n);
	if (victim->node != pp->node)
		count(pp, steals_remote, n);
	n--; /* the last one is returned, the others are published */
	if (n > 0)
		store_rel_u32(&pp->runqtail, t + n); /* pairs with load_acq in runqgrab */
	return slot_load(pp, t + n);
}

/*
 * Four loads can't be made at one instant, and a goroutine may move from runnext to the ring
 * between them (the owner kicks it out), or out of both. If tail is the same before and after, no
 * goroutine entered the ring in between, so what was not in runnext was not anywhere. (The owner
 * that takes the newest moves it down, but only from above the half.) The loads keep their order by
 * being acquires; those of tail and runnext pair with the stores in runqput and runqput_next.
 * ownnext is not empty while its goroutine moves to the ring, but has the next one already.
 */
bool runqempty(const struct p *pp)
{
	for (;;) {
		uint32_t h = (uint32_t)load_acq_u64(&pp->runqhead);
		uint32_t t = load_acq_u32(&pp->runqtail);
		const struct g *next = load_acq_ptr(&pp->runnext);
		const struct g *own = load_acq_ptr(&pp->ownnext);

		if (t == load_acq_u32(&pp->runqtail))
			return h == t && !next && !own;
	}
}

uint32_t runqlen(const struct p *pp)
{
	/* head before tail, or n could be negative */
	uint32_t h = (uint32_t)load_acq_u64(&pp->runqhead);
	uint32_t n = load_acq_u32(&pp->runqtail) - h;

	return (n > RUNQ_SIZE ? RUNQ_SIZE : n) + (load_rlx_ptr(&pp->runnext) != NULL) +
	       (load_rlx_ptr(&pp->ownnext) != NULL);
}

void runqputall(struct p *pp, struct gqueue *q)
{
	for (struct g *gp; (gp = gqueue_pop(q)) != NULL;)
		runqput(pp, gp);
}

void runqdrain(struct p *pp, struct gqueue *q)
{
	bool inherit;

	for (struct g *gp; (gp = runqget(pp, true, &inherit)) != NULL;)
		gqueue_push(q, gp);
}
