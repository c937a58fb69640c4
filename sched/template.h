/* SPDX-License-Identifier: MIT */
/* Where startm gets threads from: see template.c. */
#ifndef URGE_SCHED_TEMPLATE_H
#define URGE_SCHED_TEMPLATE_H

#include "sched/runtime2.h"

/* A thread that is ready to run goroutines and has no P, NULL if there is none left. */
struct m *template_take_spare(void);

/* Asks for a thread for pp. If none can be made, pp's goroutines go to the global queue. */
void template_want(struct p *pp, bool spinning);

#endif
