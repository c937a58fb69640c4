/* SPDX-License-Identifier: MIT */
/*
 * From urge_main to the first goroutine, and back.
 *
 * Boot, in Go's order (Go's rt0_go starts at the ELF entry point; here main has been reached):
 *
 *	args, env	URGEDEBUG, GOMAXPROCS
 *	osinit		CPUs, what the kernel can do, signal handlers
 *	schedinit	stacks, the first M (the calling thread), Ps, netpoll
 *	newproc		goroutine 1
 *	mstart		the calling thread enters the scheduler, and there goroutine 1
 *			starts the template thread and sysmon, then calls the user's function
 *
 * Return. When the function returns, the other goroutines are not waited for. Every P is marked, so
 * that each M, at its next scheduling point, leaves the scheduler and ends its thread; goroutines
 * that compute are brought there by preemption (they may stop wherever they hold no library's
 * lock: they will never resume). The calling thread, which may be running any of them, comes out of
 * schedule_loop like the others. One whose thread is blocked in the kernel is left behind, a
 * *stray*: it keeps its stack, its thread and its M, and ends at its next call of this library. If
 * it is the calling thread that is blocked so, its goroutine is abandoned in the middle of the call.
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
#include "sched/fatal.h"
#include "sched/g.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/netpoll.h"
#include "sched/p.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/stack.h"
#include "sched/switch.h"
#include "sched/sysmon.h"
#include "sched/time.h"
#include "sched/urge.h"

#include <errno.h>
#include <signal.h>

#define EXIT_BLOCKED_NS INT64_C(50000000) /* no CPU used for so long: blocked in the kernel */
#define EXIT_COMPLAIN_NS INT64_C(1000000000)
#define EXIT_LOOK_NS INT64_C(200000)

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
	int n = env_gomaxprocs();
	int err = stackinit();

	if (!err)
		err = m0init();
	if (err)
		return err;
	if (n == 0)
		n = boot.ncpu < CONFIG_MAX_PROCS ? boot.ncpu : CONFIG_MAX_PROCS;
	err = procinit(n);
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

static void main_return(void);

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
	main_return();
}

static int newproc_main(void)
{
	static const struct urge_attr attr = { .name = "main" };
	struct m *mp = sched.m0;
	struct g *gp;

	lock(&sched.lock);
	acquirep(mp, pidleget());
	unlock(&sched.lock);
	gp = newproc1(mp->p, main_goroutine, NULL, &attr,
		      (uintptr_t)urge_main + 1); /* read as a return address */
	if (!gp)
		return -ENOMEM;
	gp->top->parentgoid = 0;
	runqput(mp->p, gp, true);
	return 0;
}

/* ---- the end ------------------------------------------------------------------------------- */

bool world_exiting(void)
{
	return load_acq_u32(&sched.phase) == PHASE_EXITING;
}

/* On goroutine 1, its function having returned. */
static void main_return(void)
{
	if (!enter())
		throw_("main_return: no goroutine");
	store_rel_u32(&sched.running, 0);
	store_rel_u32(&sched.phase, PHASE_EXITING);
	for (int i = 0; i < CONFIG_MAX_PROCS && allp[i]; i++)
		or_u32(&allp[i]->attn, PATTN_EXIT);
	lock(&sched.lock); /* whoever is about to park has done so, or will see the phase */
	unlock(&sched.lock);
	mretire_all();
	waitpoint_kick(&netpoll_point);
	waitpoint_kick(&sysmon_point);
	goexit();
}

/* What the exit knows of an M that has not ended: two words per M, only while the world ends. */
static void urge_on(struct m *mp, void *arg)
{
	(void)arg;
	preempt_discard(mp);
}

int64_t world_exit_tick(int64_t now)
{
	if (!world_exiting())
		return INT64_MAX;
	forEachM(urge_on, NULL);
	mretire_all();
	return now + EXIT_LOOK_NS;
}

void world_mexit(struct m *mp)
{
	if (mp->p && !load_rlx_u32(&mp->attn))
		releasep(mp);
	mp->p = NULL;
	if (!load_rlx_u32(&mp->attn))
		mrunning_less();
}

_Noreturn void world_ended(struct m *mp)
{
	mp->locks = 1;
	mp->curg = NULL;
	mp->p = NULL;
	mp->after.fn = NULL;
	context_load(&mp->g0.ctx);
}

