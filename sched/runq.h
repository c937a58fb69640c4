/* SPDX-License-Identifier: MIT */
/*
 * A P's run queue: runnext, then a ring of 256; and the way to the global queue.
 * The owner is the M that owns the P (or whoever holds the P still); thieves are other Ms.
 */
#ifndef URGE_SCHED_RUNQ_H
#define URGE_SCHED_RUNQ_H

#include "sched/runtime2.h"

static inline struct g *slot_load(const struct p *pp, uint32_t i)
{
	return (struct g *)load_rlx_ptr(&pp->runq[i % RUNQ_SIZE]);
}

static inline void slot_store(struct p *pp, uint32_t i, struct g *gp)
{
	store_rlx_ptr(&pp->runq[i % RUNQ_SIZE], gp);
}

/*
 * The head's word when n more have been taken. (A carry out of the low half counts as another
 * epoch: the word only grows, so no value of it ever comes back.)
 */
static inline uint64_t head_moved(uint64_t head, uint32_t n)
{
	return head + n;
}

/*
 * Owner. Whether nobody else can take from pp's ring, since there is no other P: then it needs no
 * atomic instructions. See runq.c.
 */
static inline bool runq_alone(struct p *pp)
{
	uint32_t sharing = load_acq_u32(&sched.sharing); /* pairs with store_rel in p_counts */

	if (sharing % 2 == 0)
		return true;
	if (unlikely(load_rlx_u32(&pp->sharing) != sharing))
		store_rel_u32(&pp->sharing, sharing); /* pairs with load_acq in is_shared */
	return false;
}

/*
 * The ring of pp, whose head and tail were these, is full: half of it and gp go to the global
 * queue. False: a thief made room meanwhile.
 */
bool runqputslow(struct p *pp, struct g *gp, uint64_t head, uint32_t t);

/* Owner. Makes gp runnable on pp, at the tail. A full ring gives half of it to the global queue. */
static inline void runqput(struct p *pp, struct g *gp)
{
	for (;;) {
		uint64_t head = load_acq_u64(&pp->runqhead); /* pairs with the CAS of consumers */
		uint32_t t = load_rlx_u32(&pp->runqtail);

		if (likely(t - (uint32_t)head < RUNQ_SIZE)) {
			slot_store(pp, t, gp);
			store_rel_u32(&pp->runqtail, t + 1); /* pairs with load_acq in runqgrab */
			return;
		}
		if (runqputslow(pp, gp, head, t))
			return;
	}
}

/*
 * Owner. Makes gp the next one; a former next one moves to the tail.
 *
 * Where there is one P the next one is kept in ownnext, which the owner alone changes. When more Ps
 * come meanwhile it can't be stolen, but is seen by all that ask whether somebody waits: it runs
 * after a time slice at most.
 */
static inline void runqput_next(struct p *pp, struct g *gp)
{
	struct g *old = NULL;

	if (runq_alone(pp)) {
		old = (struct g *)load_rlx_ptr(&pp->ownnext);
		store_rlx_ptr(&pp->ownnext, gp);
	} else if (!load_rlx_ptr(&pp->runnext)) { /* and only the owner changes that */
		store_rel_ptr(&pp->runnext, gp);  /* pairs with the CAS of consumers */
	} else {
		old = (struct g *)xchg_ptr(&pp->runnext, gp);
	}
	if (old)
		runqput(pp, old);
}

/*
 * A long queue's goroutines have gone cold: a header, a page, a few lines of stack, each a miss. So
 * they are fetched while the ones before them run: the header two places ahead, and with it known,
 * one place ahead, the stack around its stack pointer.
 */
static inline void runq_prefetch(const struct p *pp, uint32_t h, uint32_t t)
{
	uintptr_t sp;

	if (t - h <= 3 || IS_ENABLED(CONFIG_TSAN)) /* a thief may have them: it is but a guess */
		return;
	__builtin_prefetch(slot_load(pp, h + 3), 1);
	sp = (uintptr_t)slot_load(pp, h + 1)->ctx.sp;
	for (uintptr_t line = sp - 3 * CACHE_LINE; line != sp + 2 * CACHE_LINE; line += CACHE_LINE)
		__builtin_prefetch((const void *)line, 1);
}

/*
 * Owner. The newest in the ring, if it has not run yet; NULL if it has, or if somebody moved the
 * head meanwhile.
 */
static inline struct g *runqget_newest(struct p *pp, bool alone, uint64_t head, uint32_t t)
{
	struct g *gp = slot_load(pp, t - 1);

	/* a thief may have it by now, and run it or spawn another in it: then the CAS fails */
	if (!__atomic_load_n(&gp->fresh, __ATOMIC_RELAXED))
		return NULL;
	store_rel_u32(&pp->runqtail,
		      t - 1); /* before the CAS: a thief that sees its epoch sees this */
	if (alone || cas_u64(&pp->runqhead, head, head + (UINT64_C(1) << 32)))
		return gp;
	store_rel_u32(&pp->runqtail, t); /* pairs with load_acq in runqgrab */
	return NULL;
}

/* Owner: moves the head over the oldest one; false: somebody was faster. */
static inline bool runq_advance(struct p *pp, bool alone, uint64_t head)
{
	if (alone) {
		store_rel_u64(&pp->runqhead,
			      head_moved(head, 1)); /* pairs with load_acq in runqgrab */
		return true;
	}
	return cas_u64(&pp->runqhead, head, head_moved(head, 1));
}

/*
 * Owner. The next goroutine, NULL if there is none. *inherit is set when it came from runnext: it
 * then runs in what is left of the time slice, so that two that ready each other cannot starve
 * the ring. With oldest the ring's oldest is taken even if runq.c's rule says the newest.
 */
static inline __attribute__((always_inline)) struct g *runqget(struct p *pp, bool oldest,
							       bool *inherit)
{
	struct g *next = (struct g *)load_rlx_ptr(&pp->ownnext);
	bool alone = runq_alone(pp);

	if (next) {
		store_rlx_ptr(&pp->ownnext, NULL);
		*inherit = true;
		return next;
	}
	next = (struct g *)load_rlx_ptr(&pp->runnext);
	/* Only the owner sets runnext, so a CAS that fails means that a thief took it. */
	if (next && cas_ptr(&pp->runnext, next, NULL)) {
		*inherit = true;
		return next;
	}
	*inherit = false;
	for (;;) {
		uint64_t head = load_acq_u64(&pp->runqhead); /* pairs with the CAS of thieves */
		uint32_t h = (uint32_t)head, t = load_rlx_u32(&pp->runqtail);
		struct g *gp;

		if (t == h)
			return NULL;
		if (unlikely(t - h > RUNQ_SIZE / 2) && !oldest) {
			gp = runqget_newest(pp, alone, head, t);
			if (gp)
				return gp;
		}
		gp = slot_load(pp, h);
		if (likely(runq_advance(pp, alone, head))) {
			runq_prefetch(pp, h, t);
			return gp;
		}
	}
}

/* Owner: all of q to the tail, in order. */
void runqputall(struct p *pp, struct gqueue *q);

/* Thief, owner of pp: moves half of victim's ring to pp and returns one of them, NULL if none. */
struct g *runqsteal(struct p *pp, struct p *victim, bool runnext_too);

/* Anybody: nothing in the ring nor in runnext, at one instant during the call. */
bool runqempty(const struct p *pp);

/* Anybody: how many, about. */
uint32_t runqlen(const struct p *pp);

/* Owner: everything, in order, into q. */
void runqdrain(struct p *pp, struct gqueue *q);

#endif
