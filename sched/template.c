/* SPDX-License-Identifier: MIT */
/*
 * The template thread makes all other threads.
 *
 * pthread_create takes libc's locks, and a goroutine that is preempted inside malloc may hold them:
 * an M with a P, sysmon, or a signal handler that called it could wait for that goroutine, which
 * waits for a P. So a thread that owns nothing and that nobody waits for does it, ahead of need: it
 * keeps a few spare Ms parked in slots, which are taken by an exchange, without a lock.
 *
 * A P that finds no spare is put on a list, and goes to the next thread that comes up. When no
 * thread can be made (RLIMIT_NPROC, memory), the waiting Ps become idle and their goroutines go to
 * the global queue: the runtime goes on with the Ms it has, and the template tries again later.
 *
 * It also gives memory back: goroutines and poll descriptors that nobody has needed for a while.
 */
#define URGE_KEEP_ERRNO
#include "sched/template.h"

#include "kernelshim/clock.h"
#include "kernelshim/fault.h"
#include "kernelshim/futex.h"
#include "kernelshim/rcu.h"
#include "kernelshim/thread.h"
#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/boot.h"
#include "sched/exit.h"
#include "sched/fatal.h"
#include "sched/g.h"
#include "sched/gqueue.h"
#include "sched/lock.h"
#include "sched/lockedm.h"
#include "sched/m.h"
#include "sched/node.h"
#include "sched/p.h"
#include "sched/polldesc.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/stack.h"
#include "sched/sysmon.h"
#include "sched/time.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#define RETRY_PERIOD INT64_C(100000000)
#define STARTING_LOOK INT64_C(200000)
/* Of destructors; in the last one TSan gives the thread up. */
#define ROUNDS (PTHREAD_DESTRUCTOR_ITERATIONS - IS_ENABLED(CONFIG_TSAN))
#define ALL_SIGNALS (~(UINT64_C(3) << 31)) /* but glibc's 32 and 33 */

static struct {
	struct mutex lock;
	struct p *wanting;          /* lock: Ps that wait for a thread, by link */
	struct atomic_u32 nwanting; /* lock writes */
	struct atomic_u32 starting; /* threads made that have not come up yet */
	struct atomic_u32 ending;   /* threads in the program's destructors: see thread_ends */
	struct atomic_ptr spares[SPARE_MS];
	struct atomic_u32 failed;  /* a thread came up and could not become an M */
	struct atomic_u32 poke;    /* futex: something to do */
	struct atomic_u32 reclaim; /* free goroutines to look at */
	struct atomic_u32 stop;
	struct atomic_u32 up; /* futex: sysmon, reclaimer and template that run */
	pthread_t thread, sysmon, reclaimer;
} template = { .lock = MUTEX_INIT(RANK_TEMPLATE) };

/* For all worlds, and children: a stray ends in a later world than its own, or in none. */
static struct {
	pthread_key_t key;
	bool made;
} ends;

static void poke(void)
{
	if (xchg_u32(&template.poke, 1) == 0)
		futex_wake(&template.poke.v, 1);
}

int64_t reclaim_period = INT64_C(5000000000);

void template_reclaim(void)
{
	if (load_rlx_u32(&template.reclaim) == 0 && xchg_u32(&template.reclaim, 1) == 0)
		poke();
}

uint32_t template_starting(void)
{
	return load_acq_u32(&template.starting);
}

/* ---- Ms ------------------------------------------------------------------------------------ */

/* How many slots are filled: one for each P and another one, as many as can be needed at once. */
static int slots(void)
{
	int n = load_rlx_i32(&sched.gomaxprocs) + 1;

	return n < SPARE_MS ? n : SPARE_MS;
}

/* The spare thread of a slot, if it began to wait on this CPU; NULL: there is none, or no more. */
static struct m *take_slot(int i, uint32_t cpu)
{
	struct m *mp = load_rlx_ptr(&template.spares[i]);

	if (!mp || (cpu != THREAD_NO_CPU && load_rlx_u32(&mp->cpu) != cpu))
		return NULL;
	return cas_ptr(&template.spares[i], mp, NULL) ? mp : NULL;
}

static struct m *take_spare(uint32_t cpu)
{
	struct m *mp = NULL;

	for (int i = 0; i < SPARE_MS && !mp; i++)
		mp = take_slot(i, cpu);
	return mp;
}

/*
 * The template is told when half of the slots are empty: threads come back to them by themselves
 * when a parked goroutine resumes. (Told each time, it would run before the spare does, on the same
 * CPU: a parking took 5 us longer.)
 */
