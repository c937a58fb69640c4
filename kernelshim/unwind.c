/* SPDX-License-Identifier: MIT */
/*
 * One step of a stack walk. Where there is a table, it decides; where there is none, in this order:
 *
 *	- a signal trampoline without tables is known by its code (arm64's vDSO, a program's own
 *	  sa_restorer);
 *	- an interrupted pc outside every module is a call through a bad pointer: nothing was
 *	  pushed but the return address;
 *	- the frame pointer, if it and what it points to look like one.
 */
#include "kernelshim/unwind.h"

#include <linux/futex.h>
#include <time.h>
#include <ucontext.h>

#include "kernelshim/compiler.h"
#include "kernelshim/module.h"
#include "kernelshim/sys.h"
#include "kernelshim/unwind_internal.h"

/* For reads of other stacks, whose redzones and shadow cells mean nothing here, and of any code. */
#define reads_anything noinline __attribute__((no_sanitize("address", "thread", "undefined")))

/* How much of a ucontext_t the kernel's registers take, up to the last that is read. */
#if defined(__x86_64__)
#define UCONTEXT_BYTES (offsetof(ucontext_t, uc_mcontext.gregs) + sizeof(gregset_t))
#elif defined(__aarch64__)
#define UCONTEXT_BYTES (offsetof(ucontext_t, uc_mcontext.pc) + sizeof(uint64_t))
#endif

reads_anything void unwind_from_ucontext(struct unwind_regs *regs, const void *ucontext)
{
	const mcontext_t *context = &((const ucontext_t *)ucontext)->uc_mcontext;

#if defined(__x86_64__)
	static const uint8_t greg_of[UNWIND_NREGS] = {
		REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
		REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
	};

	for (unsigned i = 0; i < UNWIND_NREGS; i++)
		regs->value[i] = (uint64_t)context->gregs[greg_of[i]];
#elif defined(__aarch64__)
	for (unsigned i = UNWIND_X0; i <= UNWIND_X30; i++)
		regs->value[i] = context->regs[i];
	regs->value[UNWIND_SP] = context->sp;
	regs->value[UNWIND_PC] = context->pc;
#endif
	regs->known = (1ull << UNWIND_NREGS) - 1;
	regs->pc_exact = true;
}

static bool on_stack(const struct unwind_state *state, uintptr_t address, size_t bytes)
{
	return address >= state->stack_lo && address <= state->stack_hi &&
	       state->stack_hi - address >= bytes;
}

reads_anything int unwind_load(const struct unwind_state *state, uintptr_t address, unsigned bytes,
			       uint64_t *out)
{
	uint64_t value = 0;

	if (bytes == 0 || bytes > 8)
		return -EINVAL;
	if (!on_stack(state, address, bytes))
		return -EFAULT;
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)((const volatile uint8_t *)address)[i] << (8 * i);
	*out = value;
	return 0;
}

static bool is_known(const struct unwind_regs *regs, uint64_t reg)
{
	return reg < UNWIND_NREGS && (regs->known >> reg & 1);
}

static int frame_address(const struct unwind_state *state, const struct unwind_row *row,
			 uint64_t *cfa)
{
	if (row->cfa_is_expression)
		return unwind_expression(state, (const uint8_t *)(uintptr_t)row->cfa_arg, NULL, 0,
					 cfa);
	if (row->cfa_register >= UNWIND_NREGS)
		return -EINVAL;
	if (!is_known(state->regs, row->cfa_register))
		return -ENODATA;
	*cfa = state->regs->value[row->cfa_register] + (uint64_t)row->cfa_arg;
	return 0;
}

