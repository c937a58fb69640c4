/* SPDX-License-Identifier: MIT */
/*
 * Who looks at the epoll set? At any time there is somebody:
 *
 *	1. an M without work, which sleeps there; events reach it without delay;
 *	2. Ms with work: whenever their P would go idle, and every 50 us when it does not;
 *	3. sysmon, when all Ps run something for long.
 *
 * For 3 the set is nested in that of sysmon's waiting point, but only while neither of the others
 * looks: a second waiter is woken at each event, which costs a busy server a tenth. So when the M
 * of 1 leaves, it tells sysmon (watching), which looks after an interval: does an M sleep there
 * again, then it stops watching; has a P looked for itself meanwhile, or gone from goroutine to
 * goroutine, at the end of which it will look, sysmon comes again later (the interval doubles, up
 * to a millisecond); otherwise it nests the set, and sleeps until there is an event.
 *
 *	the M that leaves		sysmon
 *	claimed = 0			watching = 0
 *	barrier				barrier
 *	watching? else watching = 1,	claimed? else watching = 1
 *	  and wake sysmon in time
 *
 * One of them sees the other. Under loops on every P an event is thus seen at once, by sysmon.
 *
 * Putting a set into another one makes the kernel walk over all descriptors in it: half a
 * millisecond for 5,000. So the set stays nested for a while, armed for one event or disarmed, in
 * which state it costs an event little.
 */
#define URGE_KEEP_ERRNO
#include "sched/netpoll.h"

#include "kernelshim/clock.h"
#include "kernelshim/epoll.h"
#include "sched/allp.h"
#include "sched/boot.h"
#include "sched/exit.h"
#include "sched/notify.h"
#include "sched/polldesc.h"
#include "sched/proc.h"
#include "sched/resolve.h"
#include "sched/sysmon.h"
#include "sched/time.h"

#include <errno.h>

enum {
	EVENTS = 128,
	LOOK_PERIOD = 50 * 1000, /* ns */
	SYSMON_LOOK_MAX = 1000 * 1000,
	NESTED_TIME = 100 * 1000 * 1000, /* it is taken out when it was not armed for so long */
	TAG_SET = 3,                     /* in sysmon's point, which has 1 and 2 itself */
};

struct waitpoint netpoll_point = { .epfd = -1, .timerfd = -1, .eventfd = -1, .fenced = true };

static struct {
	struct atomic_u32 claimed;
	struct atomic_u32 descriptors; /* in the set */
	struct atomic_i64 looked;      /* when an M did last */
	struct atomic_u32 watching;    /* sysmon looks after us */
	struct atomic_i64 interval;    /* sysmon */
	uint64_t switches;             /* sysmon: of all Ps, when it last counted them */
	int64_t counted, next;         /* sysmon: when that was; when it wants to be called again */
	bool nested, armed;            /* sysmon: the set in its own; for an event */
	int64_t armed_at;              /* sysmon */
} netpoll;

int netpollinit(void)
{
	int err = polldescinit();

	resolveinit();

	if (err)
		return err;
	store_rlx_u32(&netpoll.claimed, 0);
	store_rlx_u32(&netpoll.descriptors, 0);
	store_rlx_u32(&netpoll.watching, 0);
	netpoll.nested = netpoll.armed = false;
	store_rlx_i64(&netpoll.interval, LOOK_PERIOD);
	return waitpoint_init(&netpoll_point);
}

void netpollfini(void)
{
	waitpoint_fini(&netpoll_point);
	polldescfini();
}

/* ---- descriptors --------------------------------------------------------------------------- */

static void watch(void)
{
	if (load_rlx_u32(&netpoll.watching) || xchg_u32(&netpoll.watching, 1))
		return;
	/* xchg is the barrier between the publication and the look at until */
	waitpoint_lower(&sysmon_point, nanotime() + load_rlx_i64(&netpoll.interval));
}

int netpollopen(int fd, uint64_t data)
{
	const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
	int err = epoll_add(netpoll_point.epfd, fd, events, data);

	if (err == -EEXIST) /* a duplicate that the program closed, and made again */
		return epoll_mod(netpoll_point.epfd, fd, events, data);
	if (!err) {
		add_u32(&netpoll.descriptors, 1);
		if (!netpoll_sleeps())
			watch();
	}
	return err;
}

void netpollforget(void)
{
	sub_u32(&netpoll.descriptors, 1);
}

void netpollclose(int fd)
{
	epoll_del(netpoll_point.epfd, fd);
	netpollforget();
}

static uint32_t ready(const struct epoll_event *events, int n, struct gqueue *q)
{
	uint32_t readied = 0;

	for (int i = 0; i < n; i++) {
		if (unlikely(events[i].data.u64 == NETPOLL_SIGNALS))
			notify_deliver();
		else
			readied += pollready(events[i].data.u64, events[i].events, q);
	}
	return readied;
}

/* ---- the M that waits ---------------------------------------------------------------------- */

bool netpoll_claim(void)
{
	return load_rlx_u32(&netpoll.claimed) == 0 && cas_u32(&netpoll.claimed, 0, 1);
}

