/* SPDX-License-Identifier: MIT */
/* fork in a process that runs goroutines. See fork.c. */
#ifndef URGE_SCHED_FORK_H
#define URGE_SCHED_FORK_H

#include "sched/runtime2.h"

/* This process is the child of one whose runtime ran: locks that were held then are held for ever. */
bool forked(void);

/* A goroutine forked, so the urge_main that runs was called in the parent, and can't return here. */
bool forked_from_main(void);

/*
 * On g0 of mp, in a child: the goroutine gp, which forked, has come to the runtime for the first
 * time. Makes the world anew, of which it is the only goroutine, with one idle P; fatal when that
 * can't be. Starts threads.
 */
void fork_restart(struct m *mp, struct g *gp);

/*
 * urge_main, before all else: if a thread that ran no goroutine has forked while the runtime ran,
 * what is left of that is forgotten.
 */
void fork_forget(void);

#endif
