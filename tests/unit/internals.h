/* SPDX-License-Identifier: MIT */
/* The scheduler's inner headers, which are C, for tests in C++. */
#ifndef URGE_TESTS_UNIT_INTERNALS_H
#define URGE_TESTS_UNIT_INTERNALS_H

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <pthread.h>

#define _Noreturn [[noreturn]]
#define _Static_assert static_assert

extern "C" {
#include "kernelshim/procfs.h"
#include "kernelshim/thread.h"
#include "kernelshim/vm.h"
#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/chan.h"
#include "sched/globq.h"
#include "sched/gqueue.h"
#include "sched/hog.h"
#include "sched/lock.h"
#include "sched/node.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/runtime2.h"
#include "sched/stack.h"
#include "sched/template.h"
#include "sched/time.h"
#include "sched/wait.h"
}

#undef _Noreturn
#undef _Static_assert

#endif
