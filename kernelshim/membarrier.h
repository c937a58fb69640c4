/* SPDX-License-Identifier: MIT */
/*
 * A full memory barrier on every running thread of this process, executed on behalf of one: lets
 * the other side of a protocol do with a compiler barrier. Neither call touches errno.
 */
#ifndef URGE_KERNELSHIM_MEMBARRIER_H
#define URGE_KERNELSHIM_MEMBARRIER_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Once, at boot, and again in a fork's child. -errno when the process may not have it (-ENOSYS, or
 * -EPERM from a seccomp filter): then both sides need fences of their own.
 */
int membarrier_init(void);

/*
 * Returns after every thread of the process that was running has executed a full barrier; costs a
 * few microseconds, interrupts those CPUs, does not wait for threads that sleep. -EPERM before
 * membarrier_init.
 */
int membarrier_expedited(void);

#ifdef __cplusplus
}
#endif

#endif
