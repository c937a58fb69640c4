/* SPDX-License-Identifier: MIT */
/*
 * fork, called by a goroutine or by any other thread while the runtime runs.
 *
 * The child has one thread, the caller's. The others are gone, wherever they were: between taking a
 * goroutine out of a queue and running it, inside a lock, in the middle of a sift. So the child
 * keeps nothing that they could have been changing. It makes a new world, as a second urge_main
 * does, whose only goroutine is the one that forked; the others are lost, as threads are.
 *
 *	fork	nothing happens in the parent, before or after
 *	child	descriptors of the runtime are closed; the M has no P, and a bit in m.attn
 *		(forget_parent)
 *	the goroutine's next call of the runtime, in the child
 *		enter finds the bit, like that of a P which was revoked, and goes to g0; there the
 *		world is made (fork_restart): empty queues, one P, threads, descriptors
 *
 * A child that execs or ends never comes to the last step, and pays for some calls of close.
 *
 * Why nothing has to be consistent at the fork. The kernel copies page after page while the other
 * threads go on, so the child may even see a store without an earlier one to another page. What it
 * reads of the old world is either its own thread's (the M, the goroutine, g0), of whose code the
 * fork is a part; or a pointer that is set once (allm, the list of Ps, a slab's base), and it
 * expects that what is behind it is still zero; or it is written over unread. Locks are
 * initialised, not taken. What was half done is lost:
 *
 *	another thread			the child
 *	takes an id for a new M
 *			-- fork --
 *	allm[id] = mp			allm[id] is NULL: the id stays unused
 *
 *	base of a slab = NULL
 *			-- fork --
 *	unmaps it			the addresses stay mapped, and are not used
 *
 *	a new P: id, timers		sees both stores, or one of them, or none:
 *	next of the last P = pp		the list ends before a P that is not complete
 *			-- fork --	(procs_after_fork)
 *	last_p = pp
 *
 * Impossible: that the child unmaps or hands out what somebody has, since it only ever hands out
 * what it has made itself. Stacks of the lost goroutines stay as they are: the one that forked may
 * have pointers into them.
 *
 * Objects of the program's are another matter: a channel, a mutex, a context that another goroutine
 * was using at the fork may be locked for ever, as a pthread_mutex_t may. Whoever meets such a lock
 * in the child is told so instead of waiting (lock_wait). Queues in them are those of a former
 * world, which is known from second calls of urge_main.
 *
 * Descriptors are shared with the parent: an epoll_ctl of the child's would change the parent's
 * set, a timerfd its timer. So they are closed before the program's code runs in the child, and,
 * since the program may close what it likes there and get the same numbers, not later.
 *
 * The handlers are registered by a constructor, so the child's comes before the program's own:
 * those may call the runtime. liburcu is left alone in the child: see kernelshim/rcu.h.
 *
 * Rejected:
 *	- To take all locks of the runtime in prepare, in the order of their ranks, so that the
 *	  child finds whole structures. They would be held while page tables are copied,
 *	  milliseconds, by parents which mostly want to exec; those of channels can't be
 *	  enumerated; and much is done without locks.
 *	- To stop the world for the fork. It costs the same to everybody, and lasts as long as
 *	  somebody is in urge_nopreempt or in the kernel.
 *	- To let goroutines go on in the child that were in queues then: which they are is chance,
 *	  and they would do the parent's work twice, on the same descriptors.
 */
#define URGE_KEEP_ERRNO
#include "sched/fork.h"

#include "kernelshim/clock.h"
#include "kernelshim/membarrier.h"
#include "kernelshim/rcu.h"
#include "kernelshim/sys.h"
#include "kernelshim/thread.h"
#include "kernelshim/threadstate.h"
#include "preempt/notify.h"
#include "preempt/preempt.h"
#include "preempt/safepoint.h"
#include "sched/boot.h"
#include "sched/chanlock.h"
#include "sched/fatal.h"
#include "sched/g.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/netpoll.h"
#include "sched/notify.h"
#include "sched/polldesc.h"
#include "sched/proc.h"
#include "sched/procresize.h"
#include "sched/sema.h"
#include "sched/sleeper.h"
#include "sched/stack.h"
#include "sched/sysmon.h"
#include "sched/template.h"
#include "sched/trace.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

/* In the child. */
static struct {
	bool child;
	bool orphan;      /* the thread that called urge_main is not there */
	bool stale;       /* urge_main has to forget the parent's world */
	const char *lost; /* why this child can have no goroutines */
} forking;

bool forked(void)
{
	return forking.child;
}

bool forked_from_main(void)
{
	return forking.orphan;
}

/* ---- in the child, before the program's code ------------------------------------------------ */

static void forget_descriptors(void)
{
	int fd = load_rlx_i32(&notify_eventfd);

	store_rlx_i32(&notify_eventfd, -1); /* a handler that runs here writes to none */
	if (fd >= 0)
		sys_call1(SYS_close, fd);
	waitpoint_fini(&netpoll_point);
	waitpoint_fini(&sysmon_point);
	thread_state_close();
	trace_after_fork();
}

