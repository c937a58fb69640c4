/* SPDX-License-Identifier: MIT */
/*
 * The context switch. A suspended context is nothing but a stack pointer: the callee-saved
 * registers, the floating-point control words and the resume address stand on its stack, in a
 * struct context_frame.
 *
 * What makes the old context visible to other threads must run after the switch, on the new side
 * (the old stack is in use until then); that rule belongs to the caller, see sched/switch.h.
 */
#ifndef URGE_KERNELSHIM_CONTEXT_H
#define URGE_KERNELSHIM_CONTEXT_H

#include "kernelshim/compiler.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What context_switch leaves at the saved stack pointer, lowest address first. */
#if defined(__x86_64__)
struct context_frame {
	uint32_t mxcsr;
	uint16_t x87_cw, pad;
	uint64_t r15, r14, r13, r12, rbx, rbp;
	uint64_t pc;
};
#elif defined(__aarch64__)
struct context_frame {
	uint64_t d[8];   /* d8..d15 */
	uint64_t x[10];  /* x19..x28 */
	uint64_t fp, pc; /* x29, x30 */
	uint64_t fpcr, pad;
};
#else
#error "urge: no context switch for this processor; see kernelshim/context.h"
#endif

/*
 * Suspends the caller: stores its stack pointer to *save and resumes the context that was
 * suspended with stack pointer load. Returns when somebody resumes the caller, possibly on another
 * thread: nothing thread-local may be kept across it.
 */
void context_switch(void **save, void *load);

/*
 * Lays a first frame below top (16-byte aligned) and returns the stack pointer to resume: entry is
 * then running with an empty stack and undefined caller.
 */
void *context_make(void *top, void (*entry)(void));

/* Leaves the caller's context for good. */
__attribute__((noreturn)) void context_load(void *load);

#ifdef __cplusplus
}
#endif

#endif
