/* SPDX-License-Identifier: MIT */
/*
 * The registers of a frame, by their DWARF numbers, and what else the unwinder must know about a
 * processor. Vector registers are left out: no compiler computes a frame address from one.
 */
#ifndef URGE_KERNELSHIM_UNWIND_ARCH_H
#define URGE_KERNELSHIM_UNWIND_ARCH_H

#include <stdint.h>

#if defined(__x86_64__)

enum {
	UNWIND_RAX,
	UNWIND_RDX,
	UNWIND_RCX,
	UNWIND_RBX,
	UNWIND_RSI,
	UNWIND_RDI,
	UNWIND_RBP,
	UNWIND_RSP,
	UNWIND_R8,
	UNWIND_R9,
	UNWIND_R10,
	UNWIND_R11,
	UNWIND_R12,
	UNWIND_R13,
	UNWIND_R14,
	UNWIND_R15,
	UNWIND_RIP,
	UNWIND_NREGS,

	UNWIND_FP = UNWIND_RBP,
	UNWIND_SP = UNWIND_RSP,
	UNWIND_PC = UNWIND_RIP,
};

/* Preserved by a call: rbx rbp r12..r15; rsp, because the frame address gives it. */
#define UNWIND_CALLEE_SAVED                                                                        \
	(1ull << UNWIND_RBX | 1ull << UNWIND_RBP | 1ull << UNWIND_RSP | 15ull << UNWIND_R12)

/* mov $SYS_rt_sigreturn, %rax; syscall. The ucontext stands where sp points. */
#define UNWIND_SIGRETURN_CODE "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"
#define UNWIND_SIGRETURN_UCONTEXT 0

#elif defined(__aarch64__)

enum {
	UNWIND_X0,
	UNWIND_X18 = 18,
	UNWIND_X19,
	UNWIND_X28 = 28,
	UNWIND_X29,
	UNWIND_X30,
	UNWIND_SP,
	UNWIND_PC, /* not in the DWARF table of an ordinary frame: x30 has the return address */
	UNWIND_NREGS,

	UNWIND_FP = UNWIND_X29,
};

/* Preserved by a call: x19..x29, and sp by the frame address. x18 is the platform's. */
#define UNWIND_CALLEE_SAVED (0xfffull << UNWIND_X18 | 1ull << UNWIND_SP)

/* mov x8, #SYS_rt_sigreturn; svc #0. sp points at the siginfo, 128 bytes; the ucontext follows. */
#define UNWIND_SIGRETURN_CODE "\x68\x11\x80\xd2\x01\x00\x00\xd4"
#define UNWIND_SIGRETURN_UCONTEXT 128

#else
#error "urge: no unwinder for this processor; see kernelshim/unwind_arch.h"
#endif

/* A return address without its pointer authentication code, if the processor adds one. */
static inline uint64_t unwind_strip_signature(uint64_t address)
{
#if defined(__aarch64__)
	register uint64_t x30 __asm__("x30") = address;

	__asm__("hint #7" /* xpaclri; a no-op before ARMv8.3 */ : "+r"(x30));
	return x30;
#else
	return address;
#endif
}

#endif
