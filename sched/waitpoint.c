/* SPDX-License-Identifier: MIT */
#define URGE_KEEP_ERRNO
#include "sched/waitpoint.h"

#include "kernelshim/clock.h"
#include "kernelshim/epoll.h"
#include "kernelshim/sys.h"
#include "sched/proc.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Tags of the point's own descriptors, which no object's address can equal. */
enum { TAG_EVENTFD = 1, TAG_TIMERFD = 2 };

enum {
	TIMEOUT_MAX = 1000 * 1000, /* ns: sleeps up to here use epoll's time-out */
	UNFENCED_MAX = 200 * 1000, /* and up to here do without the membarrier */
};

int waitpoint_init(struct waitpoint *wp)
{
	int err;

	mutex_init(&wp->lock, RANK_WAITPOINT);
	store_rlx_i64(&wp->until, 0);
	wp->armed = INT64_MAX;
	wp->timerfd = wp->eventfd = -1;
	wp->epfd = epoll_new();
	if (wp->epfd < 0)
		return wp->epfd;
	wp->timerfd = timerfd_new();
	wp->eventfd = wp->timerfd < 0 ? wp->timerfd : eventfd_new();
	err = wp->eventfd < 0 ? wp->eventfd
			      : epoll_add(wp->epfd, wp->eventfd, EPOLLIN, TAG_EVENTFD);
	if (!err) /* edge-triggered: an expiration need not be read away */
		err = epoll_add(wp->epfd, wp->timerfd, EPOLLIN | EPOLLET, TAG_TIMERFD);
	if (err)
		waitpoint_fini(wp);
	return err;
}

void waitpoint_fini(struct waitpoint *wp)
{
	const int fds[] = { wp->epfd, wp->timerfd, wp->eventfd };

	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			sys_call1(SYS_close, fds[i]);
	wp->epfd = wp->timerfd = wp->eventfd = -1;
}

static void set_until(struct waitpoint *wp, int64_t until)
{
	assert_held(&wp->lock);
	if (until != wp->armed) {
		timerfd_arm(wp->timerfd, until);
		wp->armed = until;
	}
	store_rlx_i64(&wp->until, until);
}

void waitpoint_lower_slow(struct waitpoint *wp, int64_t when)
{
	lock(&wp->lock);
	if (load_rlx_i64(&wp->until) > when)
		set_until(wp, when);
	unlock(&wp->lock);
}

/* Between until and the second look: pairs with mb_frequent of those who publish deadlines. */
static void sleeper_barrier(const struct waitpoint *wp)
{
	if (wp->fenced)
		smp_mb(); /* pairs with unlock in their case */
	else
		mb_rare();
}

/* Sleeps until the deadline by epoll's time-out; -ENOSYS: the kernel has none that is fine enough. */
static int sleep_briefly(struct waitpoint *wp, int64_t ns, int64_t (*earliest)(void),
			 struct epoll_event *events, int n)
{
	if (ns > UNFENCED_MAX)
		sleeper_barrier(wp);
	else
		smp_mb();
	waitpoint_lower(wp, earliest());
	return epoll_poll_ns(wp->epfd, events, n, ns > 0 ? ns : 0);
}

/* Takes the point's own events out; returns the number of others. */
static int keep_others(struct waitpoint *wp, struct epoll_event *events, int got, bool sleeper)
{
	int kept = 0;

	for (int i = 0; i < got; i++) {
		bool timer = events[i].data.u64 == TAG_TIMERFD;

		if (!timer && events[i].data.u64 != TAG_EVENTFD) {
			events[kept++] = events[i];
			continue;
		}
		lock(&wp->lock);
		if (timer) /* if it was armed again meanwhile, it fires once in vain perhaps */
			wp->armed = INT64_MAX;
		if (sleeper || load_rlx_i64(&wp->until) == 0) {
			if (!timer)
				eventfd_drain(wp->eventfd);
		} else if (timer) {
			eventfd_signal(wp->eventfd); /* it was somebody else's, who sleeps */
		}
		unlock(&wp->lock);
	}
	return kept;
}

int waitpoint_sleep(struct waitpoint *wp, int64_t deadline, int64_t (*earliest)(void),
		    struct epoll_event *events, int n)
{
	int64_t ns = deadline == INT64_MAX ? INT64_MAX : deadline - nanotime();
	int got = -ENOSYS;

	if (ns <= TIMEOUT_MAX) {
		store_rlx_i64(&wp->until, deadline);
		got = sleep_briefly(wp, ns, earliest, events, n);
	}
	if (got == -ENOSYS) {
		lock(&wp->lock);
		set_until(wp, deadline);
		unlock(&wp->lock);
		sleeper_barrier(wp);
		waitpoint_lower(wp, earliest());
		got = epoll_poll(wp->epfd, events, n, -1);
	}
	lock(&wp->lock);
	store_rlx_i64(&wp->until, 0);
	unlock(&wp->lock);
	return keep_others(wp, events, got, true);
}

int waitpoint_poll(struct waitpoint *wp, struct epoll_event *events, int n)
{
	return keep_others(wp, events, epoll_poll(wp->epfd, events, n, 0), false);
}

void waitpoint_kick(struct waitpoint *wp)
{
	eventfd_signal(wp->eventfd);
}