/* Gives caller the register as the rule says; state has the callee's. */
static int apply_rule(const struct unwind_state *state, const struct unwind_row *row, uint64_t cfa,
		      unsigned reg, struct unwind_regs *caller)
{
	const int64_t arg = row->arg[reg];
	const uint8_t *expression = (const uint8_t *)(uintptr_t)arg;
	uint64_t value = 0;
	int error = 0;

	switch (row->rule[reg]) {
	case UNWIND_RULE_UNSPECIFIED:
	case UNWIND_RULE_SAME:
		return 0;
	case UNWIND_RULE_UNDEFINED:
		caller->known &= ~(1ull << reg);
		return 0;
	case UNWIND_RULE_OFFSET:
		error = unwind_load(state, cfa + (uint64_t)arg, 8, &value);
		break;
	case UNWIND_RULE_VAL_OFFSET:
		value = cfa + (uint64_t)arg;
		break;
	case UNWIND_RULE_REGISTER:
		if (!is_known(state->regs, (uint64_t)arg))
			return -ENODATA;
		value = state->regs->value[arg];
		break;
	case UNWIND_RULE_EXPRESSION:
		error = unwind_expression(state, expression, &cfa, 1, &value);
		if (error == 0)
			error = unwind_load(state, value, 8, &value);
		break;
	case UNWIND_RULE_VAL_EXPRESSION:
		error = unwind_expression(state, expression, &cfa, 1, &value);
		break;
	}
	if (error == 0)
		unwind_set(caller, reg, value);
	return error;
}

/*
 * Takes over a caller whose registers were found. A walk must come to an end whatever the stack
 * says, so within one stack it only goes up; an arm64 leaf has the sp of its caller.
 */
static int accept_caller(const struct unwind_state *state, struct unwind_regs *regs,
			 const struct unwind_regs *caller, bool signal_frame)
{
	const uint64_t sp = caller->value[UNWIND_SP], old_sp = regs->value[UNWIND_SP];

	if (caller->value[UNWIND_PC] == 0)
		return 0;
	if (!signal_frame && on_stack(state, sp, 0) &&
	    (sp < old_sp || (sp == old_sp && caller->value[UNWIND_PC] == regs->value[UNWIND_PC])))
		return -ELOOP;
	*regs = *caller;
	return 1;
}

static int step_by_table(const struct unwind_state *state, const struct unwind_fde *fde,
			 struct unwind_regs *regs, struct unwind_frame *out)
{
	struct unwind_row row;
	struct unwind_regs caller = *regs;
	const unsigned ra = (unsigned)fde->return_register;
	uint64_t cfa;
	int error;

	error = unwind_row_find(fde, regs->value[UNWIND_PC] - !regs->pc_exact, &row);
	if (error < 0)
		return error;
	if (row.rule[ra] == UNWIND_RULE_UNDEFINED)
		return 0;
	error = frame_address(state, &row, &cfa);
	if (error < 0)
		return error;
	unwind_set(&caller, UNWIND_SP, cfa); /* unless a rule says otherwise, as in signal frames */
	for (unsigned reg = 0; reg < UNWIND_NREGS; reg++) {
		error = apply_rule(state, &row, cfa, reg, &caller);
		if (error < 0)
			return error;
	}
	if (!is_known(&caller, ra))
		return -ENODATA;
	unwind_set(&caller, UNWIND_PC, unwind_strip_signature(caller.value[ra]));
	if (!fde->signal_frame) {
		for (unsigned reg = 0; reg < UNWIND_NREGS; reg++) {
			if (row.rule[reg] == UNWIND_RULE_UNSPECIFIED && reg != UNWIND_PC &&
			    !(UNWIND_CALLEE_SAVED >> reg & 1))
				caller.known &= ~(1ull << reg);
		}
	}
	caller.pc_exact = fde->signal_frame;
	out->cfa = cfa;
	return accept_caller(state, regs, &caller, fde->signal_frame);
}

/* Asks the kernel, by a wait on the word there that ends at once, whatever the word is. */
static bool is_readable(uintptr_t address)
{
	const struct timespec no_time = { 0, 0 };

	return sys_call4(SYS_futex, (long)(address & ~(uintptr_t)3), FUTEX_WAIT_PRIVATE, 0,
			 sys_ptr(&no_time)) != -EFAULT;
}

/* True when pc is the return address that the kernel, or sa_restorer, gave a signal handler. */
reads_anything static bool is_sigreturn(uintptr_t pc)
{
	const char *code = (const char *)pc;
	const size_t length = sizeof(UNWIND_SIGRETURN_CODE) - 1;

	if (!is_readable(pc) || !is_readable(pc + length - 1))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (code[i] != UNWIND_SIGRETURN_CODE[i])
			return false;
	}
	return true;
}