bool netpoll_sleeps(void)
{
	return load_acq_u32(&netpoll.claimed) != 0;
}

/* The second look: another M may have taken the kick that announced the end of the world. */
static int64_t earliest(void)
{
	return world_exiting() ? 1 : timers_earliest();
}

uint32_t netpoll_sleep(int64_t deadline, struct gqueue *q)
{
	struct epoll_event events[EVENTS];
	int n = waitpoint_sleep(&netpoll_point, deadline, earliest, events, EVENTS);
	uint32_t readied = ready(events, n, q);

	if (load_rlx_u32(&netpoll.descriptors) > 0)
		store_rlx_i64(&netpoll.looked, nanotime());
	store_rel_u32(&netpoll.claimed, 0);
	/*
	 * timers_cover			here
	 * the timer is in its heap	claimed = 0
	 * the heap is unlocked		barrier
	 * claimed? then it is ours	the caller looks at all heaps
	 *
	 * The unlock is a full barrier, so no membarrier is needed, which would interrupt other
	 * processors at each sleep.
	 */
	smp_mb();
	if (load_rlx_u32(&netpoll.descriptors) > 0)
		watch();
	return readied;
}

/* ---- Ms with work -------------------------------------------------------------------------- */

bool netpoll_wanted(void)
{
	return load_rlx_u32(&netpoll.descriptors) > 0 && !netpoll_sleeps();
}

bool netpoll_due(int64_t now)
{
	return netpoll_wanted() && now - load_rlx_i64(&netpoll.looked) >= LOOK_PERIOD;
}

static uint32_t look(struct gqueue *q)
{
	struct epoll_event events[EVENTS];

	return ready(events, waitpoint_poll(&netpoll_point, events, EVENTS), q);
}

uint32_t netpoll_look(int64_t now, struct gqueue *q)
{
	store_rlx_i64(&netpoll.looked, now);
	return look(q);
}

/* ---- sysmon -------------------------------------------------------------------------------- */

/* False: no memory; it is to be looked at every interval instead. */
static bool arm(int64_t now)
{
	const uint32_t once = EPOLLIN | EPOLLONESHOT;
	int inner = netpoll_point.epfd, outer = sysmon_point.epfd;

	if (!netpoll.armed)
		netpoll.armed = !(netpoll.nested ? epoll_mod(outer, inner, once, TAG_SET)
						 : epoll_add(outer, inner, once, TAG_SET));
	netpoll.nested |= netpoll.armed;
	netpoll.armed_at = now;
	return netpoll.armed;
}

static void disarm(int64_t now)
{
	if (netpoll.nested && now - netpoll.armed_at > NESTED_TIME) {
		epoll_del(sysmon_point.epfd, netpoll_point.epfd);
		netpoll.nested = netpoll.armed = false;
	}
	if (netpoll.armed)
		epoll_mod(sysmon_point.epfd, netpoll_point.epfd, 0, TAG_SET);
	netpoll.armed = false;
}

/* A P has looked since the last time, or will soon. */
static bool looked_after(int64_t now)
{
	int64_t ago = now - load_rlx_i64(&netpoll.looked);
	int64_t interval = load_rlx_i64(&netpoll.interval);
	uint64_t switches = 0, before = netpoll.switches;

	if (ago < interval)
		return true;
	if (ago >= SYSMON_LOOK_MAX)
		return false;
	if (now - netpoll.counted < interval)
		return true; /* sysmon has come for something else: too soon to tell */
	for_each_p(pp)
		switches += load_rlx_u64(&pp->schedtick) + load_rlx_u64(&pp->inherits);
	netpoll.switches = switches;
	netpoll.counted = now;
	return switches != before;
}

int64_t netpoll_sysmon(int64_t now, bool event)
{
	int64_t interval = load_rlx_i64(&netpoll.interval);
	struct gqueue q = { NULL, NULL };
	uint32_t n;

	if (event)
		netpoll.armed = false;
	if (!load_rlx_u32(&netpoll.watching))
		return INT64_MAX;
	if (event && !netpoll_sleeps()) {
		n = look(&q);
		if (n > 0) {
			injectglist(&q, n);
			store_rlx_i64(&netpoll.interval, LOOK_PERIOD);
		}
	}
	if (!netpoll_wanted()) {
		disarm(now);
		store_rlx_u32(&netpoll.watching, 0);
		smp_mb(); /* pairs with the one in netpoll_sleep: see above */
		if (!netpoll_wanted())
			return INT64_MAX;
		store_rlx_u32(&netpoll.watching, 1);
	}
	if (looked_after(now)) {
		disarm(now);
		if (now >= netpoll.next) {
			interval = interval * 2 < SYSMON_LOOK_MAX ? interval * 2 : SYSMON_LOOK_MAX;
			store_rlx_i64(&netpoll.interval, interval);
			netpoll.next = now + interval;
		}
		return netpoll.next;
	}
	return arm(now) ? INT64_MAX : now + LOOK_PERIOD;
}

int64_t netpoll_sysmon_until(int64_t now)
{
	if (!load_rlx_u32(&netpoll.watching) || netpoll.armed)
		return INT64_MAX;
	return now + load_rlx_i64(&netpoll.interval);
}
