/* SPDX-License-Identifier: MIT */
/* I/O on descriptors: what others of the runtime use of io.c. */
#ifndef URGE_SCHED_IO_H
#define URGE_SCHED_IO_H

#include "sched/polldesc.h"
#include "sched/urge.h"

/* Waits until the connect of a socket has succeeded, or failed: 0 or -errno. As pollwait. */
int connect_finish(struct polldesc *pd, int64_t deadline);

#endif
