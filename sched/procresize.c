/* SPDX-License-Identifier: MIT */
/*
 * GOMAXPROCS: a change stops nobody.
 *
 *	grow					shrink
 *	1. make the Ps that never were		1. gomaxprocs = n; mark those above it PATTN_DRAIN
 *	2. publish them (allp.c)		2. bury those that are idle, and, by a CAS, those in
 *	3. gomaxprocs = n; into the idle	   system calls; ask the owners of the others
 *	   list, or no longer marked		3. publish what is left (allp.c)
 *	4. sysmon wakes threads for them	4. sysmon signals those owners, until they have come
 *
 * The owner of a marked P gives it up when it next comes through findrunnable (pdrain); one in a
 * system call is given up by whoever wins its CAS, one that a stop of the world has counted by the
 * start. Whoever buries it gives its goroutines to the global queue and its timers to P 0. A thread
 * that asks for a change does not wait for that.
 *
 *	entersyscall				shrink
 *	status = Psyscall			attn |= DRAIN
 *	smp_mb					smp_mb
 *	attn? then give it up			cas(status, Psyscall, Pdead)
 *
 * Impossible: that both miss the other, and a P above GOMAXPROCS stays with a call that never
 * returns. A goroutine that is on no P, in a preempted system call say, needs nothing here: it
 * takes any P when it comes back. tests/model/resize.pml and syscall.pml are the models.
 *
 * The caller makes no system call, unless memory is wanted or sysmon sleeps for long, and then one:
 * to have sysmon look (sysmon_resized). Threads are woken and signalled by sysmon, a few
 * microseconds after the call. With more threads than CPUs a thread that wakes another one often
 * loses its CPU to it, and signals and membarriers are points at which the kernel takes it, too:
 * the call was then 0.4 to 20 ms long, of which 15 us were its own. Whoever makes a goroutine ready
 * in between wakes a thread for a new P as well (wakep). Work that is queued when the Ps become
 * idle is found by sysmon: by its look, or by the second one, behind a barrier that pairs with the
 * submitter's.
 *
 * Rejected: to stop the world, as Go does: everybody waits for the last tight loop, milliseconds to
 * seconds; and to wait here until the last P is dead, which a goroutine in a long call can delay at
 * will.
 */
#include "sched/procresize.h"

#include "kernelshim/vm.h"
#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/exit.h"
#include "sched/lock.h"
#include "sched/maxprocs.h"
#include "sched/node.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/sysmon.h"
#include "sched/time.h"
#include "sched/trace.h"

#include <errno.h>
#include <string.h>

static struct mutex procresize_lock = MUTEX_INIT(RANK_PROCRESIZE);

/* ---- making -------------------------------------------------------------------------------- */

/* A P that has never been, dead. */
static int pmake(int id)
{
	size_t size = round_up(sizeof(struct p), vm_page_size());
	struct p *pp = vm_reserve(size, vm_page_size());

	if (!pp)
		return -ENOMEM;
	node_home(pp, id, true);
	pp->id = id;
	store_rlx_u32(&pp->status, Pdead);
	if (timers_init(&pp->timers, id == 0 ? RANK_TIMERS_P0 : RANK_TIMERS)) {
		vm_release(pp, size);
		return -ENOMEM;
	}
	p_append(pp);
	return 0;
}

static int pmake_all(int n)
{
	int err = 0;

	while ((int)p_made() < n && !err)
		err = pmake((int)p_made());
	return err;
}

/* ---- changing ------------------------------------------------------------------------------ */

/* It is dead, and nobody has to look after its timers. */
static bool is_gone(const struct p *pp)
{
	return load_acq_u32(&pp->status) == Pdead && load_acq_i64(&pp->timers.minwhen) == INT64_MAX;
}

/* How many of the snapshot's Ps readers have to see. */
static uint32_t still_there(const struct procs *procs)
{
	uint32_t count = procs->count, n = (uint32_t)load_rlx_i32(&sched.gomaxprocs);

	while (count > n && is_gone(procs->p[count - 1]))
		count--;
	return count;
}

static void pgrow(struct p *pp)
{
	assert_held(&sched.lock);
	if (load_rlx_u32(&pp->status) == Pdead)
		p_counts(1);
	if (load_rlx_u32(&pp->status) == Pdead && world_stopping()) {
		or_u32(&pp->attn, PATTN_STOP); /* it stands still with the others */
		store_rel_u32(&pp->status, Pgcstop);
	} else if (load_rlx_u32(&pp->status) == Pdead) {
		pidleput(pp);
	} else { /* it was draining, and its owner had not come to it yet */
		and_u32(&pp->attn, ~(uint32_t)PATTN_DRAIN);
	}
}

static int grow(int n)
{
	const struct procs *old = procs_current();
	uint32_t count = old->count > (uint32_t)n ? old->count : (uint32_t)n;
	const struct m *mp = getm();
	struct procs *procs;
	bool exiting;
	int err = pmake_all(n);

	if (err)
		return err;
	procs = procs_new((uint32_t)n, count);
	if (!procs)
		return -ENOMEM;
	procs_publish(procs);
	lock(&sched.lock);
	exiting = world_exiting(); /* else world_end is going to mark what we make here */
	if (!exiting) {
		int from = load_rlx_i32(&sched.gomaxprocs);

		store_rel_i32(&sched.gomaxprocs, n);
		for (int i = from; i < n; i++)
			pgrow(procs->p[i]);
	}
	unlock(&sched.lock);
	if (exiting)
		return -EPERM;
	if (mp && mp->p)
		runq_alone(mp->p); /* others may steal from it from now on */
	if (load_rlx_u32(&sched.npidle) > 0)
		sysmon_resized();
	return 0;
}

