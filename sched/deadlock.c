/* SPDX-License-Identifier: MIT */
/*
 * All goroutines are asleep: is that a deadlock?
 *
 * The last M that goes idle tells sysmon, and sysmon looks: no M runs (nor waits in netpoll, nor is
 * being made), no timer is set, nobody outside has announced himself (urge_external_begin), and
 * the process has no thread but the runtime's, which could still wake somebody. A thread that has
 * ended its work is listed in /proc for a moment longer, and so are those of the runtime: with strange
 * threads present the verdict is put off and looked at again. If they stay, it is told in one line
 * instead, once each time the program falls asleep, and the program goes on; the looks become rarer
 * by half each time, so that the verdict still comes when the last strange thread has ended.
 */
#include "sched/deadlock.h"

#include "kernelshim/thread.h"
#include "sched/boot.h"
#include "sched/fatal.h"
#include "sched/g.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/runtime2.h"
#include "sched/time.h"

enum { STRANGERS_LOOKS = 4, DOUBLINGS_MAX = 30 };
#define STRANGERS_WAIT INT64_C(10000000)

static int looks;
static uint64_t told; /* at so many parks: the same sleep is not told twice */

static bool all_asleep(void)
{
	bool asleep;

	lock(&sched.lock); /* no M is between idle and running */
	asleep = load_rlx_u32(&sched.nmrunning) == 0 &&
		 load_rlx_u32(&sched.phase) == PHASE_RUNNING &&
		 load_rlx_u32(&sched.external) == 0 && timers_earliest() == INT64_MAX;
	unlock(&sched.lock);
	return asleep;
}

/* Threads that are not ours; ours that end while they are counted are not taken for others. */
static int strangers(void)
{
	int before = (int)mthreads();
	int all = thread_count();
	int after = (int)mthreads();

	return all - (before < after ? before : after);
}

static uint64_t parks(void)
{
	uint64_t n = 0;

	for (int i = 0; i < CONFIG_MAX_PROCS && allp[i]; i++)
		n += load_rlx_u64(&allp[i]->count.parks);
	return n;
}

int64_t checkdead(int64_t now, bool fell_asleep)
{
	if (fell_asleep)
		looks = 0;
	if (!all_asleep())
		return INT64_MAX;
	if (strangers() == 0) {
		if (!all_asleep()) /* the last one woke somebody, and ended */
			return INT64_MAX;
		if (gcount() == 0)
			fatal("no goroutines (main called urge_goexit) - deadlock!");
		fatal("all goroutines are asleep - deadlock!");
	}
	if (++looks == STRANGERS_LOOKS && told != parks()) {
		complain("urge: all goroutines are asleep; only a thread of the program's own can "
			 "wake them");
		told = parks();
	}
	return now + (STRANGERS_WAIT << (looks < DOUBLINGS_MAX ? looks : DOUBLINGS_MAX));
}
