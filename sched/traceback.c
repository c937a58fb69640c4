/* SPDX-License-Identifier: MIT */
/*
 * urge_dump: every goroutine, in the form of Go's traces.
 *
 *	goroutine 7 [sleep, 3 minutes] worker:
 *	urge_sleep_until(...)
 *		libfoo.so+0x1234
 *	created by goroutine 1 in main+0x20
 *
 * Takes no lock and allocates nothing: it may run while a stopped goroutine holds malloc's lock or
 * ours. A goroutine that runs on another thread has no registers to start from, and says so; one
 * that was preempted is walked through the injected frame. What changes while it is printed may
 * come out wrong: memory is read within the bounds of each stack only, so it comes out.
 */
#include "sched/traceback.h"

#include "sched/fatal.h"
#include "sched/urge.h"

#include "kernelshim/clock.h"
#include "kernelshim/fdprint.h"
#include "kernelshim/symtab.h"
#include "kernelshim/unwind.h"
#include "preempt/preempt.h"
#include "sched/env.h"
#include "sched/leaks.h"
#include "sched/runtime2.h"
#include "sched/stack.h"
#include "sched/tls.h"

#include <ucontext.h>

enum { FRAMES_MAX = 64 };

static void print_frame(struct fdprint *out, uintptr_t pc, bool signal_frame)
{
	struct symtab_symbol sym;

	if (symtab_lookup(pc, &sym)) {
		fdp_str(out, sym.name);
		fdp_str(out, "(...)");
	} else {
		fdp_str(out, "?");
	}
	fdp_str(out, "\n\t");
	fdp_str(out, sym.module[0] ? sym.module : "?");
	fdp_str(out, " +");
	fdp_hex(out, sym.offset);
	if (signal_frame)
		fdp_str(out, " (preempted)");
	fdp_char(out, '\n');
}

/* The rest of its registers the unwind tables find in its frames. */
static void regs_of_parked(struct unwind_regs *regs, const struct g *gp)
{
	*regs = (struct unwind_regs){ .known = 0 };
	unwind_set(regs, UNWIND_SP, (uintptr_t)gp->ctx.sp);
	unwind_set(regs, UNWIND_PC, gp->ctx.pc);
	unwind_set(regs, UNWIND_FP, gp->ctx.fp);
}

/* Those of a goroutine that waits in the signal handler are in the frame of the signal. */
static bool parked_registers(struct unwind_regs *regs, const struct g *gp)
{
	const struct m *mp = load_rlx_ptr(&gp->m);
	const void *at;

	if (!(gp->bound & BOUND_PARKED) || !mp)
		return false;
	at = __atomic_load_n(&mp->parked_at, __ATOMIC_RELAXED);
	if (at)
		unwind_from_ucontext(regs, at);
	return at != NULL;
}

bool traceback_registers(struct unwind_regs *regs, const struct g *gp)
{
	uint32_t status = load_acq_u32(&gp->status); /* pairs with store_rel in casgstatus */

	if (parked_registers(regs, gp))
		return true;
	if (status != Grunnable && status != Gwaiting)
		return false;
	regs_of_parked(regs, gp);
	return true;
}

static void print_stack(struct fdprint *out, struct unwind_regs *regs, const struct g *gp)
{
	struct unwind_frame frame;

	for (int n = 0; n < FRAMES_MAX; n++) {
		int more = unwind_step(regs, &frame, gp->stack_lo, gp->stack_hi);

		print_frame(out, frame.name_pc, frame.signal_frame);
		if (more != 1)
			return;
	}
	fdp_str(out, "...additional frames elided...\n");
}

static void print_age(struct fdprint *out, int64_t since)
{
	int64_t seconds = (nanotime() - since) / 1000000000;

	if (since == 0 || seconds < 1)
		return;
	fdp_str(out, ", ");
	if (seconds >= 60) {
		fdp_i64(out, seconds / 60);
		fdp_str(out, " minutes");
	} else {
		fdp_i64(out, seconds);
		fdp_str(out, " seconds");
	}
}

static void print_header(struct fdprint *out, const struct g *gp, uint32_t status)
{
	static const char *const words[] = {
		[Gidle] = "idle",       [Grunnable] = "runnable", [Grunning] = "running",
		[Gsyscall] = "syscall", [Gwaiting] = "waiting",   [Gdead] = "dead",
	};

	fdp_str(out, "\ngoroutine ");
	fdp_u64(out, gp->goid);
	fdp_str(out, " [");
	if (status == Gwaiting && gp->waitreason != WAIT_NONE)
		fdp_str(out, waitreason_words(gp->waitreason));
	else
		fdp_str(out, status < ARRAY_SIZE(words) && words[status] ? words[status] : "?");
	if (gp->attr & GATTR_LEAKED)
		fdp_str(out, " (leaked)");
	if (status == Gwaiting)
		print_age(out, gp->waitsince);
	if (gp->bound & BOUND_PARKED)
		fdp_str(out, ", parked with its thread");
	if (gp->bound & BOUND_LOCKED)
		fdp_str(out, ", locked to thread");
	if (gp->nopreempt)
		fdp_str(out, ", not preemptible");
	fdp_str(out, "]");
	if (gp->attr & GATTR_NAME) {
		fdp_char(out, ' ');
		fdp_str(out, gp->top->name);
	}
	fdp_str(out, ":\n");
}

