/* SPDX-License-Identifier: MIT */
/*
 * Where an M without work looks for some, in this order: timers and descriptors that are due, a hog
 * whose turn it is, at every 61st tick the global queue; the P's own queue; the global one;
 * descriptors; other Ps' queues; queues of other nodes; hogs. If there is nothing it gives its P
 * up, looks once more (see proc.c for why), and waits: one M in netpoll, the others for somebody
 * who wakes them.
 */
#define URGE_KEEP_ERRNO
#include "sched/findrunnable.h"

#include "kernelshim/clock.h"
#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/globq.h"
#include "sched/gqueue.h"
#include "sched/hog.h"
#include "sched/lock.h"
#include "sched/lockedm.h"
#include "sched/m.h"
#include "sched/netpoll.h"
#include "sched/node.h"
#include "sched/p.h"
#include "sched/polldesc.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/sysmon.h"
#include "sched/template.h"
#include "sched/time.h"

enum { STEAL_ROUNDS = 4 };

/* ---- spinning ------------------------------------------------------------------------------ */

/*
 * It found work: the next one may spin, if there is more. Whoever submitted work while this one
 * spun has woken nobody, nor told sysmon, since a P was idle then; after the barrier that work can
 * be seen. If no P is idle any more it is enough that sysmon watches: it lowers sysmon_watching
 * before a membarrier and a last look, so it sees that work at the end of a slice at the latest. (A
 * look here would be a membarrier for each turn of loops, and for each waiter of a contended mutex.
 * Go starts the next one unseen: a thread woken in vain for each timer; its sysmon needs not be
 * told.)
 *
 * Where there is one P only the global queue can have been used, and its unlock is a full barrier,
 * as the change of nmspinning here is: so what was submitted is seen at once, and else sysmon need
 * not wake up for each timer.
 */
static void resetspinning(struct m *mp)
{
	mp->spinning = false;
	sub_u32(&sched.nmspinning, 1);
	if (load_rlx_u32(&sched.npidle) != 0)
		idle_p_look();
	else if (load_rlx_i32(&sched.gomaxprocs) == 1 && globqsize() > 0)
		sysmon_watch(WATCH_ALL);
	else if (load_rlx_i32(&sched.gomaxprocs) > 1 && load_rlx_u32(&sysmon_watching) == 0)
		sysmon_watch(WATCH_HOGS);
}

static inline void become_spinning(struct m *mp)
{
	mp->spinning = true;
	add_u32(&sched.nmspinning, 1);
}

/*
 * Looks into every other P's queue, each once a round, from a random one in random strides; those
 * of other nodes in the later rounds only (numa/placement.c). In the last round timers are run too,
 * and runnext is not spared. *again: timers ran, so look at the own queue.
 */
static struct g *steal_from(const struct procs *procs, struct m *mp, bool *again)
{
	struct p *pp = mp->p;
	uint32_t n = procs->count; /* draining ones too: their owners may not come for long */

	for (int round = 0; round < STEAL_ROUNDS; round++) {
		static const enum numa_reach reach[STEAL_ROUNDS] = { NUMA_LOCAL, NUMA_LOCAL,
								     NUMA_SOME, NUMA_ALL };
		const uint32_t random[2] = { mrand(mp), mrand(mp) };
		bool last = round == STEAL_ROUNDS - 1;
		struct numa_walk walk;

		numa_walk_begin(&walk, &placement, &topology.node[pp->node], n, reach[round],
				random);
		for (int at; (at = numa_walk_next(&walk)) >= 0;) {
			struct p *victim = procs->p[at];
			struct g *gp;

			if (load_rlx_u32(&pp->attn)) {
				*again = true;
				return NULL;
			}
			if (victim == pp)
				continue;
			if (last && timers_run(victim, nanotime()) > 0) {
				*again = true; /* and the own ring is no longer empty */
				return NULL;
			}
			gp = runqsteal(pp, victim, last);
			if (gp)
				return gp;
		}
	}
	return NULL;
}

static struct g *stealwork(struct m *mp, bool *again)
{
	struct g *gp = steal_from(procs_begin(), mp, again);

	procs_end();
	return gp;
}

