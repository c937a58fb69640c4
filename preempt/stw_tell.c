/* SPDX-License-Identifier: MIT */
/*
 * Whom a stop of the world waits for, when it waits long: a line on stderr after a second, and
 * again whenever the time has doubled.
 *
 *	urge: stopping the world (checkpoint) has taken 1 s: waits for goroutine 7 worker, started with
 *	serve: urge_nopreempt, or the attribute
 *
 * What others do is read while they do it, so it may be out of date; it is no more than a hint.
 */
#include "preempt/preempt.h"

#include "kernelshim/fdprint.h"
#include "kernelshim/symtab.h"
#include "kernelshim/thread.h"
#include "preempt/safepoint.h"
#include "sched/allp.h"
#include "sched/m.h"
#include "sched/urge.h"

#define FIRST INT64_C(1000000000)

/* Why gp, which runs on mp, does not stop. */
static const char *reason(const struct m *mp, const struct g *gp)
{
	uint32_t left = __atomic_load_n(&mp->left, __ATOMIC_RELAXED);

	if (gp->nopreempt || gp->attr & GATTR_NOPREEMPT)
		return urge_preempt_reason(LEFT_NOPREEMPT);
	if (__atomic_load_n(&text.policy, __ATOMIC_RELAXED) == URGE_PREEMPT_OFF)
		return "the policy is URGE_PREEMPT_OFF, and it calls nothing of this library";
	if (!thread_runnable((int)load_rlx_u32(&mp->tid)))
		return "its thread is blocked in the kernel, and gets no signal there";
	return left ? urge_preempt_reason(left - 1) : "its thread has not got the signal yet";
}

static void tell_of(struct fdprint *out, const struct m *mp)
{
	const struct g *gp = mp ? __atomic_load_n(&mp->curg, __ATOMIC_RELAXED) : NULL;
	struct symtab_symbol sym;

	if (!gp) {
		fdp_str(out, "a thread that looks for work");
		return;
	}
	fdp_str(out, "goroutine ");
	fdp_u64(out, gp->goid);
	if (gp->attr & GATTR_NAME) {
		fdp_char(out, ' ');
		fdp_str(out, gp->top->name);
	}
	if (symtab_lookup((uintptr_t)gp->top->fn, &sym)) {
		fdp_str(out, ", started with ");
		fdp_str(out, sym.name);
	}
	fdp_str(out, ": ");
	fdp_str(out, reason(mp, gp));
}

/* The first one that has not stopped, on a P or without one. */
static void find_stray(struct m *mp, void *found)
{
	if (load_rlx_u32(&mp->attn) & MATTN_REVOKED)
		*(const struct m **)found = mp;
}

static const struct m *who(const struct p *own)
{
	const struct m *mp = NULL;

	for_each_p(pp)
		if (pp != own && load_rlx_u32(&pp->status) == Prunning)
			return load_rlx_ptr(&pp->m);
	forEachM(find_stray, &mp);
	return mp;
}

void stw_tell(const struct p *own, const char *why, int64_t waited, int64_t *next)
{
	struct fdprint out;

	if (*next == 0)
		*next = FIRST;
	if (waited < *next)
		return;
	fdp_init(&out, 2);
	fdp_str(&out, "urge: stopping the world (");
	fdp_str(&out, why ? why : "?");
	fdp_str(&out, ") has taken ");
	fdp_i64(&out, waited / FIRST);
	fdp_str(&out, " s: waits for ");
	tell_of(&out, who(own));
	fdp_char(&out, '\n');
	fdp_flush(&out);
	*next = 2 * waited;
}
