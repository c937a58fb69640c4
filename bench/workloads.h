/* SPDX-License-Identifier: MIT */
/* The workloads, by the file that defines them. */
#ifndef URGE_BENCH_WORKLOADS_H
#define URGE_BENCH_WORKLOADS_H

#include "bench/harness.h"

/* yield.c */
extern const struct workload yield_workload;
/* spawn.c */
extern const struct workload spawn_workload;
/* mutex.c, sema.c */
extern const struct workload mutex_workload, sema_workload;
/* chan.c, select.c, ring.c */
extern const struct workload chan_workload, select_workload, ring_workload;
/* stw.c */
extern const struct workload stw_workload;
/* mem.c */
extern const struct workload mem_100k_workload, mem_100k_s64k_workload;
extern const struct workload mem_1m_workload, mem_1m_s64k_workload, mem_1m_floor_workload;
/* timer.c */
extern const struct workload timer_workload, timer_1s_workload;
/* preempt.c, preempt_lat.c, preempt_thr.c */
extern const struct workload preempt_lat_workload, preempt_sleep_workload, preempt_poll_workload,
	preempt_thr_workload;
extern const struct workload preempt_sleep_libc_workload, preempt_poll_libc_workload;
extern const struct workload preempt_thr_libc_workload, preempt_malloc_workload;
/* idle.c */
extern const struct workload idle_park_workload, idle_one_workload, idle_tick_workload;
/* resize.c */
extern const struct workload resize_1_2_workload, resize_2_8_workload;
/* syscall.c */
extern const struct workload syscall_workload, syscall_threads_workload;
/* file.c */
extern const struct workload file_workload;
/* echo.c */
extern const struct workload echo_epoll_workload, echo_core0_workload, echo_core0_loops2_workload;
extern const struct workload echo_both_workload, echo_both_loops2_workload;
extern const struct workload echo_core0_loops2_libc_workload, echo_both_loops2_libc_workload;

#endif
