/* SPDX-License-Identifier: MIT */
/*
 * Stack traces from DWARF call frame information: of the calling thread, of a parked goroutine from
 * its saved registers, of a thread stopped in a signal handler from its ucontext.
 *
 *	struct unwind_regs regs;
 *	struct unwind_frame frame;
 *	int more;
 *
 *	unwind_from_ucontext(&regs, ucontext);
 *	do {
 *		more = unwind_step(&regs, &frame, stack_lo, stack_hi);
 *		... frame.name_pc ...
 *	} while (more == 1);
 *
 * Written by hand because libgcc's and libunwind's unwinders may allocate and lock, and trust the
 * stack: a dump walks stacks that other threads are using or have overflowed. Here nothing is
 * allocated, no lock is taken, nothing is cached, and no word outside the given stack is read.
 * The unwind tables are trusted to be mapped, not to be well-formed.
 */
#ifndef URGE_KERNELSHIM_UNWIND_H
#define URGE_KERNELSHIM_UNWIND_H

#include <stdbool.h>
#include <stdint.h>

#include "kernelshim/unwind_arch.h"

#ifdef __cplusplus
extern "C" {
#endif

struct unwind_regs {
	uint64_t value[UNWIND_NREGS];
	uint64_t known; /* bit n: value[n] is meaningful; needed for sp and pc at least */

	/*
	 * pc is an instruction that has yet to run (an interrupted context, the entry of a
	 * goroutine that never ran) rather than the one after a call. It decides which row of the
	 * table holds, and behind a call that does not return even which function.
	 */
	bool pc_exact;
};

/* The frame that a step left. */
struct unwind_frame {
	uintptr_t pc;
	uintptr_t name_pc; /* inside the instruction that is running: look symbols up by this */
	uintptr_t cfa;     /* sp before the call that made the frame; 0 if the step failed */
	bool signal_frame; /* a signal trampoline, or a call injected by preemption */
	bool guessed;      /* no table: the caller comes from the frame pointer, and may be wrong */
};

/* For filling a struct unwind_regs that was zeroed. */
static inline void unwind_set(struct unwind_regs *regs, unsigned reg, uint64_t value)
{
	regs->value[reg] = value;
	regs->known |= 1ull << reg;
}

/* All registers of an interrupted context (ucontext_t *), or of getcontext's. Async-signal-safe. */
void unwind_from_ucontext(struct unwind_regs *regs, const void *ucontext);

/*
 * Goes from a frame to its caller: regs become the caller's and *out describes the frame left.
 * Memory in [stack_lo, stack_hi) must be readable; nothing else of the stack is read.
 *
 * Returns 1 when regs hold the caller; 0 when the frame left was the outermost, or nobody can
 * tell what its caller is (regs unchanged); or, with regs unchanged,
 *	-EFAULT		the caller is outside the bounds
 *	-ENODATA	it depends on a register that is not known
 *	-ELOOP		it is not further up the stack
 *	-EINVAL		the table is broken or uses what no compiler emits
 *
 * A step out of a signal frame may arrive on another stack, whose bounds the next step needs.
 * Async-signal-safe, no errno; needs 5 KiB of stack. A concurrent dlclose of the code being walked
 * is the caller's to prevent.
 */
int unwind_step(struct unwind_regs *regs, struct unwind_frame *out, uintptr_t stack_lo,
		uintptr_t stack_hi);

#ifdef __cplusplus
}
#endif

#endif
