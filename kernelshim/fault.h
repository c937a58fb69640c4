/* SPDX-License-Identifier: MIT */
/*
 * Fault injection: in builds with CONFIG_FAULT_INJECTION a test can make the next calls of a kind
 * fail as the kernel would make them fail. In other builds fault() is false, and costs nothing.
 *
 *	fault_arm(FAULT_MAP, 2, 1);	the third mapping from now fails, the ones after it do not
 */
#ifndef URGE_KERNELSHIM_FAULT_H
#define URGE_KERNELSHIM_FAULT_H

#include "kernelshim/atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FAULT_POINTS(X)                                                                            \
	X(FAULT_MAP, "vm_reserve: no memory")                                                      \
	X(FAULT_THREAD, "pthread_create: EAGAIN")                                                  \
	X(FAULT_EPOLL, "epoll_create1: EMFILE")                                                    \
	X(FAULT_EVENTFD, "eventfd2: EMFILE")                                                       \
	X(FAULT_TIMERFD, "timerfd_create: EMFILE")                                                 \
	X(FAULT_EPOLL_ADD, "epoll_ctl: ENOSPC")                                                    \
	X(FAULT_ALTSTACK, "altstack_install: ENOMEM")                                              \
	X(FAULT_MEMBARRIER, "membarrier: EPERM, as under a seccomp filter")

enum fault_point {
#define X(name, words) name,
	FAULT_POINTS(X)
#undef X
		FAULT_POINTS_N
};

/* Of the calls from now on the first skip succeed and the next times fail. Any thread. */
void fault_arm(enum fault_point point, uint32_t skip, uint32_t times);

bool fault_fires(enum fault_point point);

static inline bool fault(enum fault_point point)
{
	return IS_ENABLED(CONFIG_FAULT_INJECTION) && fault_fires(point);
}

#ifdef __cplusplus
}
#endif

#endif
