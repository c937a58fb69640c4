/* SPDX-License-Identifier: MIT */
/*
 * Typed atomics. An atomic lives in a struct, so that a plain access does not compile, and the
 * ordering is in the operation's name, so that a reader sees every barrier. Built on the
 * __atomic builtins rather than on _Atomic: these headers are read by C++ tests as well.
 *
 *	load_rlx  store_rlx	no order, only no tearing
 *	load_acq  store_rel	acquire, release
 *	xchg, cas, add, sub, or_, and_	sequentially consistent: on x86 and ARMv8.1 (LSE) a
 *			read-modify-write costs the same whatever it is told, and each is a full
 *			barrier that the scheduler's protocols rely on
 *
 * add/sub return the new value, as in Go; or_/and_ the old one.
 */
#ifndef URGE_KERNELSHIM_ATOMIC_H
#define URGE_KERNELSHIM_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URGE_DEFINE_ATOMIC(name, type)                                                             \
	struct atomic_##name {                                                                     \
		type v;                                                                            \
	};                                                                                         \
	static inline type load_rlx_##name(const struct atomic_##name *a)                          \
	{                                                                                          \
		return __atomic_load_n(&a->v, __ATOMIC_RELAXED);                                   \
	}                                                                                          \
	static inline type load_acq_##name(const struct atomic_##name *a)                          \
	{                                                                                          \
		return __atomic_load_n(&a->v, __ATOMIC_ACQUIRE);                                   \
	}                                                                                          \
	static inline void store_rlx_##name(struct atomic_##name *a, type v)                       \
	{                                                                                          \
		__atomic_store_n(&a->v, v, __ATOMIC_RELAXED);                                      \
	}                                                                                          \
	static inline void store_rel_##name(struct atomic_##name *a, type v)                       \
	{                                                                                          \
		__atomic_store_n(&a->v, v, __ATOMIC_RELEASE);                                      \
	}                                                                                          \
	static inline type xchg_##name(struct atomic_##name *a, type v)                            \
	{                                                                                          \
		return __atomic_exchange_n(&a->v, v, __ATOMIC_SEQ_CST);                            \
	}                                                                                          \
	static inline bool cas_##name(struct atomic_##name *a, type expected, type v)              \
	{                                                                                          \
		return __atomic_compare_exchange_n(&a->v, &expected, v, false, __ATOMIC_SEQ_CST,   \
						   __ATOMIC_RELAXED);                              \
	}

#define URGE_DEFINE_ATOMIC_INT(name, type)                                                         \
	URGE_DEFINE_ATOMIC(name, type)                                                             \
	static inline type add_##name(struct atomic_##name *a, type n)                             \
	{                                                                                          \
		return __atomic_add_fetch(&a->v, n, __ATOMIC_SEQ_CST);                             \
	}                                                                                          \
	static inline type sub_##name(struct atomic_##name *a, type n)                             \
	{                                                                                          \
		return __atomic_sub_fetch(&a->v, n, __ATOMIC_SEQ_CST);                             \
	}                                                                                          \
	static inline type or_##name(struct atomic_##name *a, type bits)                           \
	{                                                                                          \
		return __atomic_fetch_or(&a->v, bits, __ATOMIC_SEQ_CST);                           \
	}                                                                                          \
	static inline type and_##name(struct atomic_##name *a, type bits)                          \
	{                                                                                          \
		return __atomic_fetch_and(&a->v, bits, __ATOMIC_SEQ_CST);                          \
	}

URGE_DEFINE_ATOMIC_INT(u32, uint32_t)
URGE_DEFINE_ATOMIC_INT(i32, int32_t)
URGE_DEFINE_ATOMIC_INT(u64, uint64_t)
URGE_DEFINE_ATOMIC_INT(i64, int64_t)
URGE_DEFINE_ATOMIC_INT(size, size_t)
URGE_DEFINE_ATOMIC(ptr, void *)

/* The full barrier of Dekker-like protocols: orders an earlier store before a later load. */
static inline void smp_mb(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
