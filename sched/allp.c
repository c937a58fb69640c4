/* SPDX-License-Identifier: MIT */
/*
 * The set of Ps, for readers that take no lock.
 *
 * A snapshot {n, Ps} is never changed. procresize makes another one and publishes it; the old one
 * is freed when every thread that may have read it is through: by RCU.
 *
 *	reader					procresize
 *	rcu_lock				new: filled in
 *	allp -> old or new			allp = new
 *	looks at the Ps				old to the reclaimer: rcu_synchronize, free
 *	rcu_unlock
 *
 * Impossible: that a reader still looks at a snapshot which is freed; that a reader which sees work
 * in a P that is new finds a snapshot without it, since a P is published before anybody may own it.
 *
 * What a reader sees may be out of date, and does no harm: Ps are type-stable, a dead one's queue
 * is empty. A P that is to go stays in the snapshots (behind n) until it is dead and its timers
 * have moved, so who looks for work or timers misses none. sysmon, which looks at such Ps until they
 * are gone, drops them then (procs_trim).
 *
 * Not in the snapshot: masks of idle Ps and of Ps with timers. They change while a snapshot lives,
 * and a bit that is set in an old one would be lost in the new one; Go copies them while the world
 * stands still. A P's status, queue and earliest timer say the same.
 *
 * Grace periods. A read section is short and never contains a switch, so tight loops on every P do
 * not keep one from ending; only the program's own readers can. Nobody waits for one but the
 * reclaimer, a thread that nobody waits for. It is our own, not liburcu's call_rcu: a boot without
 * threads is -EAGAIN then and no abort, no thread is left when urge_main has returned, and any
 * thread may retire a snapshot, registered or not.
 *
 * In a fork's child there is no RCU (kernelshim/rcu.h). There snapshots are kept, and used again for the
 * same n: all list the Ps in the order in which they were made.
 *
 * Threads of the program's do not read snapshots (they are not registered, and to register is the
 * program's business); what they call goes over for_each_p.
 */
#include "sched/allp.h"

#include "kernelshim/clock.h"
#include "kernelshim/futex.h"
#include "kernelshim/thread.h"
#include "kernelshim/vm.h"
#include "sched/sysmon.h"

#include <errno.h>

#define STOP_WAIT_NS INT64_C(50000000)
#define RECLAIM_DELAY INT64_C(20000000)
#define RETIRED_MAX 256 /* then the reclaimer is woken at once */

struct atomic_ptr allp;

static struct atomic_ptr first_p;
static struct p *last_p; /* whoever appends */

static struct {
	struct atomic_u32 alive;
	struct atomic_ptr retired; /* those whose readers may not be through, by retired */
	struct atomic_u32 work;    /* futex: counts what was retired, and stops */
	struct atomic_u32 world;   /* counts reclaimers: an older one ends */
	struct atomic_u32 ended;   /* futex: the world whose reclaimer has come to its end */
} reclaimer;

/* procresize_lock: in a fork's child, those that were replaced. */
static struct procs *kept;

/* ---- snapshots ----------------------------------------------------------------------------- */

/*
 * One that was kept, with room for count. A late reader of it may find that it lists fewer or more
 * Ps behind n than it did, those that drain now. NULL: there is none.
 */
static struct procs *take_kept(uint32_t n, uint32_t count)
{
	struct procs **at = &kept, *procs;

	while (*at && ((*at)->n != n || (*at)->room < count))
		at = &(*at)->retired;
	procs = *at;
	if (procs) {
		*at = procs->retired;
		procs->count = count;
	}
	return procs;
}

static struct procs *make(uint32_t n, uint32_t count)
{
	size_t size = round_up(sizeof(struct procs) + count * sizeof(struct p *), vm_page_size());
	struct procs *procs = vm_reserve(size, vm_page_size());
	uint32_t i = 0;

	if (!procs)
		return NULL;
	add_u32(&reclaimer.alive, 1);
	procs->n = n;
	procs->count = procs->room = count;
	procs->size = size;
	for_each_p(pp) {
		if (i == count)
			break;
		procs->p[i++] = pp;
	}
	return procs;
}

struct procs *procs_new(uint32_t n, uint32_t count)
{
	struct procs *procs = take_kept(n, count);

