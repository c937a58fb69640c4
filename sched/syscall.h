/* SPDX-License-Identifier: MIT */
/* System calls: the P of a goroutine that may block in the kernel. See syscall.c. */
#ifndef URGE_SCHED_SYSCALL_H
#define URGE_SCHED_SYSCALL_H

#include "sched/runtime2.h"

/* urge_entersyscall and urge_exitsyscall between enter and leave; exitsyscall may block. */
void entersyscall(struct m *mp);
void exitsyscall(void);

/* A call has turned out long, or short. */
void syscall_was(bool lengthy);

/* sysmon: takes pp away from the M that is in a system call with it. False: it has come back. */
bool syscall_retake(struct p *pp);

#endif
