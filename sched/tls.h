/* SPDX-License-Identifier: MIT */
/*
 * The one thread-local variable of the runtime: the calling thread's M.
 *
 * It is read by value, in one volatile instruction, never through an address that a compiler could
 * keep across a switch: on the other side of a switch the thread may be another. For the same
 * reason the errno of a thread is reached through its M.
 */
#ifndef URGE_SCHED_TLS_H
#define URGE_SCHED_TLS_H

#include "kernelshim/compiler.h"

#include <stddef.h>
#include <stdint.h>

struct m;

extern __thread struct m *urge_tls_m __attribute__((tls_model("initial-exec")));

/* The calling thread's M; NULL on a thread that is not the runtime's. */
static inline struct m *getm(void)
{
	struct m *mp;

#if defined(__x86_64__)
	__asm__ volatile("movq urge_tls_m@gottpoff(%%rip), %0\n\t"
			 "movq %%fs:(%0), %0"
			 : "=r"(mp));
#elif defined(__aarch64__)
	uintptr_t tp;

	__asm__ volatile("mrs %1, tpidr_el0\n\t"
			 "adrp %0, :gottprel:urge_tls_m\n\t"
			 "ldr %0, [%0, #:gottprel_lo12:urge_tls_m]\n\t"
			 "ldr %0, [%1, %0]"
			 : "=&r"(mp), "=&r"(tp));
#endif
	return mp;
}

/*
 * What lies in the thread's local storage is reached by its offset from the thread pointer, with
 * the segment register: an address in a general register would still be there when the goroutine
 * goes on with its own code, and the preemption's decision would take it for the goroutine's.
 */
static inline intptr_t tls_offset(const void *address)
{
	return (intptr_t)address - (intptr_t)__builtin_thread_pointer();
}

#if defined(__x86_64__)
static inline uint32_t tls_load32(intptr_t at)
{
	uint32_t value;

	__asm__ volatile("movl %%fs:(%1), %0" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline void tls_store32(intptr_t at, uint32_t value)
{
	__asm__ volatile("movl %1, %%fs:(%0)" : : "r"(at), "r"(value) : "memory");
}

static inline uint64_t tls_load64(intptr_t at)
{
	uint64_t value;

	__asm__ volatile("movq %%fs:(%1), %0" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline void tls_store64(intptr_t at, uint64_t value)
{
	__asm__ volatile("movq %1, %%fs:(%0)" : : "r"(at), "r"(value) : "memory");
}
#else
#define TLS_AT(type, at) (*(volatile type *)((char *)__builtin_thread_pointer() + (at)))

static inline uint32_t tls_load32(intptr_t at)
{
	return TLS_AT(uint32_t, at);
}

static inline void tls_store32(intptr_t at, uint32_t value)
{
	TLS_AT(uint32_t, at) = value;
}

static inline uint64_t tls_load64(intptr_t at)
{
	return TLS_AT(uint64_t, at);
}

static inline void tls_store64(intptr_t at, uint64_t value)
{
	TLS_AT(uint64_t, at) = value;
}
#endif

/* Sets it: when a thread becomes an M, and when it ends. */
void setm(struct m *mp);

/* The size and place of the runtime's thread-local storage, see preempt/module.c. */
const void *urge_tls_address(void);
size_t urge_tls_size(void);

/*
 * errno of the calling thread, fresh at each call. Not inline: see above.
 */
int errno_load(void);

#endif
