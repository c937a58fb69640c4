/* SPDX-License-Identifier: MIT */
/* How many Ps there are. See procresize.c. */
#ifndef URGE_SCHED_PROCRESIZE_H
#define URGE_SCHED_PROCRESIZE_H

/*
 * Sets GOMAXPROCS to n > 0 and returns the former one; -EINVAL above the limit, -ENOMEM, or -EPERM
 * when the world has ended meanwhile: then nothing has changed. Any thread, in the runtime if it is an
 * M. Waits for other callers, and for nobody else.
 */
int procresize(int n);

/* sysmon: Ps that were draining and are dead now leave the snapshot. */
void procs_trim(void);

/* Boot: the first n Ps, all idle. 0 or -errno. */
int procinit(int n);

/* Return of urge_main: all Ps are nobody's again. No M runs. */
void procreset(void);

#endif
