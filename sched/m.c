/* SPDX-License-Identifier: MIT */
/*
 * Ms: the life of a thread of the runtime.
 *
 *	made by the template thread -> minit -> spare -> taken by startm -> runs goroutines <-> idle
 *	-> ends when idle for long
 *
 * An M struct is never freed: sysmon, dumps and signal handlers hold pointers to it. generation
 * tells the threads apart that it has had.
 *
 * An M parks on a futex of its own, and is woken by whoever took it off the idle list under
 * sched.lock:
 *
 *	idle M that timed out			startm
 *	lock; still on the list?		lock; take it off the list; unlock
 *	yes: take itself off, unlock, end	nextp = pp; wake
 *	no: it was chosen, so wait for nextp
 */
#define URGE_KEEP_ERRNO
#include "sched/m.h"

#include "kernelshim/clock.h"
#include "kernelshim/futex.h"
#include "kernelshim/rcu.h"
#include "kernelshim/sanitizer.h"
#include "kernelshim/thread.h"
#include "kernelshim/vm.h"
#include "preempt/preempt.h"
#include "sched/boot.h"
#include "sched/env.h"
#include "sched/exit.h"
#include "sched/fatal.h"
#include "sched/lock.h"
#include "sched/lockedm.h"
#include "sched/node.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/sysmon.h"
#include "sched/template.h"
#include "sched/tls.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { MIDLE_LOOKS = 16 };

struct m *allm[CONFIG_MAX_MS];

/* C++'s per-thread exception state; absent in programs without libstdc++. */
extern struct cxa_eh_globals *__cxa_get_globals(void) __attribute__((weak));

/* ---- structs ------------------------------------------------------------------------------- */

struct m *allocm(void)
{
	struct m *mp;
	uint32_t id;

	lock(&sched.lock);
	mp = sched.mfree;
	if (mp)
		sched.mfree = mp->schedlink;
	id = load_rlx_u32(&sched.mcount);
	if (!mp && id < CONFIG_MAX_MS)
		store_rlx_u32(&sched.mcount, id + 1);
	unlock(&sched.lock);
	if (mp || id == CONFIG_MAX_MS)
		return mp;
	mp = vm_reserve(round_up(sizeof(*mp), vm_page_size()), vm_page_size());
	if (mp) {
		mp->id = id;
		__atomic_store_n(&allm[id], mp, __ATOMIC_RELEASE); /* pairs with forEachM */
		return mp;
	}
	lock(&sched.lock); /* the id stays unused, unless it was the last */
	if (load_rlx_u32(&sched.mcount) == id + 1)
		store_rlx_u32(&sched.mcount, id);
	unlock(&sched.lock);
	return NULL;
}

void mfree(struct m *mp)
{
	store_rel_u32(&mp->tid, 0); /* pairs with load_acq in forEachM and in signalM */
	lock(&sched.lock);
	mp->schedlink = sched.mfree;
	sched.mfree = mp;
	unlock(&sched.lock);
}

static void free_of_thread(struct m *mp, uint32_t id)
{
	altstack_forget(&mp->altstack);
	mp->id = id; /* allocm may have been about to write it */
	mp->curg = NULL;
	mp->p = NULL;
	mfree(mp);
}

void m_after_fork(struct m *self)
{
	sched.midle = sched.mfree = NULL;
	sched.nmidle = 0;
	sched.m0 = self;
	for (uint32_t i = 0; i < load_rlx_u32(&sched.mcount); i++)
		if (allm[i] && allm[i] != self)
			free_of_thread(allm[i], i);
	store_rlx_u32(&sched.nmspinning, 0);
	store_rlx_u32(&sched.nrevoked, 0);
	store_rlx_u32(&sched.nmrunning, self != NULL);
	store_rlx_u32(&sched.nthreads, self != NULL);
	if (!self)
		return;
	self->tid_ = (uint32_t)thread_gettid();
	store_rlx_u32(&self->tid, self->tid_);
	store_rlx_u32(&self->preempt, 0);
	store_rlx_u32(&self->abandon, 0);
	store_rlx_u32(&self->park, 0);
	store_rlx_i64(&self->signal_sent, 0); /* signals that were pending are the parent's */
	self->deferrals = 0;
	self->exit_since = 0;
	self->lockranks = 0;
}

void forEachM(void (*each)(struct m *mp, void *arg), void *arg)
{
	uint32_t n = load_rlx_u32(&sched.mcount);

	for (uint32_t i = 0; i < n; i++) {
		struct m *mp = __atomic_load_n(&allm[i], __ATOMIC_ACQUIRE); /* pairs with allocm */

		if (mp && load_acq_u32(&mp->tid) != 0) /* pairs with mfree and minit */
			each(mp, arg);
	}
}

uint32_t mthreads(void)
{
	return load_rlx_u32(&sched.nthreads);
}

/*
 * ASan wants to know the bounds of the stack that a switch goes to, and the search for leaked
 * goroutines what the program has no part in.
 */
static void g0_bounds(struct g *g0)
{
	pthread_attr_t attr;
	void *lo;
	size_t size;

	if (!(IS_ENABLED(CONFIG_ASAN) || debugvars.leaks) ||
	    pthread_getattr_np(pthread_self(), &attr))
		return;
	if (!pthread_attr_getstack(&attr, &lo, &size)) {
		g0->stack_lo = (uintptr_t)lo;
		g0->stack_hi = (uintptr_t)lo + size;
	}
	pthread_attr_destroy(&attr);
}