struct m *template_take_spare(uint32_t cpu)
{
	struct m *taken = take_spare(cpu);
	int left = 0;

	if (!taken && cpu != THREAD_NO_CPU)
		taken = take_spare(THREAD_NO_CPU);
	for (int i = 0; i < SPARE_MS; i++)
		left += load_rlx_ptr(&template.spares[i]) != NULL;
	if (taken)
		add_u32(&sched.nmrunning, 1);
	if (left < (slots() + 1) / 2)
		poke();
	return taken;
}

/* Waits in slot i, where mp has put itself. False: the thread is to end. */
static bool wait_in_slot(struct m *mp, int i)
{
	/* pairs with template_stop: it sweeps the slots after it has set stop */
	if (load_acq_u32(&template.stop) && cas_ptr(&template.spares[i], mp, NULL))
		return false;
	mpark(mp, INT64_MAX);
	if (!mp->nextp)
		return false;
	acquirep(mp, mp->nextp);
	mp->nextp = NULL;
	return true;
}

/* Puts mp, the calling M, into an empty slot. Returns which one, -1: there is none. */
static int enter_slot(struct m *mp)
{
	store_rlx_u32(&mp->cpu, thread_cpu());
	for (int i = 0; i < slots(); i++)
		if (!load_rlx_ptr(&template.spares[i]) && cas_ptr(&template.spares[i], NULL, mp))
			return i;
	return -1;
}

bool template_spare(struct m *mp)
{
	/* the first M belongs to urge_main's caller, who must come out before the slots are swept */
	int slot = mp != sched.m0 ? enter_slot(mp) : -1;

	if (slot < 0)
		return stopm(mp);
	mrunning_less();
	return wait_in_slot(mp, slot);
}

/* Idle Ms fill the slots before new threads are made; they wait for a P like those in a slot. */
static void adopt_idle(void)
{
	for (int i = 0; i < slots(); i++) {
		struct m *mp = NULL;

		if (load_rlx_ptr(&template.spares[i]) || load_acq_u32(&template.stop))
			continue;
		lock(&sched.lock);
		if (sched.midle && sched.midle != sched.m0 &&
		    cas_ptr(&template.spares[i], NULL, sched.midle)) {
			mp = sched.midle;
			sched.midle = mp->schedlink;
			mp->schedlink = NULL;
			sched.nmidle--;
		}
		unlock(&sched.lock);
		if (!mp)
			return;
	}
}

void template_want(struct p *pp, bool spinning)
{
	if (spinning) /* by the time a thread is there others may spin */
		sub_u32(&sched.nmspinning, 1);
	add_u32(&sched.nmrunning, 1);
	lock(&template.lock);
	pp->link = template.wanting;
	template.wanting = pp;
	add_u32(&template.nwanting, 1);
	unlock(&template.lock);
	poke();
}

static struct p *take_wanting(void)
{
	struct p *pp;

	lock(&template.lock);
	pp = template.wanting;
	if (pp) {
		template.wanting = pp->link;
		pp->link = NULL;
		sub_u32(&template.nwanting, 1);
	}
	unlock(&template.lock);
	return pp;
}

void template_serve_parked(void)
{
	while (parkedsize() > 0 && load_rlx_u32(&template.nwanting) > 0) {
		struct p *pp = take_wanting();

		if (!pp)
			return;
		if (!parked_runs(pp))
			startm(pp, false);
		mrunning_less(); /* it had counted a thread to be made */
	}
}

/* A new M finds its place: a waiting P, or a slot, from which it is taken with a P. False: neither. */
static bool place(struct m *mp)
{
	struct p *pp = take_wanting();
	int slot = -1;

	if (pp)
		acquirep(mp, pp);
	else
		slot = enter_slot(mp);
	sub_u32(&template.starting, 1);
	if (slot < 0)
		return pp != NULL;
	idle_p_look(); /* some may have been left without a thread */
	return wait_in_slot(mp, slot);
}

/*
 * Each thread counts itself, so that nthreads is never more than there are: the deadlock verdict
 * takes the difference for threads of the program's own.
 */
static void thread_counts(void)
{
	add_u32(&sched.nthreads, 1);
}

/*
 * The end of an M's thread is in libc, which runs the destructors of what the program has made
 * local to it; what they use may be gone when urge_main has returned, so it waits for them. A
 * thread that has nothing else before it counts itself in template.ending, and out again in such a
 * destructor, of a value that is set again until the last of libc's rounds. In nthreads it is no
 * more: what the program does there may wake somebody. To join the threads was rejected: each M
 * would have to outlive its thread, and somebody to look after the ended ones.
 */
