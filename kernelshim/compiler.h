/* SPDX-License-Identifier: MIT */
/*
 * What the compiler and the processor need to be told, in one place.
 */
#ifndef URGE_KERNELSHIM_COMPILER_H
#define URGE_KERNELSHIM_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define noinline __attribute__((noinline))
#define barrier() __asm__ volatile("" ::: "memory")

#define CACHE_LINE 64
#define cacheline_aligned __attribute__((aligned(CACHE_LINE)))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define round_up(n, to) (((n) + (to)-1) / (to) * (to))

/*
 * Code in this section is the runtime's too, but its return addresses may stand on the stack of
 * a goroutine that is moved by an injected preemption: it holds nothing while user code runs.
 */
#define in_urge_entry __attribute__((section("urge_entry")))

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

#endif