/* NULL: the goroutine that mp runs can go on. */
static const char *why_lost(const struct m *mp, uint32_t phase)
{
	if (load_rlx_u32(&mp->attn) & MATTN_ENDED || phase != PHASE_RUNNING)
		return "urge: fork after the end of urge_main: the child can only exec or _exit";
	if (mp->locks > 0 && !mp->incall)
		return "urge: fork in a handler that interrupted the runtime: "
		       "the child can only exec or _exit";
	return NULL;
}

/*
 * mp becomes one whose P was revoked. In a declared call the way back finds that the P is not the
 * one that was left, and asks for another as well.
 */
static void forget_parent(struct m *mp)
{
	const uint32_t fence = have_membarrier ? 0 : MATTN_FENCE;

	store_rlx_u32(&mp->preempt, 0);
	if (mp->incall) {
		mp->syscalltick = load_rlx_u32(&mp->oldp->syscalltick) - 1;
		store_rlx_u32(&mp->attn, MATTN_FORKED | fence);
	} else {
		store_rlx_u32(&mp->attn, MATTN_FORKED | MATTN_REVOKED | fence);
	}
}

static void in_child(void)
{
	uint32_t phase = load_rlx_u32(&sched.phase);
	struct m *mp = getm();
	bool goroutine = mp && mp->curg;

	if ((phase == PHASE_DOWN && !goroutine) ||
	    (goroutine && load_rlx_u32(&mp->attn) & MATTN_FORKED))
		return; /* there was no world; or it is forgotten already */
	forking.child = true;
	rcu_lost = true;
	forget_descriptors();
	store_rlx_u32(&sched.running, 0);
	store_rlx_u32(&sched.phase, mp ? PHASE_BOOT : PHASE_DOWN);
	forking.stale = !mp;
	forking.orphan = goroutine;
	if (goroutine) {
		forking.lost = why_lost(mp, phase);
		forget_parent(mp);
	}
}

/* ---- registration --------------------------------------------------------------------------- */

static void before(void)
{
	const struct m *mp = getm();

	if (mp && mp->curg)
		stw_before_fork(mp->curg);
}

__attribute__((constructor)) static void register_handlers(void)
{
	pthread_atfork(before, NULL, in_child);
}

/* ---- a new world ---------------------------------------------------------------------------- */

/* Nobody is in the runtime but the caller, who runs as mp, on behalf of gp; NULL: of nobody. */
static void forget_world(struct m *mp, struct g *gp)
{
	uint64_t goid = load_rlx_u64(&sched.goidgen);

	mutex_init(&sched.lock, RANK_SCHED);
	for (uint32_t node = 0; node < MAX_NODES; node++) {
		sched.hogs[node] = (struct hogq){ .lock = MUTEX_INIT(RANK_HOGS) };
		sched.parked[node] = (struct hogq){ .lock = MUTEX_INIT(RANK_PARKED) };
	}
	store_rlx_u32(&chanlock_sleepers, 0);
	m_after_fork(mp);
	procresize_after_fork();
	template_after_fork();
	text_after_fork();
	stw_after_fork();
	notify_after_fork();
	sem_after_fork();
	sleeper_after_fork();
	gfree_forget();
	stack_after_fork(gp);
	polldescfini();
	store_rlx_u64(&sched.goidgen, goid);
	sched.starttime = nanotime(); /* who waits in a channel is no more: see chan.c */
}

static int make_world(void)
{
	int err;

	have_membarrier = membarrier_init() == 0;
	err = procinit(1);
	if (!err)
		err = netpollinit();
	if (!err)
		err = waitpoint_init(&sysmon_point);
	if (!err)
		err = notify_watch_again();
	if (!err) {
		store_rel_u32(&sched.phase, PHASE_RUNNING);
		err = template_start();
	}
	return err;
}

void fork_restart(struct m *mp, struct g *gp)
{
	int err;

	if (forking.lost)
		fatal(forking.lost);
	forget_world(mp, gp);
	gp->top->ctx = NULL; /* its list is of the former world */
	store_rlx_u64(&sched.spawned_outside, 1);
	err = make_world();
	if (err)
		fatal_u64("urge: no threads or descriptors for a fork's child: errno ",
			  (uint64_t)-err, "");
	store_rlx_u32(&mp->attn, have_membarrier ? 0 : MATTN_FENCE);
	store_rel_u32(&sched.running, 1); /* pairs with load_acq of foreign threads' calls */
}

void fork_forget(void)
{
	uint64_t mask;

	if (!forking.stale)
		return;
	forking.stale = false;
	thread_sigmask(SIG_BLOCK, NULL, &mask);
	preempt_fini();
	thread_sigmask(SIG_SETMASK, &mask,
		       NULL); /* not that of who called urge_main in the parent */
	forget_world(NULL, NULL);
	notify_fini();
	procreset();
}