static void thread_ends(void *rounds)
{
	uintptr_t left = (uintptr_t)rounds - 1;

	if (left == 0 || pthread_setspecific(ends.key, (void *)left))
		sub_u32(&template.ending, 1);
}

uint32_t template_ending(void)
{
	return load_acq_u32(&template.ending); /* pairs with sub_u32 in thread_ends */
}

static int ends_init(void)
{
	int err = ends.made ? 0 : pthread_key_create(&ends.key, thread_ends);

	ends.made = err == 0;
	return -err;
}

static void *mstart(void *arg)
{
	struct m *mp = arg;
	uint64_t all = ALL_SIGNALS;
	int err;

	thread_counts();
	err = minit(mp, "urge-m");
	if (err) { /* as if the thread could not have been made */
		store_rlx_u32(&template.failed, 1);
		sub_u32(&template.starting, 1);
		poke();
	} else {
		if (place(mp)) {
			preempt_unblock();
			schedule_loop();
			thread_sigmask(SIG_SETMASK, &all, NULL);
			world_mexit(mp);
		}
		minit_undo(mp);
	}
	mfree(mp);
	add_u32(&template.ending, 1); /* first: exit_wait_for_threads looks at nthreads first */
	sub_u32(&sched.nthreads, 1);
	thread_ends((void *)(uintptr_t)(ROUNDS + 1));
	return NULL;
}