/* ---- looking ------------------------------------------------------------------------------- */

/*
 * Goroutines that move from the global queue into a ring pass a last look that has read the ring
 * and not yet the global queue: so who moves them wakes somebody for them, as a submitter does.
 */
static struct g *take_global(struct p *pp, uint32_t node, uint32_t max)
{
	struct g *gp;

	if (load_rlx_u32(&sched.globq[node].size) == 0)
		return NULL;
	lock(&sched.lock);
	gp = globrunqget(pp, node, max);
	unlock(&sched.lock);
	if (max > 1 && !runqempty(pp))
		wakep();
	return gp;
}

/* Those at home on other nodes go there, if a P is idle there, or if they have asked for it. */
static void send_home(const struct p *pp, struct gqueue *q)
{
	struct gqueue others = { NULL, NULL };

	for (struct g *gp; (gp = gqueue_pop(q)) != NULL;)
		if (gp->node == pp->node || !node_ready(gp, gp->attr & GATTR_NODE))
			gqueue_push(&others, gp);
	*q = others;
}

/* Looks at the descriptors; those whom an event readied come behind the own ring. */
static bool poll_descriptors(struct p *pp, int64_t now)
{
	struct gqueue q = { NULL, NULL };
	uint32_t n = netpoll_look(now, &q);

	if (many_nodes())
		send_home(pp, &q);
	runqputall(pp, &q);
	if (n > 1)
		wakep();
	return n > 0;
}

/*
 * The node whose queue comes first at a tick: mostly the own one, one time in four a random one, so
 * that a queue is served whose node has no Ps any more, or only Ps that never come to it.
 */
static uint32_t node_at_tick(struct m *mp)
{
	if (!many_nodes() || mrand(mp) % 4 != 0)
		return mp->p->node;
	return mrand(mp) % sched.nnodes;
}

/* The queues of other nodes, nearest first. */
static struct g *take_remote(struct p *pp)
{
	struct g *gp = NULL;

	for (uint32_t i = 1; i < sched.nnodes && !gp; i++)
		gp = take_global(pp, topology.node[pp->node].near[i], RUNQ_SIZE);
	return gp;
}

/* Everything that needs the P but not sched.lock. *again: start over. */
static struct g *look_around(struct m *mp, struct found *found, bool *again)
{
	struct p *pp = mp->p;
	int64_t now = nanotime();
	struct g *gp;

	*found = (struct found){ .now = now };
	timers_run(pp, now);
	if (unlikely(netpoll_due(now)))
		poll_descriptors(pp, now);
	gp = hog_due(pp, now);
	if (gp)
		return gp;
	if (load_rlx_u64(&pp->schedtick) - pp->globtick >= GLOBAL_TICK) {
		pp->globtick = load_rlx_u64(&pp->schedtick);
		gp = take_global(pp, node_at_tick(mp), 1);
		if (gp)
			return gp;
	}
	gp = runqget(pp, true, &found->inherit);
	if (gp)
		return gp;
	gp = take_global(pp, pp->node, RUNQ_SIZE);
	if (gp)
		return gp;
	if (netpoll_wanted() && poll_descriptors(pp, now))
		return runqget(pp, true, &found->inherit);
	/* at most half of the busy Ps' number of Ms spin */
	if (mp->spinning ||
	    2 * load_rlx_u32(&sched.nmspinning) <
		    (uint32_t)load_rlx_i32(&sched.gomaxprocs) - load_rlx_u32(&sched.npidle)) {
		if (!mp->spinning)
			become_spinning(mp);
		gp = stealwork(mp, again);
		found->now = nanotime(); /* that may have taken long */
		if (gp || *again)
			return gp;
	}
	gp = many_nodes() ? take_remote(pp) : NULL;
	return gp ? gp : hog_get(pp);
}

/* ---- waiting ------------------------------------------------------------------------------- */

/* Gives the P up; false: it is wanted for something else. */
static bool give_up_p(struct m *mp)
{
	bool idle;

	lock(&sched.lock);
	idle = load_rlx_u32(&mp->p->attn) == 0;
	if (idle)
		pidleput(releasep(mp));
	unlock(&sched.lock);
	return idle;
}