struct survivors {
	int64_t now;
	uint32_t running, blocked;
	const struct m *example;
};

/* Is mp still at it, or has it used no CPU for a while? */
static void look_at_survivor(struct m *mp, void *arg)
{
	struct survivors *s = arg;
	int64_t cpu;

	if (!__atomic_load_n(&mp->curg, __ATOMIC_RELAXED))
		return; /* on g0: on its way out; or sysmon, or a spare */
	cpu = thread_cputime((int)load_rlx_u32(&mp->tid));
	if (cpu != mp->exit_cpu || mp->exit_since == 0) {
		mp->exit_cpu = cpu;
		mp->exit_since = s->now;
	}
	if (s->now - mp->exit_since > EXIT_BLOCKED_NS) {
		s->blocked++;
		store_rel_u32(&mp->abandon, 1); /* for the first M: see preempt_handler_sig */
	} else {
		s->running++;
	}
	s->example = mp;
}

static void become_stray(struct m *mp, void *arg)
{
	const struct g *gp = __atomic_load_n(&mp->curg, __ATOMIC_RELAXED);

	(void)arg;
	if (gp)
		store_rel_u32(&mp->attn, 1); /* pairs with load in enter */
}

static void count_stray(struct m *mp, void *arg)
{
	if (load_rlx_u32(&mp->attn))
		++*(uint32_t *)arg;
}

static bool runs_on_stray(const struct g *gp)
{
	struct m *mp = load_rlx_ptr(&gp->m);

	return mp && load_rlx_u32(&mp->attn) && mp->curg == gp;
}

static void complain_of(const struct m *mp)
{
	struct fdprint out;
	const struct g *gp = __atomic_load_n(&mp->curg, __ATOMIC_RELAXED);

	fdp_init(&out, 2);
	fdp_str(&out, "urge_main: waiting for goroutine ");
	fdp_u64(&out, gp ? gp->goid : 0);
	fdp_str(&out, " to leave a library's code\n");
	fdp_flush(&out);
}

/* On the calling thread, out of schedule_loop: until no other M runs anything. */
static void wait_for_others(void)
{
	int64_t start = nanotime();
	bool complained = false;

	for (;;) {
		struct survivors s = { .now = nanotime() };

		forEachM(look_at_survivor, &s);
		if (s.running == 0)
			break;
		if (!complained && s.now - start > EXIT_COMPLAIN_NS) {
			complain_of(s.example);
			complained = true;
		}
		futex_wait(&(uint32_t){ 0 }, 0, s.now + EXIT_LOOK_NS);
	}
	forEachM(become_stray, NULL);
}

/* Threads that have left the scheduler end within microseconds; a loaded machine may take longer. */
static void wait_for_threads(void)
{
	for (;;) {
		uint32_t strays = 0;

		forEachM(count_stray, &strays);
		if (load_acq_u32(&sched.nthreads) <= 1 + strays)
			return;
		futex_wait(&(uint32_t){ 0 }, 0, nanotime() + EXIT_LOOK_NS);
	}
}

int urge_main(int (*fn)(void *), void *arg)
{
	int err;

	if (!fn)
		return -EINVAL;
	if (!cas_u32(&sched.phase, PHASE_DOWN, PHASE_BOOT))
		return -EBUSY;
	sched.starttime = boot.phase_start = nanotime();
	boot.fn = fn;
	boot.arg = arg;
	parsedebugvars();
	trace_phase("args", NULL, 0);
	err = osinit();
	trace_phase("osinit", "ncpu=", boot.ncpu);
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
	world_mexit(sched.m0);
	err = boot.result;
	if (boot.threads) {
		wait_for_others();
		template_stop();
		wait_for_threads();
	}
fini:
	gfree_forget();
	stack_release_all(runs_on_stray);
	procreset();
	netpollfini();
	waitpoint_fini(&sysmon_point);
	m0fini();
down:
	preempt_fini();
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
	int old = load_acq_i32(&sched.gomaxprocs);
	struct m *mp;
	int err;

	if (n < 1)
		return old;
	if (!load_acq_u32(&sched.running))
		return -EPERM;
	mp = enter();
	err = procresize(n);
	if (mp)
		leave();
	return err ? err : old;
}
