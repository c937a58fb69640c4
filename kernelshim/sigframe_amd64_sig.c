/* SPDX-License-Identifier: MIT */
/*
 * The signal frame on x86-64. The extended state in it has XSAVE's standard format: each component
 * at the offset that CPUID leaf 0xD names, present if its bit in the header is set (else it is in
 * its initial state, all zeros).
 */
#include "kernelshim/sigframe.h"

#include <errno.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum {
	X_X87 = 1 << 0,
	X_SSE = 1 << 1,
	X_AVX = 1 << 2,
	X_OPMASK = 1 << 5,
	X_ZMM_HI256 = 1 << 6,
	X_HI16_ZMM = 1 << 7,
	X_PKRU = 1 << 9,
	X_GOROUTINE = X_X87 | X_SSE | X_AVX | X_OPMASK | X_ZMM_HI256 | X_HI16_ZMM,

	XSAVE_HEADER = 512,
	XSAVE_EXTENDED = 576,
	FXSAVE_X87 = 32,
	FXSAVE_XMM = 160,
	MAGIC1 = 0x46505853, /* FP_XSTATE_MAGIC1, at 464: there is more than FXSAVE's 512 bytes */
};

/* How asyncpreempt saves the extended state: read by its assembly. */
__attribute__((visibility("hidden"))) uint32_t xstate_kind; /* 0 fxsave, 1 xsave, 2 xsavec */
__attribute__((visibility("hidden"))) uint32_t xstate_mask;
__attribute__((visibility("hidden"))) uint64_t xstate_area = 512;

static struct {
	uint32_t offset, size;
} component[10];
static uint32_t initial_pkru;

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(leaf), "c"(sub));
}

void sigframe_init(void)
{
	uint32_t r[4], xcr0, compact = XSAVE_EXTENDED, standard = XSAVE_EXTENDED;

	cpuid(1, 0, r);
	if (!(r[2] & UINT32_C(1) << 27)) /* OSXSAVE */
		return;
	__asm__ volatile("xgetbv" : "=a"(xcr0) : "c"(0) : "edx");
	xstate_mask = xcr0 & X_GOROUTINE;
	for (uint32_t i = 2; i < sizeof(component) / sizeof(component[0]); i++) {
		if (!(xcr0 >> i & 1))
			continue;
		cpuid(0xd, i, r);
		component[i].size = r[0];
		component[i].offset = r[1];
		if (!(xstate_mask >> i & 1))
			continue;
		if (r[2] & 2) /* aligned to 64 in the compacted format */
			compact = (compact + 63) & ~UINT32_C(63);
		compact += r[0];
		if (r[1] + r[0] > standard)
			standard = r[1] + r[0];
	}
	cpuid(0xd, 1, r);
	xstate_kind = r[0] & 2 ? 2 : 1;
	xstate_area = xstate_kind == 2 ? compact : standard;
	if (xcr0 & X_PKRU)
		__asm__ volatile("rdpkru" : "=a"(initial_pkru) : "c"(0) : "edx");
}

size_t sigframe_xstate_size(void)
{
	return xstate_area + 64; /* aligned to 64 */
}

bool sigframe_shadow_stack(void)
{
	uint64_t ssp = 0;

	/* rdsspq: a hint instruction that leaves its register alone where there is no shadow stack */
	__asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8" : "+a"(ssp));
	return ssp != 0;
}