static int thread_new(pthread_t *thread, void *(*fn)(void *), void *arg, bool joinable)
{
	pthread_attr_t attr;
	int err = pthread_attr_init(&attr);

	if (err)
		return -err;
	if (!joinable)
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = fault(FAULT_THREAD) ? EAGAIN : pthread_create(thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return -err;
}

/* Every M has a thread, and there may be no more. */
static bool exhausted(void)
{
	bool none;

	lock(&sched.lock);
	none = load_rlx_u32(&sched.mcount) == CONFIG_MAX_MS && !sched.mfree;
	unlock(&sched.lock);
	return none;
}

/* The template thread. */
static int newm(void)
{
	struct m *mp = allocm();
	pthread_t thread;
	int err;

	if (!mp) {
		if (exhausted() && load_acq_u32(&template.nwanting) > 0)
			fatal_u64("thread exhaustion: more than ", CONFIG_MAX_MS,
				  " threads are needed: too many blocking calls at once "
				  "(Kconfig: MAX_MS)");
		return -EAGAIN;
	}
	add_u32(&template.starting, 1);
	err = thread_new(&thread, mstart, mp, false);
	if (err) {
		sub_u32(&template.starting, 1);
		mfree(mp);
	}
	return err;
}

static uint32_t missing(void)
{
	uint32_t want = load_acq_u32(&template.nwanting);

	for (int i = 0; i < slots(); i++)
		want += !load_rlx_ptr(&template.spares[i]);
	return want;
}

/*
 * No thread is to be had: the Ps that wait for one become idle, and their goroutines everybody's.
 * They are not offered to wakep again before a thread is there to be woken.
 */
static void give_up_wanting(void)
{
	uint32_t given_up = 0;
	struct p *pp;
	bool idle_m;

	while ((pp = take_wanting()) != NULL) {
		retirep(pp);
		given_up++;
	}
	lock(&sched.lock);
	idle_m = sched.midle != NULL;
	unlock(&sched.lock);
	if (idle_m)
		idle_p_look();
	/* only now: until somebody has been woken for their goroutines this is no deadlock */
	while (given_up-- > 0)
		mrunning_less();
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void *template_main(void *unused)
{
	int64_t deadline = INT64_MAX;

	(void)unused;
	thread_counts();
	rcu_register();      /* it looks for work on behalf of Ps that get no thread */
	thread_everywhere(); /* its maker is bound to a node, and so would be those that it makes */
	thread_set_name("urge-template");
	store_rel_u32(&template.up, load_rlx_u32(&template.up) + 1);
	futex_wake(&template.up.v, 1);
	while (!load_acq_u32(&template.stop)) { /* pairs with template_stop */
		int err = xchg_u32(&template.failed, 0) ? -ENOMEM : 0;

		deadline = INT64_MAX;
		adopt_idle();
		while (!err && missing() > load_acq_u32(&template.starting) &&
		       !load_acq_u32(&template.stop))
			err = newm();
		if (err) {
			give_up_wanting();
			deadline = nanotime() + RETRY_PERIOD;
		}
		if (load_rlx_u32(&template.reclaim)) {
			static int64_t next;
			int64_t now = nanotime();
			bool more;

			if (now >= next) {
				/* off first: who frees from here on turns it on again, and pokes */
				xchg_u32(&template.reclaim, 0);
				more = pidle_purge();
				more = gfree_reclaim() || more;
				more = stack_scrub_idle() || more;
				more = pollpages_reclaim() || more;
				if (more)
					store_rlx_u32(&template.reclaim, 1);
				next = now + reclaim_period;
			}
			deadline = next < deadline ? next : deadline;
		}
		futex_wait(&template.poke.v, 0, deadline);
		xchg_u32(&template.poke, 0);
	}
	rcu_unregister();
	return NULL;
}

static void *reclaimer_thread(void *world)
{
	thread_counts();
	store_rel_u32(&template.up, load_rlx_u32(&template.up) + 1);
	futex_wake(&template.up.v, 1);
	return reclaimer_main(world);
}

static void *sysmon_main(void *unused)
{
	struct m *mp = unused;
	int err;

	thread_counts();
	thread_everywhere();
	err = minit(mp, "urge-sysmon");
	store_rel_u32(&template.up, err ? 100 : load_rlx_u32(&template.up) + 1);
	futex_wake(&template.up.v, 1);
	if (!err) {
		sysmon();
		minit_undo(mp);
	}
	mfree(mp);
	return NULL;
}

static void wait_up(uint32_t n)
{
	uint32_t up;

	while ((up = load_acq_u32(&template.up)) < n)
		futex_wait(&template.up.v, up, -1);
}

static void stop_sysmon(void)
{
	sysmon_stop();
	pthread_join(template.sysmon, NULL);
	sub_u32(&sched.nthreads, 1);
}

static void stop_reclaimer(void)
{
	if (reclaimer_stop())
		pthread_join(template.reclaimer, NULL);
	else
		pthread_detach(template.reclaimer);
	sub_u32(&sched.nthreads, 1);
}

static int start_sysmon(void)
{
	struct m *mp = allocm();
	int err;

	if (!mp)
		return -ENOMEM;
	err = thread_new(&template.sysmon, sysmon_main, mp, true);
	if (err) {
		mfree(mp);
		return err;
	}
	wait_up(1);
	if (load_acq_u32(&template.up) < 100)
		return 0;
	pthread_join(template.sysmon, NULL);
	sub_u32(&sched.nthreads, 1);
	return -ENOMEM;
}

static int start_others(void)
{
	int err = thread_new(&template.reclaimer, reclaimer_thread, reclaimer_prepare(), true);

	if (err)
		return err;
	wait_up(2);
	err = thread_new(&template.thread, template_main, NULL, true);
	if (err)
		stop_reclaimer();
	else
		wait_up(3);
	return err;
}

void template_after_fork(void)
{
	memset(&template, 0, sizeof(template));
	mutex_init(&template.lock, RANK_TEMPLATE);
}

int template_start(void)
{
	uint64_t all = ALL_SIGNALS, old;
	int err;

	store_rlx_u32(&template.stop, 0);
	store_rlx_u32(&template.poke, 0);
	store_rlx_u32(&template.up, 0);
	err = ends_init();
	if (err)
		return err;
	thread_sigmask(SIG_SETMASK, &all, &old); /* inherited: they take no signals */
	err = start_sysmon();
	if (!err) {
		err = start_others();
		if (err)
			stop_sysmon();
	}
	thread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

void template_stop(void)
{
	uint32_t starting;

	xchg_u32(&template.stop, 1); /* a full barrier: pairs with load_acq in wait_in_slot */
	poke();
	pthread_join(template.thread, NULL);
	/*
	 * those that it has just made are on their way to a slot, where the sweep below must find
	 * them
	 */
	while ((starting = load_acq_u32(&template.starting)) != 0) /* pairs with sub_u32 in place */
		futex_wait(&template.starting.v, starting, nanotime() + STARTING_LOOK);
	sub_u32(&sched.nthreads, 1);
	stop_sysmon();
	stop_reclaimer();
	for (int i = 0; i < SPARE_MS; i++) {
		struct m *mp = xchg_ptr(&template.spares[i], NULL);

		if (mp) {
			mp->nextp = NULL;
			mwake(mp);
		}
	}
	template.wanting = NULL;
	store_rlx_u32(&template.nwanting, 0);
}