static int step_by_sigreturn(const struct unwind_state *state, struct unwind_regs *regs,
			     struct unwind_frame *out)
{
	const uintptr_t ucontext = regs->value[UNWIND_SP] + UNWIND_SIGRETURN_UCONTEXT;
	struct unwind_regs caller;

	if (!on_stack(state, ucontext, UCONTEXT_BYTES))
		return -EFAULT;
	unwind_from_ucontext(&caller, (const void *)ucontext);
	out->signal_frame = true;
	out->name_pc = out->pc;
	out->cfa = caller.value[UNWIND_SP];
	return accept_caller(state, regs, &caller, true);
}

/* The caller of an interrupted pc that is no code; its registers are as they were at the call. */
static int step_by_bad_call(const struct unwind_state *state, struct unwind_regs *regs,
			    struct unwind_frame *out)
{
	struct unwind_regs caller = *regs;
	struct module module;
	uint64_t pc;

#if defined(__x86_64__)
	if (unwind_load(state, regs->value[UNWIND_SP], 8, &pc) < 0)
		return 0;
	caller.value[UNWIND_SP] += 8;
#else
	pc = unwind_strip_signature(regs->value[UNWIND_X30]);
	caller.known &= ~(1ull << UNWIND_X30);
#endif
	if (!module_find(pc - 1, &module))
		return 0;
	caller.value[UNWIND_PC] = pc;
	caller.pc_exact = false;
	out->guessed = true;
	out->cfa = caller.value[UNWIND_SP];
	return accept_caller(state, regs, &caller, false);
}

/*
 * A frame record is two words, the caller's frame pointer and the return address. The register may
 * as well hold anything else, so the return address must be code or the chain must go up.
 */
static int step_by_frame_pointer(const struct unwind_state *state, struct unwind_regs *regs,
				 struct unwind_frame *out)
{
	const uint64_t fp = regs->value[UNWIND_FP];
	struct unwind_regs caller = { .known = 0 };
	uint64_t caller_fp, pc;
	struct module module;

	if (!is_known(regs, UNWIND_FP) || fp % 8 != 0 || fp < regs->value[UNWIND_SP] ||
	    unwind_load(state, fp, 8, &caller_fp) < 0 || unwind_load(state, fp + 8, 8, &pc) < 0)
		return 0;
	pc = unwind_strip_signature(pc);
	if (!module_find(pc - 1, &module) && !(caller_fp > fp && on_stack(state, caller_fp, 16)))
		return 0;
	unwind_set(&caller, UNWIND_SP, fp + 16);
	unwind_set(&caller, UNWIND_FP, caller_fp);
	unwind_set(&caller, UNWIND_PC, pc);
	out->guessed = true;
	out->cfa = fp + 16;
	return accept_caller(state, regs, &caller, false);
}

static int step_without_table(const struct unwind_state *state, struct unwind_regs *regs,
			      struct unwind_frame *out)
{
	struct module module;

	if (is_sigreturn(regs->value[UNWIND_PC]))
		return step_by_sigreturn(state, regs, out);
	if (regs->pc_exact && !module_find(regs->value[UNWIND_PC], &module)) {
		int stepped = step_by_bad_call(state, regs, out);

		if (stepped != 0)
			return stepped;
	}
	return step_by_frame_pointer(state, regs, out);
}

int unwind_step(struct unwind_regs *regs, struct unwind_frame *out, uintptr_t stack_lo,
		uintptr_t stack_hi)
{
	const struct unwind_state state = { regs, stack_lo, stack_hi };
	struct unwind_fde fde;
	int found;

	*out = (struct unwind_frame){ .pc = regs->value[UNWIND_PC] };
	out->name_pc = out->pc - !regs->pc_exact;
	if (!is_known(regs, UNWIND_SP) || !is_known(regs, UNWIND_PC))
		return -ENODATA;
	found = unwind_fde_find(out->name_pc, &fde);
	if (found < 0)
		return found;
	if (found == 0)
		return step_without_table(&state, regs, out);
	if (fde.signal_frame) {
		out->signal_frame = true;
		out->name_pc = out->pc;
	}
	return step_by_table(&state, &fde, regs, out);
}
