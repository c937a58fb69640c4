/* SPDX-License-Identifier: MIT */
/*
 * libc's locks, interposed: who holds one stays on its thread.
 *
 * A recursive, error-checking, robust or priority-inheriting mutex must be unlocked by the thread
 * that locked it, and so must a rwlock held for writing and a FILE; and two goroutines on one
 * thread would both walk through a recursive one. So from before the lock until after the unlock
 * the goroutine is pinned (urge_pin_begin): it may be preempted, together with its thread, but not
 * moved.
 *
 * An object of its own: liburge-pins.so, to be linked or preloaded with liburge.so, and a member of
 * liburge.a, which programs pull in that use one of these functions. It exports exactly them. The
 * functions of libc behind them are looked up when the object is loaded, or at the first call if
 * somebody's constructor comes before.
 */
#define URGE_KEEP_ERRNO
#include "sched/urge.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

/* name, parameters, arguments */
#define TAKING(X)                                                                                  \
	X(pthread_mutex_lock, (pthread_mutex_t * l), (l))                                          \
	X(pthread_mutex_trylock, (pthread_mutex_t * l), (l))                                       \
	X(pthread_mutex_timedlock, (pthread_mutex_t * l, const struct timespec *t), (l, t))        \
	X(pthread_mutex_clocklock, (pthread_mutex_t * l, clockid_t c, const struct timespec *t),   \
	  (l, c, t))                                                                               \
	X(pthread_rwlock_rdlock, (pthread_rwlock_t * l), (l))                                      \
	X(pthread_rwlock_tryrdlock, (pthread_rwlock_t * l), (l))                                   \
	X(pthread_rwlock_timedrdlock, (pthread_rwlock_t * l, const struct timespec *t), (l, t))    \
	X(pthread_rwlock_clockrdlock,                                                              \
	  (pthread_rwlock_t * l, clockid_t c, const struct timespec *t), (l, c, t))                \
	X(pthread_rwlock_wrlock, (pthread_rwlock_t * l), (l))                                      \
	X(pthread_rwlock_trywrlock, (pthread_rwlock_t * l), (l))                                   \
	X(pthread_rwlock_timedwrlock, (pthread_rwlock_t * l, const struct timespec *t), (l, t))    \
	X(pthread_rwlock_clockwrlock,                                                              \
	  (pthread_rwlock_t * l, clockid_t c, const struct timespec *t), (l, c, t))                \
	X(pthread_spin_lock, (pthread_spinlock_t * l), (l))                                        \
	X(pthread_spin_trylock, (pthread_spinlock_t * l), (l))                                     \
	X(ftrylockfile, (FILE * l), (l))

#define RELEASING(X)                                                                               \
	X(pthread_mutex_unlock, (pthread_mutex_t * l), (l))                                        \
	X(pthread_rwlock_unlock, (pthread_rwlock_t * l), (l))                                      \
	X(pthread_spin_unlock, (pthread_spinlock_t * l), (l))

static struct {
#define X(name, parameters, arguments) int(*name) parameters;
	TAKING(X)
	RELEASING(X)
#undef X
	void (*flockfile)(FILE *f);
	void (*funlockfile)(FILE *f);
} libc;

/* glibc declares most of them not to throw; what is passed on may, by cancellation. */
static __attribute__((constructor)) void look_up(void)
{
#define X(name, parameters, arguments) libc.name = (int(*) parameters)dlsym(RTLD_NEXT, #name);
	TAKING(X)
	RELEASING(X)
#undef X
	libc.flockfile = (void (*)(FILE *))dlsym(RTLD_NEXT, "flockfile");
	libc.funlockfile = (void (*)(FILE *))dlsym(RTLD_NEXT, "funlockfile");
}

/* Is the lock held after a call with this result? */
static inline bool held(int result)
{
	return result == 0 || result == EOWNERDEAD;
}

#define X(name, parameters, arguments)                                                             \
	URGE_API int name parameters                                                               \
	{                                                                                          \
		int result;                                                                        \
                                                                                                   \
		if (!libc.name)                                                                    \
			look_up();                                                                 \
		urge_pin_begin();                                                                  \
		result = libc.name arguments;                                                      \
		if (!held(result))                                                                 \
			urge_pin_end();                                                            \
		return result;                                                                     \
	}
TAKING(X)
#undef X

#define X(name, parameters, arguments)                                                             \
	URGE_API int name parameters                                                               \
	{                                                                                          \
		int result;                                                                        \
                                                                                                   \
		if (!libc.name)                                                                    \
			look_up();                                                                 \
		result = libc.name arguments;                                                      \
		if (result == 0)                                                                   \
			urge_pin_end();                                                            \
		return result;                                                                     \
	}
RELEASING(X)
#undef X

URGE_API void flockfile(FILE *f)
{
	if (!libc.flockfile)
		look_up();
	urge_pin_begin();
	libc.flockfile(f);
}

URGE_API void funlockfile(FILE *f)
{
	if (!libc.funlockfile)
		look_up();
	libc.funlockfile(f);
	urge_pin_end();
}
