/* SPDX-License-Identifier: MIT */
/*
 * What a signal handler sees of, and may do to, the context it interrupted: the general and
 * extended registers in the frame that the kernel built, and the rewriting of that frame into a
 * call. Everything here is signal-side: no TLS, no libc, no stack protector, general registers
 * only.
 */
#ifndef URGE_KERNELSHIM_SIGFRAME_H
#define URGE_KERNELSHIM_SIGFRAME_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes below sp that a leaf function may use without moving sp. */
#if defined(__x86_64__)
#define SIGFRAME_REDZONE 128
#else
#define SIGFRAME_REDZONE 0
#endif

/* Once, at boot: the layout of the extended state. Not signal-side. */
void sigframe_init(void);

/* Bytes of stack that an injected call needs below the red zone for the saved state. */
size_t sigframe_xstate_size(void);

/* True when the processor keeps a shadow stack for this thread: return addresses can't be moved. */
bool sigframe_shadow_stack(void);

uintptr_t sigframe_pc_sig(const void *ucontext);
uintptr_t sigframe_sp_sig(const void *ucontext);

/*
 * True when the signal found the thread in a system call: the kernel has it ready to be made again,
 * or to return with EINTR. (Or it is just about to make one.)
 */
bool sigframe_in_syscall_sig(const void *ucontext);

/* True when a system call is about to return EINTR because of this signal. */
bool sigframe_interrupted_sig(const void *ucontext);

/*
 * Turns such a call, of which EINTR says that it has done nothing, into one that is about to be
 * made. False: it can't be told which call it is, or it is none of those.
 */
bool sigframe_repeat_syscall_sig(void *ucontext);

enum sigframe_regs {
	SIGFRAME_REGS_CLEAN,   /* no register points into [lo, hi) */
	SIGFRAME_REGS_POINT,   /* one does */
	SIGFRAME_REGS_UNKNOWN, /* state in use that can't be inspected or moved (AMX, APX, PKRU) */
};

/* Looks for an address in [lo, hi) in every general and vector register of the frame. */
enum sigframe_regs sigframe_scan_regs_sig(const void *ucontext, uintptr_t lo, uintptr_t hi);

/*
 * Rewrites the frame so that the thread, when the handler returns, runs target as if the
 * interrupted instruction had called it, below the red zone. target must restore every register
 * and drop the red zone on its return.
 */
void sigframe_inject_call_sig(void *ucontext, void (*target)(void));

#ifdef __cplusplus
}
#endif

#endif
