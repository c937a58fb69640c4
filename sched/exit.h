/* SPDX-License-Identifier: MIT */
/* The end of a world: how urge_main returns. See exit.c. */
#ifndef URGE_SCHED_EXIT_H
#define URGE_SCHED_EXIT_H

#include "sched/runtime2.h"

/* The world is ending: no M may park or take a P. */
bool world_exiting(void);

/* Goroutine 1: its function has returned. Does not return. */
_Noreturn void world_end(void);

/* enter: the calling goroutine has outlived its world. Does not return. */
_Noreturn void world_ended(struct m *mp);

/* An M's thread has left schedule_loop. */
void world_mexit(struct m *mp);

/* sysmon, at each wake-up: urges on those that are still running. When to look again. */
int64_t world_exit_tick(int64_t now);

/*
 * The calling thread of urge_main, out of the scheduler: waits until nobody runs goroutines, and
 * marks those that are blocked in the kernel as strays; then, without sysmon, until their threads
 * are gone.
 */
void exit_wait_for_others(void);
void exit_wait_for_threads(void);

/* Is gp a stray, whose stack is in use? */
bool exit_is_stray(const struct g *gp);

#endif
