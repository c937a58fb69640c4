/* SPDX-License-Identifier: MIT */
/* What a goroutine that waits in a select waits for: g.waitobj is its struct selection. See select.c. */
#ifndef URGE_SCHED_SELECT_H
#define URGE_SCHED_SELECT_H

#include "sched/chan.h"

struct selection;

/* While it waits: the ticket of its wait (wait.h). */
uint32_t select_ticket(const struct selection *s);

/* The i-th of its channels, some perhaps more than once; NULL behind the last one. */
struct urge_chan *select_chan(const struct selection *s, size_t i);

#endif