static void print_creator(struct fdprint *out, const struct g *gp)
{
	struct symtab_symbol sym;

	fdp_str(out, "created by ");
	fdp_str(out, symtab_lookup(gp->top->gopc - 1, &sym) ? sym.name : "?");
	if (gp->top->parentgoid) {
		fdp_str(out, " in goroutine ");
		fdp_u64(out, gp->top->parentgoid);
	}
	fdp_str(out, "\n\t");
	fdp_str(out, sym.module[0] ? sym.module : "?");
	fdp_str(out, " +");
	fdp_hex(out, sym.offset);
	fdp_char(out, '\n');
}

void dump_parked(struct fdprint *out, const struct g *gp)
{
	struct unwind_regs regs;

	print_header(out, gp, Gwaiting);
	regs_of_parked(&regs, gp);
	print_stack(out, &regs, gp);
	print_creator(out, gp);
}

struct dump {
	struct fdprint out;
	const struct g *self;
	const void *interrupted;
	uint64_t room; /* goroutines still to be printed */
	uint64_t left_out;
};

/*
 * Those of the calling goroutine; if it is in urge_blocking, on the thread's stack, where it went
 * there.
 */
static void own_registers(struct unwind_regs *regs, const struct g *gp, const void *ucontext)
{
	unwind_from_ucontext(regs, ucontext);
	if (regs->value[UNWIND_SP] - gp->stack_lo > gp->stack_hi - gp->stack_lo)
		regs_of_parked(regs, gp);
}

static void print_goroutine(struct dump *d, const struct g *gp)
{
	uint32_t status = load_acq_u32(&gp->status); /* pairs with store_rel in casgstatus */
	struct unwind_regs regs;
	ucontext_t here;

	if (status == Gidle || status == Gdead)
		return;
	print_header(&d->out, gp, status);
	if (gp == d->self && getcontext(&here) == 0) {
		own_registers(&regs, gp, d->interrupted ? d->interrupted : &here);
		print_stack(&d->out, &regs, gp);
	} else if (traceback_registers(&regs, gp)) {
		print_stack(&d->out, &regs, gp);
	} else {
		fdp_str(&d->out, "\tgoroutine running on other thread; stack unavailable\n");
	}
	print_creator(&d->out, gp);
}

static bool print_other(struct g *gp, void *arg)
{
	struct dump *d = arg;

	if (gp == d->self || load_rlx_u32(&gp->status) == Gdead)
		return true;
	if (d->room > 0) {
		d->room--;
		print_goroutine(d, gp);
	} else {
		d->left_out++;
	}
	return true;
}

void dump_some(int fd, uint64_t max, const void *interrupted)
{
	const struct m *mp = getm();
	struct dump d = { .self = mp ? mp->curg : NULL, .room = max, .interrupted = interrupted };

	fdp_init(&d.out, fd);
	if (world_why()) {
		fdp_str(&d.out, "the world is stopped: ");
		fdp_str(&d.out, world_why());
		fdp_char(&d.out, '\n');
	}
	if (d.self)
		print_goroutine(&d, d.self);
	forEachG(print_other, &d);
	if (d.left_out > 0) {
		fdp_str(&d.out, "\n...");
		fdp_u64(&d.out, d.left_out);
		fdp_str(&d.out, " more goroutines...\n");
	}
	fdp_flush(&d.out);
}

static noinline void print_leaks(int fd, const char *why, uint64_t leaked)
{
	struct fdprint out;

	fdp_init(&out, fd);
	if (why) {
		fdp_str(&out, "leaked goroutines can't be told: ");
		fdp_str(&out, why);
	} else {
		fdp_u64(&out, leaked);
		fdp_str(&out, leaked == 1 ? " goroutine is leaked" : " goroutines are leaked");
	}
	fdp_char(&out, '\n');
	fdp_flush(&out);
}

static noinline void find_leaks(int fd)
{
	uint64_t leaked;
	const char *why;

	__builtin_unwind_init(); /* for leaks_find */
	why = leaks_find(&leaked);
	print_leaks(fd, why, leaked);
}

void urge_dump(int fd)
{
	if (debugvars.leaks)
		find_leaks(fd);
	dump_some(fd, UINT64_MAX, NULL);
}
