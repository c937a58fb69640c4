/* SPDX-License-Identifier: MIT */
/*
 * All goroutines are asleep: is that a deadlock?
 *
 * The last M that goes idle tells sysmon, and sysmon looks: no M runs (nor waits in netpoll, nor is
 * being made), no timer is set, nobody outside has announced himself (urge_external_begin), and the
 * process has no thread but the runtime's, which could still wake somebody. A thread that has ended
 * its work is listed in /proc for a moment longer, and so are those of the runtime: with strange
 * threads present the verdict is put off and looked at again. If they stay, it is told in one line
 * instead, once each time the program falls asleep, and the program goes on; the looks become rarer
 * by half each time, so that the verdict still comes when the last strange thread has ended.
 *
 * A strange thread that waits for one of our locks wakes nobody, until it is woken: if as many wait
 * as there are, and none has begun or ended to wait while they were counted, all of them do.
 */
#include "sched/deadlock.h"

#include "kernelshim/thread.h"
#include "sched/allp.h"
#include "sched/boot.h"
#include "sched/fatal.h"
#include "sched/g.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/runtime2.h"
#include "sched/sleeper.h"
#include "sched/time.h"

enum { STRANGERS_LOOKS = 4, DOUBLINGS_MAX = 30 };
#define STRANGERS_WAIT INT64_C(10000000)

static int looks;
static uint64_t told; /* at so many switches: the same sleep is not told twice */

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
int strangers(void)
{
	int before = (int)mthreads();
	int all = thread_count();
	int after = (int)mthreads();

	return all - (before < after ? before : after);
}

/* Whether any goroutine has run between two looks. */
static uint64_t switches(void)
{
	uint64_t n = 0;

	for_each_p(pp)
		n += load_rlx_u64(&pp->schedtick) + load_rlx_u64(&pp->inherits);
	return n;
}

int64_t checkdead(int64_t now, bool fell_asleep)
{
	uint64_t before, sleeping;

	if (fell_asleep)
		looks = 0;
	if (!all_asleep())
		return INT64_MAX;
	before = switches();
	sleeping = sleeping_threads();
	if (strangers() == (int)(uint32_t)sleeping && sleeping_threads() == sleeping) {
		/* the last one may have woken somebody, and ended; and he have made another one */
		if (!all_asleep() || switches() != before)
			return INT64_MAX;
		if (gcount() == 0)
			fatal("no goroutines (main called urge_goexit) - deadlock!");
		fatal("all goroutines are asleep - deadlock!");
	}
	if (++looks == STRANGERS_LOOKS && told != switches()) {
		complain("urge: all goroutines are asleep; only a thread of the program's own can "
			 "wake them");
		told = switches();
	}
	return now + (STRANGERS_WAIT << (looks < DOUBLINGS_MAX ? looks : DOUBLINGS_MAX));
}
