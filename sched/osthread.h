/* SPDX-License-Identifier: MIT */
/* Goroutines that are locked to their thread. See osthread.c. */
#ifndef URGE_SCHED_OSTHREAD_H
#define URGE_SCHED_OSTHREAD_H

#include "sched/runtime2.h"

/* On the new side of the end of gp, which is locked to mp: the thread is to end, too. */
void osthread_goexit(struct m *mp, struct g *gp);

#endif