/* Those above n that nobody runs die; the others are marked. */
static void pshrink(const struct procs *procs, int n)
{
	lock(&sched.lock);
	store_rel_i32(&sched.gomaxprocs, n);
	for (uint32_t i = (uint32_t)n; i < procs->n; i++)
		or_u32(&procs->p[i]->attn, PATTN_DRAIN);
	pidle_bury(n);
	smp_mb(); /* pairs with smp_mb in entersyscall */
	for (uint32_t i = (uint32_t)n; i < procs->n; i++) {
		struct p *pp = procs->p[i];

		/* (a stop has counted it, and takes it; it dies at the start) */
		if (!world_stopping() && cas_u32(&pp->status, Psyscall, Pdead)) {
			store_rlx_ptr(&pp->m, NULL);
			store_rlx_u32(&pp->syscalltick, load_rlx_u32(&pp->syscalltick) + 1);
			trace_about(pp, TRACE_SYSCALL_HANDOFF, 0, 0);
			pdead(pp);
		}
	}
	unlock(&sched.lock);
}

static int shrink(int n)
{
	const struct procs *old = procs_current();
	struct procs *procs = procs_new((uint32_t)n, old->count);
	const struct m *mp = getm();
	bool left = false;

	if (!procs)
		return -ENOMEM;
	pshrink(old, n);
	for (uint32_t i = (uint32_t)n; i < old->n; i++) {
		struct p *pp = old->p[i];

		if (load_acq_u32(&pp->status) == Pdead) {
			timers_move(pp);
			continue;
		}
		left = true;
		if (!mp || pp != mp->p) /* the caller goes on until its slice is over */
			preempt_ask(pp);
	}
	procs->count = still_there(procs);
	procs_publish(procs);
	if (left)
		sysmon_resized();
	return 0;
}

int procresize(int n, enum maxprocs_mode by)
{
	int err = 0, old;

	if (n > CONFIG_MAX_PROCS)
		return -EINVAL;
	if (by == MAXPROCS_FIXED)
		lock(&procresize_lock);
	else if (!trylock(&procresize_lock)) /* sysmon waits for nobody; the other call wins */
		return -EBUSY;
	old = load_rlx_i32(&sched.gomaxprocs);
	if (by != MAXPROCS_FIXED && load_rlx_u32(&maxprocs_mode) != by)
		err = -EBUSY;
	else if (n != old)
		err = n > old ? grow(n) : shrink(n);
	if (!err) {
		store_rlx_u32(&maxprocs_mode, by);
		trace_about(NULL, TRACE_GOMAXPROCS, 0, (uint64_t)n);
	}
	unlock(&procresize_lock);
	return err ? err : old;
}

void procresize_auto(bool on)
{
	lock(&procresize_lock);
	if (on)
		store_rlx_u32(&maxprocs_mode, MAXPROCS_AUTO);
	else if (load_rlx_u32(&maxprocs_mode) == MAXPROCS_AUTO)
		store_rlx_u32(&maxprocs_mode, MAXPROCS_FIXED);
	unlock(&procresize_lock);
	waitpoint_kick(&sysmon_point);
}

bool procs_trim(void)
{
	const struct procs *old;
	struct procs *procs = NULL;
	uint32_t count;
	bool left;

	if (!trylock(&procresize_lock))
		return true;
	old = procs_current();
	count = still_there(old);
	if (count < old->count)
		procs = procs_new(old->n, count);
	if (procs)
		procs_publish(procs);
	left = procs_current()->count > procs_current()->n;
	unlock(&procresize_lock);
	return left;
}

/* ---- boot and end -------------------------------------------------------------------------- */

int procinit(int n)
{
	int err = pmake_all(n);
	struct procs *procs;

	if (err)
		return err;
	for_each_p(pp)
		node_home(pp, pp->id, false); /* of a former world, which had other nodes */
	procs = procs_new((uint32_t)n, (uint32_t)n);
	if (!procs)
		return -ENOMEM;
	procs_publish(procs);
	lock(&sched.lock);
	store_rel_i32(&sched.gomaxprocs, n);
	p_counts(n);
	for (int i = n - 1; i >= 0; i--)
		pidleput(procs->p[i]);
	unlock(&sched.lock);
	return 0;
}

void procresize_after_fork(void)
{
	mutex_init(&procresize_lock, RANK_PROCRESIZE);
	for_each_p(pp)
		mutex_init(&pp->timers.lock, pp->timers.lock.rank);
	procs_after_fork();
	procreset();
	store_rlx_u32(&maxprocs_mode, MAXPROCS_FIXED);
}

void procreset(void)
{
	procs_fini();
	for_each_p(pp)
		timers_forget(&pp->timers);
	lock(&sched.lock);
	memset(sched.pidle, 0, sizeof(sched.pidle));
	store_rlx_u32(&sched.npidle, 0);
	p_counts(-(int)sched.nplive);
	for_each_p(pp) {
		store_rlx_u64(&pp->runqhead, load_rlx_u32(&pp->runqtail));
		store_rlx_ptr(&pp->runnext, NULL);
		store_rlx_ptr(&pp->ownnext, NULL);
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
		store_rlx_u64(&pp->count.iowaits, 0);
	}
	store_rlx_u64(&sched.spawned_outside, 0);
	store_rlx_u64(&sched.goidgen, 0);
	store_rlx_u32(&sched.nmspinning, 0);
	for (uint32_t node = 0; node < MAX_NODES; node++) {
		sched.hogs[node].q = (struct gqueue){ NULL, NULL };
		store_rlx_u32(&sched.hogs[node].size, 0);
	}
	memset(sched.globq, 0, sizeof(sched.globq));
	unlock(&sched.lock);
}