	return procs ? procs : make(n, count);
}

void procs_free(struct procs *procs)
{
	sub_u32(&reclaimer.alive, 1);
	vm_release(procs, procs->size);
}

uint32_t procs_alive(void)
{
	return load_acq_u32(&reclaimer.alive);
}

static void poke(void)
{
	add_u32(&reclaimer.work, 1);
	futex_wake(&reclaimer.work.v, 1);
}

/*
 * Whoever changes GOMAXPROCS does not wake the reclaimer: on a busy machine the woken thread may take
 * his CPU, for milliseconds. sysmon does, a little later, and for many at once.
 */
static void reclaim_later(void)
{
	if (load_rlx_u32(&reclaimer.alive) > RETIRED_MAX)
		poke();
	else
		waitpoint_lower(&sysmon_point, nanotime() + RECLAIM_DELAY);
}

int64_t procs_reclaim_due(int64_t now)
{
	return load_rlx_ptr(&reclaimer.retired) ? now + RECLAIM_DELAY : INT64_MAX;
}

void procs_reclaim_tick(void)
{
	if (load_rlx_ptr(&reclaimer.retired))
		poke();
}

void procs_publish(struct procs *procs)
{
	struct procs *old = xchg_ptr(&allp, procs); /* pairs with load_acq in procs_begin */

	if (!old)
		return;
	if (rcu_lost) {
		old->retired = kept;
		kept = old;
		return;
	}
	do
		old->retired = load_rlx_ptr(&reclaimer.retired);
	while (!cas_ptr(&reclaimer.retired, old->retired, old));
	reclaim_later();
}

/* ---- all that were ever made --------------------------------------------------------------- */

struct p *p_first(void)
{
	return load_acq_ptr(&first_p); /* pairs with p_append */
}

void p_append(struct p *pp)
{
	/* pairs with load_acq in p_first and for_each_p */
	store_rel_ptr(last_p ? &last_p->next : &first_p, pp);
	last_p = pp;
}

/* What the parent's threads were at: snapshots to be freed, a P of which only a part has come along. */
void procs_after_fork(void)
{
	int32_t n = 0;

	last_p = NULL;
	for_each_p(pp) {
		if (pp->id != n++ || !pp->timers.heap)
			break;
		last_p = pp;
	}
	store_rlx_ptr(last_p ? &last_p->next : &first_p, NULL);
	store_rlx_ptr(&reclaimer.retired, NULL);
	store_rlx_u32(&reclaimer.alive, procs_current() != NULL);
}

/* ---- the reclaimer ------------------------------------------------------------------------- */

void *reclaimer_prepare(void)
{
	return (void *)(uintptr_t)add_u32(&reclaimer.world, 1);
}

/* Frees all that were retired before the call. */
static void reclaim(void)
{
	struct procs *procs = xchg_ptr(&reclaimer.retired, NULL);

	if (!procs)
		return;
	rcu_synchronize();
	while (procs) {
		struct procs *next = procs->retired;

		procs_free(procs);
		procs = next;
	}
}

void *reclaimer_main(void *arg)
{
	uint32_t world = (uint32_t)(uintptr_t)arg, work;

	thread_set_name("urge-rcu");
	do {
		work = load_acq_u32(&reclaimer.work); /* pairs with poke */
		reclaim();
		if (load_acq_u32(&reclaimer.world) == world)
			futex_wait(&reclaimer.work.v, work, -1);
	} while (load_acq_u32(&reclaimer.world) == world);
	store_rel_u32(&reclaimer.ended, world); /* pairs with load_acq in reclaimer_stop */
	futex_wake(&reclaimer.ended.v, 1);
	return NULL;
}

bool reclaimer_stop(void)
{
	int64_t deadline = nanotime() + STOP_WAIT_NS;
	uint32_t world = load_rlx_u32(&reclaimer.world), ended;

	add_u32(&reclaimer.world, 1);
	poke();
	while ((ended = load_acq_u32(&reclaimer.ended)) != world) /* pairs with reclaimer_main */
		if (futex_wait(&reclaimer.ended.v, ended, deadline) == -ETIMEDOUT)
			return load_acq_u32(&reclaimer.ended) == world;
	return true;
}
