/* SPDX-License-Identifier: MIT */
#include "sched/netpoll.h"

#include "sched/boot.h"
#include "sched/exit.h"
#include "sched/proc.h"
#include "sched/time.h"

struct waitpoint netpoll_point = { .epfd = -1, .timerfd = -1, .eventfd = -1 };
static struct atomic_u32 claimed;

int netpollinit(void)
{
	store_rlx_u32(&claimed, 0);
	return waitpoint_init(&netpoll_point);
}

void netpollfini(void)
{
	waitpoint_fini(&netpoll_point);
}

bool netpoll_claim(void)
{
	return load_rlx_u32(&claimed) == 0 && cas_u32(&claimed, 0, 1);
}

bool netpoll_sleeps(void)
{
	return load_acq_u32(&claimed) != 0;
}

/* The second look: another M may have taken the kick that announced the end of the world. */
static int64_t earliest(void)
{
	return world_exiting() ? 1 : timers_earliest();
}

void netpoll_sleep(int64_t deadline)
{
	struct epoll_event events[8];

	waitpoint_sleep(&netpoll_point, deadline, earliest, events, ARRAY_SIZE(events));
	store_rel_u32(&claimed, 0);
	/*
	 * timers_cover			here
	 * the timer is in its heap	claimed = 0
	 * barrier			barrier
	 * claimed? then it is ours	the caller looks at all heaps
	 */
	mb_rare();
}
