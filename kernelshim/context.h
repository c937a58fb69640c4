/* SPDX-License-Identifier: MIT */
/*
 * The context switch: five instructions, inline.
 *
 * A suspended context is a stack pointer, a frame pointer and a resume address. All other registers
 * are declared as clobbered, so that the compiler keeps what it still needs in the frame around the
 * switch, where its unwind tables say it is: a parked stack unwinds from these three words, and the
 * switch needs no tables of its own, since stack and frame pointer change together.
 *
 * Rejected: a function in an assembly file that pushes the six callee-saved registers. It saves
 * what nobody needs, and the call that enters it is never returned from: every return after it is
 * mispredicted (24 ns a switch through the scheduler against 15 inline, on a Zen 5).
 *
 * The floating-point control words (MXCSR and x87's; FPCR) stay with the thread, though the ABIs
 * call them callee-saved: reading MXCSR and x87's takes 7 ns. See docs/thread-affine.md.
 *
 * What makes the old context visible to other threads must run after the switch, on the new side
 * (the old stack is in use until then); that rule belongs to the caller, see sched/switch.h.
 */
#ifndef URGE_KERNELSHIM_CONTEXT_H
#define URGE_KERNELSHIM_CONTEXT_H

#include "kernelshim/compiler.h"

struct context {
	void *sp;
	uintptr_t pc;
	uintptr_t fp;
};

/* A context that enters entry with an empty stack below top (16-byte aligned). */
static inline struct context context_make(void *top, void (*entry)(void))
{
#if defined(__x86_64__)
	uint64_t *sp = (uint64_t *)top - 1; /* where a call would have left it */

	*sp = 0;
	return (struct context){ sp, (uintptr_t)entry, 0 };
#elif defined(__aarch64__)
	return (struct context){ top, (uintptr_t)entry, 0 };
#endif
}

/*
 * Suspends the caller in *save and resumes *load. Returns when somebody resumes *save, possibly on
 * another thread: nothing thread-local may be kept across it. Nobody may resume *save before the
 * new side runs.
 */
static inline __attribute__((always_inline)) void context_switch(struct context *save,
								 const struct context *load)
{
#if defined(__x86_64__)
	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "movq %%rsp, 0(%0)\n\t"
			 "movq %%rax, 8(%0)\n\t"
			 "movq %%rbp, 16(%0)\n\t"
			 "movq 16(%1), %%rbp\n\t"
			 "movq 0(%1), %%rsp\n\t"
			 "jmpq *8(%1)\n"
			 "1:"
			 : "+D"(save), "+S"(load)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
			   "r14", "r15", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
			   "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
			   "xmm13", "xmm14", "xmm15");
#elif defined(__aarch64__)
	register struct context *x0 __asm__("x0") = save;
	register const struct context *x1 __asm__("x1") = load;

	/* br x16: the one register, with x17, that may branch to a landing pad for calls */
	__asm__ volatile("adr x16, 1f\n\t"
			 "mov x17, sp\n\t"
			 "stp x17, x16, [%0]\n\t"
			 "str x29, [%0, #16]\n\t"
			 "ldp x17, x16, [%1]\n\t"
			 "ldr x29, [%1, #16]\n\t"
			 "mov sp, x17\n\t"
			 "br x16\n"
			 "1:\thint #34" /* bti c */
			 : "+r"(x0), "+r"(x1)
			 :
			 : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
			   "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22",
			   "x23", "x24", "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3",
			   "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
			   "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24",
			   "v25", "v26", "v27", "v28", "v29", "v30", "v31", "cc", "memory");
#endif
}

/*
 * Zeroes all vector registers, which are dead around a switch, so that nobody finds in them what
 * somebody else has left: see vector_amd64.S. On arm64 there is nothing to be found.
 */
#if defined(__x86_64__)
void vector_clear(void);
#else
static inline void vector_clear(void) {}
#endif

/* Leaves the caller's context for good. */
static inline __attribute__((noreturn)) void context_load(const struct context *load)
{
	struct context nowhere;

	context_switch(&nowhere, load);
	__builtin_unreachable();
}

#endif
