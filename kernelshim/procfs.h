/* SPDX-License-Identifier: MIT */
/*
 * Small files of /proc and /sys, read without libc: no call touches errno, allocates or takes a
 * lock. Paths are absolute; a root put before them lets tests show the runtime another machine.
 * Errors are -errno.
 */
#ifndef URGE_KERNELSHIM_PROCFS_H
#define URGE_KERNELSHIM_PROCFS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The folder that stands for "/" in the calls below; NULL or "" for the real one. The string is
 * kept, not copied. For tests, while no other thread reads.
 */
void procfs_set_root(const char *root);

/* Opens a file or folder under the root for reading, close-on-exec; close it with SYS_close. */
int procfs_open(const char *path);

/*
 * Reads at most n - 1 bytes from the start of the file, ends them with a NUL, and returns how many
 * they are; the rest of a longer file is left out. n is at least 1.
 */
ssize_t procfs_read(const char *path, char *buf, size_t n);

/* A file that holds one decimal number; -EINVAL for any other text ("max"), -ERANGE above 64 bits. */
int procfs_read_u64(const char *path, uint64_t *value);

/*
 * A line of /proc/self/status that is given in kB, by its name without the colon: "VmRSS", "VmPTE".
 * -ENOENT when there is none.
 */
int64_t procfs_status_kb(const char *key);

#ifdef __cplusplus
}
#endif

#endif
