/* SPDX-License-Identifier: MIT */
/*
 * Channels that get the time: urge_after and tickers.
 *
 * The channel has room for one time. Whoever runs the expired timer sends without waiting, on g0 or
 * sysmon; if the channel is full the tick is dropped, and so it is when the last tick's send is
 * still under way. A ticker's times are multiples of its period after its start: they are computed
 * from the last one that was due, not from when it was noticed, so a late tick delays no other.
 *
 * The timer belongs to the channel, and is freed with it: while a send is under way that waits.
 */
#define URGE_KEEP_ERRNO
#include "sched/chan.h"
#include "sched/proc.h"
#include "sched/time.h"

#include <stdlib.h>

struct chantimer {
	struct timer timer;
	struct urge_chan *chan; /* constant */
	int64_t period;         /* constant: 0: once */
};

static void send_time(void *arg, uintptr_t now)
{
	struct chantimer *ct = arg;
	const int64_t time = (int64_t)now;

	chan_send_nb(ct->chan, &time);
	timer_drop(&ct->timer);
}

/* The first multiple of period after from that is not past. */
static int64_t next_tick(int64_t from, int64_t period, int64_t now)
{
	int64_t periods = (now - from) / period + 1;
	int64_t next;

	if (__builtin_mul_overflow(periods, period, &next) ||
	    __builtin_add_overflow(from, next, &next))
		return INT64_MAX - 1;
	return next;
}

static int64_t chantimer_expire(struct timer *t, int64_t when, int64_t now, struct due *due)
{
	struct chantimer *ct = container_of(t, struct chantimer, timer);

	if (timer_hold(t))
		*due = (struct due){ send_time, ct, (uintptr_t)now };
	return ct->period ? next_tick(when, ct->period, now) : 0;
}

/* A channel with a timer set to ns from now; NULL: no memory, no room, the runtime does not run. */
static struct urge_chan *chantimer_new(int64_t ns, int64_t period)
{
	struct urge_chan *c = urge_chan_make(sizeof(int64_t), 1);
	struct chantimer *ct = malloc(sizeof(*ct));
	bool ok = false;

	if (c && ct) {
		const struct m *mp = enter();

		*ct = (struct chantimer){ .timer.expire = chantimer_expire };
		ct->chan = c;
		ct->period = period;
		c->timer = ct;
		ok = timer_set(mp, &ct->timer, time_after(ns));
		if (mp)
			leave();
	}
	if (ok)
		return c;
	free(ct);
	free(c);
	return NULL;
}

void chantimer_free(struct chantimer *ct)
{
	const struct m *mp = enter();

	timer_remove_held(&ct->timer);
	if (mp)
		leave();
	free(ct);
}

urge_chan *urge_after(int64_t ns)
{
	return chantimer_new(ns, 0);
}

/* A ticker is its channel, by another name. */
urge_ticker *urge_ticker_new(int64_t period)
{
	return period > 0 ? (urge_ticker *)chantimer_new(period, period) : NULL;
}

urge_chan *urge_ticker_chan(urge_ticker *ticker)
{
	return (urge_chan *)ticker;
}

void urge_ticker_stop(urge_ticker *ticker)
{
	urge_chan_free((urge_chan *)ticker);
}
