/* SPDX-License-Identifier: MIT */
/*
 * What a thread can ask the kernel about itself, and the signals that threads of this process send
 * each other. No call touches errno, takes a lock or blocks; all but thread_count and
 * thread_runnable, which read files, are safe in signal handlers. Errors are -errno.
 */
#ifndef URGE_KERNELSHIM_THREAD_H
#define URGE_KERNELSHIM_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The kernel's id of the calling thread; asked every time, so right after a fork too. */
int thread_gettid(void);

/* How late the kernel may wake this thread from a timed wait, to save power; at least 1 ns. */
int thread_set_timer_slack(uint64_t ns);

/*
 * Asks the scheduler (EEVDF, Linux 6.12) for a time slice of ns, brought into its 0.1-100 ms: with
 * a short one a thread that seldom runs gets its CPU sooner. Policy and nice value stay; no
 * privilege is needed. -EOPNOTSUPP when the kernel ignores the wish, or the thread's policy has no
 * such slice (real time, SCHED_IDLE).
 */
int thread_set_short_slice(uint64_t ns);

/*
 * Lowers this thread's nice value by so much, or as far as the process may: with CAP_SYS_NICE to
 * -20, else to what RLIMIT_NICE says. 0 or -errno: -EACCES when it may not at all.
 */
int thread_lower_nice(int by);

/* The name that top, gdb and /proc show; the kernel keeps its first 15 bytes. */
void thread_set_name(const char *name);

/* The CPU that the calling thread is on at this moment; never THREAD_NO_CPU. */
uint32_t thread_cpu(void);
#define THREAD_NO_CPU UINT32_MAX

/* How many CPUs this thread may run on. */
int thread_affinity_count(void);

/*
 * The CPUs that this thread may run on, those that are online: bit n of the mask for CPU n. size is
 * in bytes, a multiple of 8; the rest of a mask that is larger than the kernel's is left alone.
 * -EINVAL when it is smaller; when setting also if no CPU of the mask may be used.
 */
int thread_affinity(uint64_t *mask, size_t size);
int thread_set_affinity(const uint64_t *mask, size_t size);

/* Sends sig to a thread of this process; -ESRCH when it is gone. */
int thread_tgkill(int tid, int sig);

/*
 * The same with a value: the handler sees si_code SI_QUEUE, our si_pid and si_uid, and the value in
 * si_value. When the user's RLIMIT_SIGPENDING is used up, a standard signal arrives nevertheless
 * but stripped: SI_USER, si_pid 0, no value; a real-time signal is -EAGAIN.
 */
int thread_sigqueue(int tid, int sig, uint64_t value);

/*
 * Changes this thread's signal mask by how (SIG_BLOCK, ...): bit n-1 stands for signal n. set may
 * be NULL, old too. Unlike pthread_sigmask it can block the signals that libc keeps for itself (32
 * and 33): leave those alone, or setuid() in another thread waits for ever.
 */
int thread_sigmask(int how, const uint64_t *set, uint64_t *old);

/*
 * How many threads this process has at one instant during the call, by /proc/self/stat. -errno when
 * that can't be read: /proc is not mounted.
 */
int thread_count(void);

/*
 * Whether a thread of this process runs or waits for a CPU, and does not sleep in the kernel, by
 * /proc/self/task. False also when that can't be read, or there is no such thread.
 */
bool thread_runnable(int tid);

#ifdef __cplusplus
}
#endif

#endif
