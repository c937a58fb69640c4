/* SPDX-License-Identifier: MIT */
/*
 * System calls without libc: they return -errno and touch neither errno nor any other TLS, take no
 * lock and are safe in signal handlers. libc's own wrappers are not used on scheduler paths: they
 * write errno, which belongs to the goroutine that happens to run on the thread, and the blocking
 * ones among them are cancellation points.
 *
 * One asm statement per processor serves all counts of arguments: clearing an unused register
 * costs nothing beside the call.
 */
#ifndef URGE_KERNELSHIM_SYS_H
#define URGE_KERNELSHIM_SYS_H

#include <stdint.h>
#include <sys/syscall.h>

/* Returns what the kernel returns: -4095..-1 is -errno, everything else is the result. */
#ifdef __clang_analyzer__
/* An asm statement writes nothing that the analyzer sees; an unknown function may write anything. */
long sys_call6(long nr, long a, long b, long c, long d, long e, long f);
#else
static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#else
#error "urge: no system call sequence for this processor"
#endif
}
#endif

static inline long sys_call0(long nr)
{
	return sys_call6(nr, 0, 0, 0, 0, 0, 0);
}

static inline long sys_call1(long nr, long a)
{
	return sys_call6(nr, a, 0, 0, 0, 0, 0);
}

static inline long sys_call2(long nr, long a, long b)
{
	return sys_call6(nr, a, b, 0, 0, 0, 0);
}

static inline long sys_call3(long nr, long a, long b, long c)
{
	return sys_call6(nr, a, b, c, 0, 0, 0);
}

static inline long sys_call4(long nr, long a, long b, long c, long d)
{
	return sys_call6(nr, a, b, c, d, 0, 0);
}

static inline long sys_call5(long nr, long a, long b, long c, long d, long e)
{
	return sys_call6(nr, a, b, c, d, e, 0);
}

/* A pointer as an argument of the calls above. */
static inline long sys_ptr(const volatile void *p)
{
	return (long)(uintptr_t)p;
}

/* True for the results that stand for an error; needed where a result is an address. */
static inline int sys_is_error(long ret)
{
	return (unsigned long)ret > -4096UL;
}

#endif
