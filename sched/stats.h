/* SPDX-License-Identifier: MIT */
/*
 * Counters. Each belongs to a P and is written by its owner alone, with a plain load and store;
 * urge_stats_read adds them up. A P is never freed, so nothing is lost when GOMAXPROCS shrinks.
 */
#ifndef URGE_SCHED_STATS_H
#define URGE_SCHED_STATS_H

#include "sched/runtime2.h"

#define count(pp, what, by) store_rlx_u64(&(pp)->count.what, load_rlx_u64(&(pp)->count.what) + (by))

#endif
