/* SPDX-License-Identifier: MIT */
/*
 * URGEDEBUG=schedtrace=1000[,scheddetail=1]: the scheduler's state, one line (or one line for every
 * P, M and G), in the format of Go's runtime, so that tools which read Go's read ours.
 */
#include "sched/schedtrace.h"

#include "kernelshim/clock.h"
#include "kernelshim/fdprint.h"
#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/env.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/node.h"
#include "sched/nodestats.h"
#include "sched/proc.h"
#include "sched/stack.h"
#include "sched/sysmon.h"

static void field(struct fdprint *out, const char *name, int64_t n)
{
	fdp_str(out, name);
	fdp_i64(out, n);
}

static void field_flag(struct fdprint *out, const char *name, bool flag)
{
	fdp_str(out, name);
	fdp_str(out, flag ? "true" : "false");
}

/* A number, or nil if there is none. */
static void field_or_nil(struct fdprint *out, const char *name, bool there, int64_t n)
{
	fdp_str(out, name);
	if (there)
		fdp_i64(out, n);
	else
		fdp_str(out, "nil");
}

static uint32_t ringlen(const struct p *pp)
{
	return load_acq_u32(&pp->runqtail) - (uint32_t)load_acq_u64(&pp->runqhead);
}

static void print_p(struct fdprint *out, const struct p *pp)
{
	const struct m *mp = load_rlx_ptr(&pp->m);

	field(out, "  P", pp->id);
	field(out, ": status=", load_rlx_u32(&pp->status));
	field(out, " schedtick=", (int64_t)load_rlx_u64(&pp->schedtick));
	field(out, " syscalltick=", load_rlx_u32(&pp->syscalltick));
	field_or_nil(out, " m=", mp != NULL, mp ? mp->id : 0);
	field(out, " runqsize=", ringlen(pp));
	field(out, " gfreecnt=", pp->ngfree);
	field(out, " timerslen=", pp->timers.n);
	fdp_char(out, '\n');
}

static void print_m(struct m *mp, void *arg)
{
	struct fdprint *out = arg;
	const struct p *pp = mp->p;
	const struct g *gp = __atomic_load_n(&mp->curg, __ATOMIC_RELAXED);

	field(out, "  M", mp->id);
	field_or_nil(out, ": p=", pp != NULL, pp ? pp->id : 0);
	field_or_nil(out, " curg=", gp != NULL, gp ? (int64_t)gp->goid : 0);
	fdp_str(out, " mallocing=0 throwing=0 preemptoff=");
	field(out, " locks=", mp->locks);
	field_flag(out, " dying=0 spinning=", mp->spinning);
	field_flag(out, " blocked=", load_rlx_u32(&mp->park) == 0 && !gp && !pp);
	gp = __atomic_load_n(&mp->lockedg, __ATOMIC_RELAXED);
	field_or_nil(out, " lockedg=", gp != NULL, gp ? (int64_t)gp->goid : 0);
	fdp_char(out, '\n');
}

static bool print_g(struct g *gp, void *arg)
{
	struct fdprint *out = arg;
	uint32_t status = load_acq_u32(&gp->status);
	const struct m *mp = NULL;

	if (status == Gdead)
		return true;
	if (status == Grunning || status == Gsyscall)
		mp = load_rlx_ptr(&gp->m);
	field(out, "  G", (int64_t)gp->goid);
	field(out, ": status=", status);
	fdp_char(out, '(');
	fdp_str(out, waitreason_words(status == Gwaiting ? gp->waitreason : WAIT_NONE));
	field_or_nil(out, ") m=", mp != NULL, mp ? mp->id : 0);
	mp = gp->bound & BOUND_LOCKED ? load_rlx_ptr(&gp->m) : NULL;
	field_or_nil(out, " lockedm=", mp != NULL, mp ? mp->id : 0);
	fdp_char(out, '\n');
	return true;
}

static void schedtrace(int64_t now)
{
	bool detailed = debugvars.scheddetail != 0;
	int n = load_acq_i32(&sched.gomaxprocs);
	struct fdprint out;

	fdp_init(&out, 2);
	lock(&sched.lock);
	field(&out, "SCHED ", (now - sched.starttime) / 1000000);
	field(&out, "ms: gomaxprocs=", n);
	field(&out, " idleprocs=", load_rlx_u32(&sched.npidle));
	field(&out, " threads=", mthreads());
	field(&out, " spinningthreads=", load_rlx_u32(&sched.nmspinning));
	field(&out, " needspinning=", 0);
	field(&out, " idlethreads=", sched.nmidle);
	field(&out, " runqueue=", globrunqsize());
	unlock(&sched.lock); /* the rest changes anyhow, and stderr may block */
	if (detailed) {
		field_flag(&out, " gcwaiting=", world_stopping());
		fdp_str(&out, " nmidlelocked=0 stopwait=0");
		field_flag(&out, " sysmonwait=", false);
		if (many_nodes())
			nodes_trace(&out);
		fdp_char(&out, '\n');
		for_each_p(pp)
			if (pp->id < n)
				print_p(&out, pp);
		forEachM(print_m, &out);
		forEachG(print_g, &out);
	} else {
		fdp_str(&out, " [ ");
		for_each_p(pp) {
			if (pp->id >= n)
				break;
			fdp_u64(&out, ringlen(pp));
			fdp_char(&out, ' ');
		}
		fdp_str(&out, "] schedticks=[ ");
		for_each_p(pp) {
			if (pp->id >= n)
				break;
			fdp_u64(&out, load_rlx_u64(&pp->schedtick));
			fdp_char(&out, ' ');
		}
		fdp_char(&out, ']');
		if (many_nodes())
			nodes_trace(&out);
		fdp_char(&out, '\n');
	}
	fdp_flush(&out);
}

int64_t schedtrace_tick(int64_t now)
{
	int64_t period = debugvars.schedtrace * 1000000;
	static int64_t next;

	if (period == 0)
		return INT64_MAX;
	if (next < sched.starttime)
		next = sched.starttime;
	if (now >= next) {
		schedtrace(now);
		next += (now - next) / period * period + period;
	}
	return next;
}
