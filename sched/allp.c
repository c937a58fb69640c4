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
 * have moved, so who looks for work or timers misses none. sysmon, which looks at such Ps until
 * they are gone, drops them then (procs_trim).
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
 * All snapshots list the Ps in the order in which they were made, so one whose readers are through
 * becomes the next one by other numbers: a change of GOMAXPROCS maps no memory, unless it is the
 * first to so many Ps. Each system call that it makes is a point at which the kernel may give its
 * CPU to others, for milliseconds where threads are many.
 *
 * In a fork's child there is no RCU (kernelshim/rcu.h): nobody knows when readers are through.
 * There a snapshot is used again for the same n only.
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
#define SPARES_MAX 64   /* what a thousand changes a second need between two grace periods */

struct atomic_ptr allp;

static struct atomic_ptr first_p;
static struct p *last_p; /* whoever appends */

static struct {
	struct atomic_u32 alive;
	struct atomic_ptr retired; /* those whose readers may not be through, by retired */
	struct atomic_ptr through; /* those whose readers are, by retired */
	struct atomic_u32 spares;  /* how many of these there are, with those in spares */
	struct atomic_u32 work;    /* futex: counts what was retired, and stops */
	struct atomic_u32 world;   /* counts reclaimers: an older one ends */
	struct atomic_u32 ended;   /* futex: the world whose reclaimer has come to its end */
} reclaimer;

/* procresize_lock: to be used again. In a fork's child: those that were replaced there. */
static struct procs *spares;

static int64_t reclaim_at; /* sysmon: when it wakes the reclaimer; 0: there was nothing for it */

/* ---- snapshots ----------------------------------------------------------------------------- */

/* n: 0 for any */
static bool fits(const struct procs *procs, uint32_t n, uint32_t count)
{
	return procs->room >= count && (!rcu_lost || n == 0 || procs->n == n);
}

/*
 * One that was used before, or NULL. In a fork's child a late reader of it may find that it lists
 * fewer or more Ps behind n than it did, those that drain now.
 */
static struct procs *take_spare(uint32_t n, uint32_t count)
{
	struct procs **at = &spares, *procs;

	if (!spares)
		spares = xchg_ptr(&reclaimer.through, NULL); /* pairs with the CAS in give_back */
	while ((procs = *at) != NULL && !fits(procs, n, count)) {
		if (rcu_lost) {
			at = &procs->retired;
		} else { /* of a time when there were fewer Ps */
			*at = procs->retired;
			sub_u32(&reclaimer.spares, 1);
			vm_release(procs, procs->size);
		}
	}
	if (!procs)
		return NULL;
	*at = procs->retired;
	if (!rcu_lost) {
		sub_u32(&reclaimer.spares, 1);
		add_u32(&reclaimer.alive, 1);
	}
	return procs;
}

/* With all Ps that were made. */
static struct procs *make(void)
{
	uint32_t room = p_made(), i = 0;
	size_t size = round_up(sizeof(struct procs) + room * sizeof(struct p *), vm_page_size());
	struct procs *procs = vm_reserve(size, vm_page_size());

	if (!procs)
		return NULL;
	add_u32(&reclaimer.alive, 1);
	procs->room = room;
	procs->size = size;
	for_each_p(pp)
		procs->p[i++] = pp;
	return procs;
}

struct procs *procs_new(uint32_t n, uint32_t count)
{
	struct procs *procs = take_spare(n, count);

	if (!procs)
		procs = make();
	if (!procs)
		return NULL;
	procs->n = n;
	procs->count = count;
	return procs;
}

static void procs_free(struct procs *procs)
{
	sub_u32(&reclaimer.alive, 1);
	vm_release(procs, procs->size);
}

void procs_fini(void)
{
	struct procs *procs = xchg_ptr(&allp, NULL);

	if (procs)
		procs_free(procs);
	for (procs = xchg_ptr(&reclaimer.retired, NULL); procs;) { /* pairs with procs_publish */
		struct procs *next = procs->retired;

		procs_free(procs);
		procs = next;
	}
	while ((procs = take_spare(0, 0)) != NULL)
		procs_free(procs);
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
 * Whoever changes GOMAXPROCS does not wake the reclaimer: on a busy machine the woken thread may
 * take his CPU, for milliseconds. sysmon does, a little later, and for many at once.
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
	if (!load_rlx_ptr(&reclaimer.retired))
		return INT64_MAX;
	return reclaim_at ? reclaim_at : now + RECLAIM_DELAY;
}

void procs_reclaim_tick(int64_t now)
{
	int64_t due = procs_reclaim_due(now);

	reclaim_at = due == INT64_MAX || now >= due ? 0 : due;
	if (now >= due)
		poke();
}

void procs_publish(struct procs *procs)
{
	struct procs *old = xchg_ptr(&allp, procs); /* pairs with load_acq in procs_begin */

	if (!old)
		return;
	if (rcu_lost) {
		old->retired = spares;
		spares = old;
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

uint32_t p_made(void)
{
	return last_p ? (uint32_t)last_p->id + 1 : 0;
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
	store_rlx_ptr(&reclaimer.through, NULL);
	spares = NULL;
	store_rlx_u32(&reclaimer.alive, procs_current() != NULL);
}

/* ---- the reclaimer ------------------------------------------------------------------------- */

void *reclaimer_prepare(void)
{
	return (void *)(uintptr_t)add_u32(&reclaimer.world, 1);
}

/* Nobody reads procs any more. */
static void give_back(struct procs *procs)
{
	if (load_rlx_u32(&reclaimer.spares) >= SPARES_MAX) {
		procs_free(procs);
		return;
	}
	sub_u32(&reclaimer.alive, 1);
	add_u32(&reclaimer.spares, 1);
	do
		procs->retired = load_rlx_ptr(&reclaimer.through);
	while (!cas_ptr(&reclaimer.through, procs->retired, procs)); /* pairs with take_spare */
}

/* What was retired before the call can be used again, or is freed. */
static void reclaim(void)
{
	struct procs *procs = xchg_ptr(&reclaimer.retired, NULL);

	if (!procs)
		return;
	rcu_synchronize();
	while (procs) {
		struct procs *next = procs->retired;

		give_back(procs);
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
