/* SPDX-License-Identifier: MIT */
/*
 * The CPU quota of the process's control group: cpu.max of version 2, cpu.cfs_quota_us of version
 * 1. A quota binds all groups below it, so all ancestors that can be seen are asked; a container
 * often sees a part of them only. Files are read under procfs's root (procfs.h), without libc.
 */
#ifndef URGE_KERNELSHIM_CGROUP_H
#define URGE_KERNELSHIM_CGROUP_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CGROUP_PATH_MAX = 512 };

/* Where the hierarchy that has the cpu controller is mounted. */
struct cgroup_mount {
	bool v1;
	char root[CGROUP_PATH_MAX];  /* the group that the mount shows as its top */
	char point[CGROUP_PATH_MAX]; /* where; empty: nowhere */
};

/*
 * Reads /proc/self/mountinfo, which may be long, so once. Version 1 wins where both are mounted and
 * the cpu controller is in it. 0, or -ENOENT and point is empty: no such mount, or none to be seen.
 */
int cgroup_find(struct cgroup_mount *mount);

/*
 * The smallest quota from the process's group up to the top of the mount, as CPUs, rounded up;
 * INT_MAX when there is none. The process may be moved meanwhile: its group is read each time.
 */
int cgroup_cpus(const struct cgroup_mount *mount);

#ifdef __cplusplus
}
#endif

#endif
