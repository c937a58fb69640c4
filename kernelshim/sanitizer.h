/* SPDX-License-Identifier: MIT */
/*
 * What the sanitizers must be told of a stack switch. Nothing in other builds.
 *
 * AddressSanitizer keeps a fake stack per stack: the old side stores its own in *save (NULL save on
 * a stack's last exit, which frees it), the new side gives back what it stored. ThreadSanitizer
 * keeps a fiber per stack, changed right before the switch.
 */
#ifndef URGE_KERNELSHIM_SANITIZER_H
#define URGE_KERNELSHIM_SANITIZER_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define URGE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define URGE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define URGE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define URGE_TSAN 1
#endif
#endif

#ifdef URGE_ASAN
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
void __asan_unpoison_memory_region(const void volatile *addr, size_t size);
#endif
#ifdef URGE_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *sync);
void __tsan_release(void *sync);
#endif

static inline void sanitizer_start_switch(void **save, const void *bottom, size_t size, void *fiber)
{
#ifdef URGE_ASAN
	__sanitizer_start_switch_fiber(save, bottom, size);
#endif
#ifdef URGE_TSAN
	__tsan_switch_to_fiber(fiber, 0);
#endif
	(void)save, (void)bottom, (void)size, (void)fiber;
}

static inline void sanitizer_finish_switch(void *fake)
{
#ifdef URGE_ASAN
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
	(void)fake;
}

/* What was a stack is used anew: what the last frames on it poisoned is void. */
static inline void sanitizer_reuse(const void *addr, size_t size)
{
#ifdef URGE_ASAN
	__asan_unpoison_memory_region(addr, size);
#endif
	(void)addr, (void)size;
}

static inline void *sanitizer_fiber_new(void)
{
#ifdef URGE_TSAN
	return __tsan_create_fiber(0);
#else
	return NULL;
#endif
}

static inline void *sanitizer_fiber_self(void)
{
#ifdef URGE_TSAN
	return __tsan_get_current_fiber();
#else
	return NULL;
#endif
}

static inline void sanitizer_fiber_free(void **fiber)
{
#ifdef URGE_TSAN
	if (*fiber)
		__tsan_destroy_fiber(*fiber);
#endif
	*fiber = NULL;
}

/*
 * What was before a release of sync was before what comes after an acquire of it: for orders that
 * others keep, the kernel for one.
 */
static inline void sanitizer_release(void *sync)
{
#ifdef URGE_TSAN
	__tsan_release(sync);
#endif
	(void)sync;
}

static inline void sanitizer_acquire(void *sync)
{
#ifdef URGE_TSAN
	__tsan_acquire(sync);
#endif
	(void)sync;
}

#endif