uintptr_t sigframe_pc_sig(const void *ucontext)
{
	return (uintptr_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
}

uintptr_t sigframe_sp_sig(const void *ucontext)
{
	return (uintptr_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RSP];
}

enum { SYSCALL = 0x050f }; /* 0f 05, read as a little-endian word */

bool sigframe_interrupted_sig(const void *ucontext)
{
	const greg_t *gregs = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;
	uintptr_t pc = (uintptr_t)gregs[REG_RIP];

	return gregs[REG_RAX] == -EINTR && pc % 4096 >= 2 && *(const uint16_t *)(pc - 2) == SYSCALL;
}

/*
 * Those that return EINTR with a handler, also one with SA_RESTART (sockets if they have a
 * time-out), and have done nothing then: not connect, which goes on by itself.
 */
static bool repeatable(uint64_t nr)
{
	switch (nr) {
	case SYS_read:
	case SYS_readv:
	case SYS_write:
	case SYS_writev:
	case SYS_poll:
	case SYS_ppoll:
	case SYS_select:
	case SYS_pselect6:
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_pause:
	case SYS_rt_sigsuspend:
	case SYS_rt_sigtimedwait:
	case SYS_futex:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_msgsnd:
	case SYS_msgrcv:
	case SYS_io_getevents:
	case SYS_io_uring_enter:
	case SYS_accept:
	case SYS_accept4:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
		return true;
	default:
		return false;
	}
}

/*
 * The result has replaced the number of the call in rax; the instruction right before the call
 * tells it:
 *	b8 imm32	mov $nr, %eax		most of libc's wrappers
 *	48 89 44 24 f8	mov %rax, -8(%rsp)	syscall(), where it is ours; the red zone is kept
 */
static bool number_of_call(const greg_t *gregs, uint64_t *nr)
{
	const unsigned char *at = (const unsigned char *)gregs[REG_RIP];

	if ((uintptr_t)at % 4096 < 7)
		return false;
	if (at[-7] == 0xb8) {
		*nr = at[-6] | (uint32_t)at[-5] << 8 | (uint32_t)at[-4] << 16 |
		      (uint32_t)at[-3] << 24;
		return true;
	}
	if (at[-7] == 0x48 && at[-6] == 0x89 && at[-5] == 0x44 && at[-4] == 0x24 &&
	    at[-3] == 0xf8) {
		*nr = *(const uint64_t *)(gregs[REG_RSP] - 8);
		return true;
	}
	return false;
}

bool sigframe_repeat_syscall_sig(void *ucontext)
{
	greg_t *gregs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
	uint64_t nr;

	if (!sigframe_interrupted_sig(ucontext) || !number_of_call(gregs, &nr) || !repeatable(nr))
		return false;
	gregs[REG_RAX] = (greg_t)nr;
	gregs[REG_RIP] -= 2;
	return true;
}

bool sigframe_in_syscall_sig(const void *ucontext)
{
	const greg_t *gregs = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;
	uintptr_t pc = (uintptr_t)gregs[REG_RIP];

	if (pc % 4096 < 4094 && *(const uint16_t *)pc == SYSCALL)
		return true;
	return sigframe_interrupted_sig(ucontext);
}

/* Any aligned word of the n bytes at p in [lo, hi)? */
static bool words_point(const char *p, uint32_t n, uintptr_t lo, uintptr_t hi)
{
	const uint64_t *w = (const uint64_t *)p;

	for (uint32_t i = 0; i < n / sizeof(*w); i++)
		if (w[i] - lo < hi - lo)
			return true;
	return false;
}

enum sigframe_regs sigframe_scan_regs_sig(const void *ucontext, uintptr_t lo, uintptr_t hi)
{
	const mcontext_t *mc = &((const ucontext_t *)ucontext)->uc_mcontext;
	const char *fp = (const char *)mc->fpregs;
	uint64_t in_use;

	for (int r = REG_R8; r <= REG_RSP; r++) /* R8..R15 RDI RSI RBP RBX RDX RAX RCX RSP */
		if ((uintptr_t)mc->gregs[r] - lo < hi - lo)
			return SIGFRAME_REGS_POINT;
	if (!fp)
		return SIGFRAME_REGS_CLEAN;
	if (words_point(fp + FXSAVE_X87, 8 * 16, lo, hi) ||
	    words_point(fp + FXSAVE_XMM, 16 * 16, lo, hi))
		return SIGFRAME_REGS_POINT;
	if (*(const uint32_t *)(fp + 464) != MAGIC1)
		return xstate_kind == 0 ? SIGFRAME_REGS_CLEAN : SIGFRAME_REGS_UNKNOWN;
	in_use = *(const uint64_t *)(fp + XSAVE_HEADER);
	if (in_use & ~(uint64_t)(X_GOROUTINE | X_PKRU))
		return SIGFRAME_REGS_UNKNOWN;
	if (in_use & X_PKRU && *(const uint32_t *)(fp + component[9].offset) != initial_pkru)
		return SIGFRAME_REGS_UNKNOWN;
	for (unsigned i = 2; i <= 7; i++)
		if (in_use >> i & 1 &&
		    words_point(fp + component[i].offset, component[i].size, lo, hi))
			return SIGFRAME_REGS_POINT;
	return SIGFRAME_REGS_CLEAN;
}

void sigframe_inject_call_sig(void *ucontext, void (*target)(void))
{
	greg_t *gregs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
	uint64_t *sp = (uint64_t *)(gregs[REG_RSP] - SIGFRAME_REDZONE);

	*--sp = (uint64_t)gregs[REG_RIP];
	gregs[REG_RSP] = (greg_t)(uintptr_t)sp;
	gregs[REG_RIP] = (greg_t)(uintptr_t)target;
}
