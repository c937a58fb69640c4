/* SPDX-License-Identifier: MIT */
/* Where the walk of a goroutine's stack begins. */
#ifndef URGE_SCHED_TRACEBACK_H
#define URGE_SCHED_TRACEBACK_H

#include "kernelshim/unwind.h"
#include "sched/runtime2.h"

#include <stdbool.h>

/*
 * The registers of gp, which does not call: as it was when it last stopped. False: it runs on
 * another thread, or is in a system call, and nobody knows them. Takes no lock. What goes on while
 * they are read may make them wrong, so they are right in a stopped world only.
 */
bool traceback_registers(struct unwind_regs *regs, const struct g *gp);

#endif
