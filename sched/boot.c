/* SPDX-License-Identifier: MIT */
/*
 * From urge_main to the first goroutine, and back.
 *
 * Boot, in Go's order (Go's rt0_go starts at the ELF entry point; here main has been reached):
 *
 *	args, env	URGEDEBUG, GOMAXPROCS
 *	osinit		CPUs, memory nodes, what the kernel can do, signal handlers
 *	schedinit	stacks, the first M (the calling thread), Ps, netpoll
 *	newproc		goroutine 1
 *	mstart		the calling thread enters the scheduler, and there goroutine 1
 *			starts the template thread and sysmon, then calls the user's function
 *
 * How urge_main returns is told in exit.c.
 */
#define URGE_KEEP_ERRNO
#include "sched/boot.h"

#include "kernelshim/clock.h"
#include "kernelshim/context.h"
#include "kernelshim/fdprint.h"
#include "kernelshim/futex.h"
#include "kernelshim/membarrier.h"
#include "kernelshim/symtab.h"
#include "kernelshim/thread.h"
#include "kernelshim/vm.h"
#include "preempt/preempt.h"
#include "preempt/safepoint.h"
#include "sched/env.h"
#include "sched/exit.h"
#include "sched/fatal.h"
#include "sched/fork.h"
#include "sched/g.h"
#include "sched/key.h"
#include "sched/leaks.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/netpoll.h"
#include "sched/node.h"
#include "sched/notify.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/procresize.h"
#include "sched/runq.h"
#include "sched/sema.h"
#include "sched/stack.h"
#include "sched/switch.h"
#include "sched/sysmon.h"
#include "sched/time.h"
#include "sched/trace.h"
#include "sched/urge.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

static struct {
	int (*fn)(void *);
	void *arg;
	int result;
	int ncpu;
	bool threads; /* the template thread and sysmon run */
	int64_t phase_start;
} boot;

/* ---- trace --------------------------------------------------------------------------------- */

static void fdp_ms(struct fdprint *out, int64_t ns)
{
	fdp_u64(out, (uint64_t)(ns / 1000000));
	fdp_char(out, '.');
	fdp_char(out, (char)('0' + ns / 100000 % 10));
	fdp_char(out, (char)('0' + ns / 10000 % 10));
	fdp_char(out, (char)('0' + ns / 1000 % 10));
}

/* Go's form: init name @since-start ms, duration ms clock. */
static void trace_phase(const char *name, const char *detail, int64_t n)
{
	struct fdprint out;
	int64_t now = nanotime();

	if (debugvars.inittrace) {
		fdp_init(&out, 2);
		fdp_str(&out, "init ");
		fdp_str(&out, name);
		fdp_str(&out, " @");
		fdp_ms(&out, boot.phase_start - sched.starttime);
		fdp_str(&out, " ms, ");
		fdp_ms(&out, now - boot.phase_start);
		fdp_str(&out, " ms clock");
		if (detail) {
			fdp_str(&out, ", ");
			fdp_str(&out, detail);
			fdp_i64(&out, n);
		}
		fdp_char(&out, '\n');
		fdp_flush(&out);
	}
	boot.phase_start = now;
}

/* ---- boot ---------------------------------------------------------------------------------- */

static int osinit(void)
{
	int ncpu = thread_affinity_count();

	boot.ncpu = ncpu < 1 ? 1 : ncpu;
	nodesinit();
	have_membarrier = membarrier_init() == 0;
	vm_guard_probe();
	symtab_init(); /* without it dumps have no names, no more */
	return preempt_init();
}

static int m0init(void)
{
	struct m *mp = allocm();
	int err;

	if (!mp)
		return -ENOMEM;
	err = minit(mp, NULL);
	if (err) {
		mfree(mp);
		return err;
	}
	sched.m0 = mp;
	add_u32(&sched.nthreads, 1); /* strays of a former world are still counted */
	store_rlx_u32(&sched.nmrunning, 1);
	return 0;
}

static void m0fini(void)
{
	struct m *mp = sched.m0;

	minit_undo(mp);
	mfree(mp);
	thread_set_timer_slack(0); /* the default again */
	sub_u32(&sched.nthreads, 1);
	sched.m0 = NULL;
}

static int schedinit(void)
{
	int err = stackinit();

	if (!err)
		err = m0init();
	if (err)
		return err;
	err = procinit(maxprocs_init());
	if (!err)
		err = netpollinit();
	if (!err) {
		err = waitpoint_init(&sysmon_point);
		if (err)
			netpollfini();
	}
	if (err) {
		procreset();
		m0fini();
		return err;
	}
	if (debugvars.slice)
		store_rlx_i64(&time_slice, debugvars.slice * 1000);
	if (debugvars.asyncpreemptoff || IS_ENABLED(CONFIG_TSAN)) /* TSan delays signals */
		text.policy = URGE_PREEMPT_OFF;
	return 0;
}