/* An idle P for the calling M, which has none. */
static bool acquire_idle_p(struct m *mp)
{
	struct p *pp;

	lock(&sched.lock);
	pp = pidleget(mp->node);
	unlock(&sched.lock);
	if (pp)
		acquirep(mp, pp);
	return pp != NULL;
}

/*
 * The last look of an M that has given up its P, whether it spun or not: a submitter that saw no
 * idle P relies on it as well. True: it has a P again, and spins.
 */
static bool last_look(struct m *mp)
{
	if (mp->spinning) {
		mp->spinning = false;
		sub_u32(&sched.nmspinning, 1);
	}
	mb_rare(); /* pairs with mb_frequent in wakep */
	if (!anyone_waits() || !acquire_idle_p(mp))
		return false;
	timers_cover(timers_earliest()); /* it may have got another P, and the first has timers */
	become_spinning(mp);
	return true;
}

/*
 * Waits for the next timer and for descriptors, if nobody else does. True: start over, perhaps with
 * a P, else without.
 */
static bool wait_in_netpoll(struct m *mp)
{
	struct gqueue q = { NULL, NULL };
	int64_t when = timers_earliest();
	uint32_t n;

	if (when == INT64_MAX && pollwaiters() == 0) {
		if (netpoll_sleeps()) /* in vain: it would keep a deadlock from being seen */
			waitpoint_kick(&netpoll_point);
		return false;
	}
	if (!netpoll_claim()) {
		timers_cover(when);
		return false;
	}
	n = netpoll_sleep(when, &q);
	if (acquire_idle_p(mp)) {
		become_spinning(mp); /* it looks for work: what it readies needs no other M */
		runqputall(mp->p, &q);
	} else if (n > 0) {
		injectglist(&q, n);
	}
	timers_after_netpoll(nanotime());
	return mp->p != NULL;
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* An M that runs one goroutine only: that one is the next of its P already, back from a call. */
static bool take_own(struct m *mp)
{
	struct p *pp = mp->p;

	return load_rlx_u32(&pp->attn) == 0 && load_rlx_ptr(&pp->runnext) == mp->lockedg &&
	       cas_ptr(&pp->runnext, mp->lockedg, NULL);
}

/* For an M that runs one goroutine only; NULL: the thread is to end. */
static struct g *find_locked(struct m *mp, struct found *found)
{
	found->inherit = mp->p && take_own(mp);
	if (!found->inherit && !stoplockedm(mp))
		return NULL;
	found->now = nanotime();
	return mp->lockedg;
}

/* For an M whose P is wanted for something else; false: the thread is to end. */
static bool heed_attn(struct m *mp)
{
	uint32_t attn = load_rlx_u32(&mp->p->attn);

	if (attn & PATTN_EXIT)
		return false;
	if (attn & PATTN_STOP)
		gcstopm(mp);
	else if (attn)
		pdrain(mp);
	return true;
}

struct g *findrunnable(struct m *mp, struct found *found)
{
	for (;;) {
		bool again = false;
		struct g *gp = mp->nextg;

		if (unlikely(gp)) {
			mp->nextg = NULL;
			startlockedm(mp, gp);
		}
		if (unlikely(mp->ends)) {
			handoffp(releasep(mp));
			return NULL;
		}
		if (unlikely(mp->lockedg))
			return find_locked(mp, found);
		if (!mp->p) {
			if (load_rlx_u32(&mp->attn) & MATTN_ENDED || !template_spare(mp))
				return NULL; /* a stray, that came home to another world; or the end */
			continue;
		}
		if (unlikely(load_rlx_u32(&mp->p->attn))) {
			if (!heed_attn(mp))
				return NULL;
			continue;
		}
		gp = look_around(mp, found, &again);
		if (gp && mp->spinning)
			resetspinning(mp);
		if (gp && unlikely(gp->bound)) {
			startlockedm(mp, gp);
			continue;
		}
		if (gp)
			return gp;
		if (again)
			continue;
		if (!give_up_p(mp))
			continue;
		if (last_look(mp))
			continue;
		if (!wait_in_netpoll(mp))
			if (!stopm(mp))
				return NULL;
	}
}
