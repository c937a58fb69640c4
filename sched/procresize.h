/* SPDX-License-Identifier: MIT */
/* How many Ps there are. See procresize.c. */
#ifndef URGE_SCHED_PROCRESIZE_H
#define URGE_SCHED_PROCRESIZE_H

#include "sched/maxprocs.h"

/*
 * Sets GOMAXPROCS to n > 0 and returns the former one; -EINVAL above the limit, -ENOMEM, or -EPERM
 * when the world has ended meanwhile: then nothing has changed. By MAXPROCS_FIXED: any thread, in
 * the runtime if it is an M; waits for other callers, and for nobody else; from now on only such
 * calls change it. By another mode: sysmon; -EBUSY when the mode is no longer that, or somebody
 * else is at it.
 */
int procresize(int n, enum maxprocs_mode by);

/* The mode becomes MAXPROCS_AUTO; or, if it is, MAXPROCS_FIXED. Callers as above. */
void procresize_auto(bool on);

/*
 * sysmon: Ps that were draining and are dead now leave the snapshot. True: there are others, or
 * that is not known now, so look again.
 */
bool procs_trim(void);

/* Boot: the first n Ps, all idle. 0 or -errno. */
int procinit(int n);

/* Return of urge_main: all Ps are nobody's again. No M runs. */
void procreset(void);

/* The same in a fork's child, whatever other threads were at. GOMAXPROCS then stays as it is set. */
void procresize_after_fork(void);

#endif
