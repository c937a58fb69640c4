/* SPDX-License-Identifier: MIT */
/*
 * Does another thread of this process run, or is it blocked in the kernel? From
 * /proc/self/task/TID/syscall, which says so at that instant.
 */
#ifndef URGE_KERNELSHIM_THREADSTATE_H
#define URGE_KERNELSHIM_THREADSTATE_H

#ifdef __cplusplus
extern "C" {
#endif

enum thread_state {
	THREAD_RUNS,    /* or waits for a CPU */
	THREAD_BLOCKED, /* in a system call, a page fault, or stopped */
	THREAD_UNKNOWN, /* gone, or the kernel does not tell (setuid, chroot, hidepid) */
};

/*
 * The state of thread tid. *call: the number of the system call that it is blocked in, -1 if it is
 * in none. Neither locks nor allocates; touches no errno. One thread may call it: it keeps files
 * open.
 */
enum thread_state thread_state(int tid, long *call);

/* Closes what thread_state has kept open. */
void thread_state_close(void);

#ifdef __cplusplus
}
#endif

#endif