/* Goroutine 1 before the user's function: the two threads that are always there. */
static bool main_prologue(void)
{
	int err = template_start();

	trace_phase("sysmon", "err=", err);
	boot.threads = err == 0;
	if (err) {
		boot.result = err;
		return false;
	}
	store_rel_u32(&sched.phase, PHASE_RUNNING);
	store_rel_u32(&sched.running, 1); /* pairs with load_acq of foreign threads' calls */
	trace_phase("main", "gomaxprocs=", load_rlx_i32(&sched.gomaxprocs));
	return true;
}

/* Goroutine 1. In urge_entry: the user's function is called from here, and may be moved. */
static in_urge_entry void main_goroutine(void *unused)
{
	(void)unused;
	if (main_prologue())
		boot.result = boot.fn(boot.arg);
	if (forked_from_main())
		exit(boot.result);
	keys_destroy();
	urge_ctx_bind(NULL);
	world_end();
}

static int newproc_main(void)
{
	static const struct urge_attr attr = { .name = "main", .node = URGE_NODE_ANY };
	struct m *mp = sched.m0;
	struct g *gp;

	lock(&sched.lock);
	acquirep(mp, pidleget(0));
	unlock(&sched.lock);
	gp = newproc1(mp->p, main_goroutine, NULL, &attr,
		      (uintptr_t)urge_main + 1); /* read as a return address */
	if (!gp)
		return -ENOMEM;
	gp->top->parentgoid = 0;
	runqput(mp->p, gp); /* not as the next: it would inherit a slice that nobody began */
	return 0;
}

int urge_main(int (*fn)(void *), void *arg)
{
	int err;

	if (!fn)
		return -EINVAL;
	if (!cas_u32(&sched.phase, PHASE_DOWN, PHASE_BOOT))
		return -EBUSY;
	fork_forget();
	sched.starttime = boot.phase_start = nanotime();
	boot.fn = fn;
	boot.arg = arg;
	parsedebugvars();
	if (debugvars.leaks)
		leaks_boot();
	trace_phase("args", NULL, 0);
	err = osinit();
	trace_phase("osinit", "ncpu=", boot.ncpu);
	if (many_nodes())
		trace_phase("numa", "nodes=", sched.nnodes);
	if (!err) {
		err = schedinit();
		trace_phase("schedinit", "err=", err);
	}
	if (err)
		goto down;
	err = newproc_main();
	trace_phase("newproc", "err=", err);
	if (err)
		goto fini;
	preempt_unblock();
	schedule_loop();
	if (!world_exiting()) /* pairs with store_rel in world_end, behind which the result is */
		throw_("urge_main: the scheduler has returned");
	world_mexit(sched.m0);
	err = boot.result;
	if (boot.threads) {
		exit_wait_for_others();
		template_stop();
		exit_wait_for_threads();
		trace_fini();
	}
fini:
	sched.starttime = 0; /* who waits in a channel is no more: see chan.c */
	semforget();
	gfree_forget();
	stack_release_all(exit_is_stray);
	procreset();
	notify_fini();
	netpollfini();
	waitpoint_fini(&sysmon_point);
	m0fini();
down:
	preempt_fini();
	nodesfini();
	store_rel_u32(&sched.phase, PHASE_DOWN);
	return err;
}

const char *urge_version(void)
{
#define STR2(x) #x
#define STR(x) STR2(x)
	return STR(URGE_VERSION_MAJOR) "." STR(URGE_VERSION_MINOR) "." STR(URGE_VERSION_PATCH);
}

int *urge_errno(void)
{
	return __errno_location();
}

void urge_external_begin(void)
{
	add_u32(&sched.external, 1);
}

void urge_external_end(void)
{
	/* the last M may have gone idle meanwhile, and that was no deadlock then */
	if (sub_u32(&sched.external, 1) == 0 && load_acq_u32(&sched.running) &&
	    load_rlx_u32(&sched.nmrunning) == 0)
		sysmon_suspect_deadlock();
}

int urge_gomaxprocs(int n)
{
	struct m *mp;

	if (n < 1)
		return load_acq_i32(&sched.gomaxprocs);
	if (!load_acq_u32(&sched.running))
		return -EPERM;
	mp = enter();
	n = procresize(n, MAXPROCS_FIXED);
	if (mp)
		leave();
	return n;
}