int minit(struct m *mp, const char *name)
{
	uint32_t id = mp->id;
	uint32_t generation = load_rlx_u32(&mp->generation);
	int err;

	memset(mp, 0, sizeof(*mp));
	mp->id = id;
	mp->node = NUMA_NONE;
	store_rlx_u32(&mp->generation, generation + 1);
	err = altstack_install(&mp->altstack);
	if (err)
		return err;
	mp->locks = 1; /* on g0, until a goroutine leaves the runtime */
	store_rlx_u32(&mp->attn, have_membarrier ? 0 : MATTN_FENCE);
	mp->tid_ = (uint32_t)thread_gettid();
	mp->errno_at = tls_offset(&errno);
	mp->eh_at = __cxa_get_globals ? tls_offset(__cxa_get_globals()) : 0;
	mp->rand = mp->tid_ * 2654435761u | 1;
	mp->g0.tsan_fiber = sanitizer_fiber_self();
	g0_bounds(&mp->g0);
	preempt_minit(mp);
	/* a thread that is cancelled would take a goroutine and a P along */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mp->cancelstate);
	thread_set_timer_slack(1);
	if (name)
		thread_set_name(name);
	rcu_register();
	setm(mp);
	store_rel_u32(&mp->tid, mp->tid_); /* pairs with forEachM */
	return 0;
}

void minit_undo(struct m *mp)
{
	setm(NULL);
	rcu_unregister(); /* before libc runs the destructors of the program's thread-local values */
	altstack_remove(&mp->altstack);
	pthread_setcancelstate(mp->cancelstate, NULL);
}

/* ---- parking ------------------------------------------------------------------------------- */

void mwake(struct m *mp)
{
	store_rel_u32(&mp->park, 1); /* pairs with load_acq in mpark: nextp is set */
	futex_wake(&mp->park.v, 1);
}

bool mpark(struct m *mp, int64_t deadline)
{
	while (load_acq_u32(&mp->park) == 0) /* pairs with mwake */
		if (futex_wait(&mp->park.v, 0, deadline) == -ETIMEDOUT &&
		    load_acq_u32(&mp->park) == 0)
			return false;
	store_rlx_u32(&mp->park, 0);
	return true;
}

void mrunning_less(void)
{
	if (sub_u32(&sched.nmrunning, 1) == 0)
		sysmon_suspect_deadlock();
}

static void mput(struct m *mp)
{
	assert_held(&sched.lock);
	mp->schedlink = sched.midle;
	sched.midle = mp;
	sched.nmidle++;
	mrunning_less();
}

/* The place in the idle list of an M that is on the node; of the first one if none of a few is. */
static struct m **midle_on(uint32_t node)
{
	struct m **at = &sched.midle;

	for (int i = 0; i < MIDLE_LOOKS && *at; i++, at = &(*at)->schedlink)
		if ((*at)->node == node)
			return at;
	return &sched.midle;
}

static struct m *mget(const struct p *pp)
{
	struct m **at = many_nodes() ? midle_on(pp->node) : &sched.midle;
	struct m *mp = *at;

	assert_held(&sched.lock);
	if (mp) {
		*at = mp->schedlink;
		mp->schedlink = NULL;
		sched.nmidle--;
		add_u32(&sched.nmrunning, 1);
	}
	return mp;
}

/*
 * After a time-out: does this thread end? Unless somebody has chosen it meanwhile, or it is the
 * first M, which belongs to urge_main's caller. The next one to be needed is a spare.
 */
static bool mretire(struct m *mp)
{
	struct m **at = &sched.midle;
	bool retire = false;

	lock(&sched.lock);
	if (mp != sched.m0) {
		while (*at && *at != mp)
			at = &(*at)->schedlink;
		if (*at) {
			*at = mp->schedlink;
			sched.nmidle--;
			add_u32(&sched.nmrunning, 1); /* until world_mexit */
			retire = true;
		}
	}
	unlock(&sched.lock);
	return retire;
}

bool stopm(struct m *mp)
{
	store_rlx_u32(&mp->cpu, thread_cpu()); /* it may be made a spare: see adopt_idle */
	lock(&sched.lock);
	if (world_exiting()) {
		unlock(&sched.lock);
		return false;
	}
	mput(mp);
	unlock(&sched.lock);
	if (!mpark(mp, nanotime() + CONFIG_IDLE_M_TIMEOUT_MS * INT64_C(1000000))) {
		if (mretire(mp))
			return false;
		mpark(mp, INT64_MAX); /* chosen, or the first */
	}
	if (!mp->nextp)
		return false; /* mretire_all */
	acquirep(mp, mp->nextp);
	mp->nextp = NULL;
	return true;
}

void startm(struct p *pp, bool spinning)
{
	struct m *mp;

	lock(&sched.lock);
	mp = mget(pp);
	unlock(&sched.lock);
	if (!mp)
		mp = template_take_spare(THREAD_NO_CPU);
	if (!mp && parked_runs(pp)) {
		if (spinning) { /* it does not look for work: somebody else has to */
			sub_u32(&sched.nmspinning, 1);
			idle_p_look();
		}
		return;
	}
	if (!mp) {
		template_want(pp, spinning);
		return;
	}
	mp->spinning = spinning;
	mp->nextp = pp;
	mwake(mp);
}

void mretire_all(void)
{
	struct m *list;

	lock(&sched.lock);
	list = sched.midle;
	sched.midle = NULL;
	add_u32(&sched.nmrunning, sched.nmidle);
	sched.nmidle = 0;
	unlock(&sched.lock);
	while (list) {
		struct m *mp = list;

		list = mp->schedlink;
		mp->schedlink = NULL;
		mp->nextp = NULL;
		mwake(mp);
	}
}
