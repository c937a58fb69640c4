/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says about this process. All of them: any thread, no allocation.
 */
#ifndef URGE_BENCH_PROCESS_H
#define URGE_BENCH_PROCESS_H

#include <stddef.h>
#include <stdint.h>

/* User and system time of all threads, in nanoseconds. */
int64_t process_cpu_ns(void);

/* Resident memory (statm) in bytes. */
size_t process_resident_bytes(void);

/* Page tables (VmPTE) in bytes: not part of the resident memory, but paid for all the same. */
size_t process_page_table_bytes(void);

/* Threads of this process now. */
unsigned process_threads(void);

#endif
