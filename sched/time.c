/* SPDX-License-Identifier: MIT */
#define URGE_KEEP_ERRNO
#include "sched/time.h"

#include "kernelshim/clock.h"
#include "kernelshim/vm.h"
#include "sched/fatal.h"
#include "sched/lock.h"
#include "sched/netpoll.h"
#include "sched/proc.h"
#include "sched/sysmon.h"
#include "sched/tls.h"
#include "sched/urge.h"

#include <errno.h>

/* Address space only: a page is committed when the heap grows into it. */
enum { TIMERS_MAX = 4 << 20 };

static const size_t heap_bytes = TIMERS_MAX * sizeof(struct timerslot);

int timers_init(struct timerheap *ts)
{
	mutex_init(&ts->lock, RANK_TIMERS);
	store_rlx_i64(&ts->minwhen, INT64_MAX);
	ts->heap = vm_reserve(heap_bytes, vm_page_size());
	return ts->heap ? 0 : -ENOMEM;
}

void timers_forget(struct timerheap *ts)
{
	ts->n = 0;
	store_rlx_i64(&ts->minwhen, INT64_MAX);
	vm_dontneed(ts->heap, heap_bytes);
}

/* ---- the heap: children of i are 4i+1 .. 4i+4 ---------------------------------------------- */

static void sift_up(struct timerslot *h, uint32_t i, struct timerslot s)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / 4;

		if (h[parent].when <= s.when)
			break;
		h[i] = h[parent];
		i = parent;
	}
	h[i] = s;
}

static void sift_down(struct timerslot *h, uint32_t n, uint32_t i, struct timerslot s)
{
	for (;;) {
		uint32_t first = 4 * i + 1, least;

		if (first >= n)
			break;
		least = first;
		for (uint32_t c = first + 1; c < first + 4 && c < n; c++)
			if (h[c].when < h[least].when)
				least = c;
		if (h[least].when >= s.when)
			break;
		h[i] = h[least];
		i = least;
	}
	h[i] = s;
}

static void update_minwhen(struct timerheap *ts)
{
	assert_held(&ts->lock);
	store_rel_i64(&ts->minwhen, ts->n ? ts->heap[0].when : INT64_MAX);
}

static bool insert(struct timerheap *ts, struct timer *t)
{
	assert_held(&ts->lock);
	if (ts->n == TIMERS_MAX)
		return false;
	sift_up(ts->heap, ts->n, (struct timerslot){ t->when, t });
	ts->n++;
	update_minwhen(ts);
	return true;
}

static struct timer *pop(struct timerheap *ts)
{
	struct timer *t = ts->heap[0].t;

	assert_held(&ts->lock);
	ts->n--;
	if (ts->n > 0)
		sift_down(ts->heap, ts->n, 0, ts->heap[ts->n]);
	update_minwhen(ts);
	return t;
}

bool timer_add(struct p *pp, struct timer *t)
{
	bool ok;

	lock(&pp->timers.lock);
	ok = insert(&pp->timers, t);
	unlock(&pp->timers.lock);
	return ok;
}

uint32_t timers_run(struct p *pp, int64_t now)
{
	struct timerheap *ts = &pp->timers;
	uint32_t ran = 0;

	while (load_acq_i64(&ts->minwhen) <= now) {
		struct timer *t = NULL;

		lock(&ts->lock);
		if (ts->n > 0 && ts->heap[0].when <= now)
			t = pop(ts);
		unlock(&ts->lock);
		if (!t)
			break;
		t->fn(t->arg); /* t may be gone after this */
		ran++;
	}
	return ran;
}

uint32_t timers_run_all(int64_t now)
{
	uint32_t ran = 0;

	for (int i = 0; i < CONFIG_MAX_PROCS && allp[i]; i++)
		ran += timers_run(allp[i], now);
	return ran;
}

int64_t timers_earliest(void)
{
	int64_t earliest = INT64_MAX;

	for (int i = 0; i < CONFIG_MAX_PROCS && allp[i]; i++) {
		int64_t when = load_acq_i64(&allp[i]->timers.minwhen);

		if (when < earliest)
			earliest = when;
	}
	return earliest;
}

void timers_cover(int64_t when)
{
	if (when == INT64_MAX)
		return;
	mb_frequent(); /* pairs with mb_rare in waitpoint_sleep and netpoll_sleep */
	if (netpoll_sleeps())
		waitpoint_lower(&netpoll_point, when);
	else
		waitpoint_lower(&sysmon_point, when);
}

void timers_after_netpoll(int64_t now)
{
	timers_run_all(now);
	timers_cover(timers_earliest());
}

void timers_move(struct p *from)
{
	struct timerheap *to = &allp[0]->timers;

	for (;;) {
		struct timer *t = NULL;

		lock(&from->timers.lock);
		if (from->timers.n > 0)
			t = pop(&from->timers);
		unlock(&from->timers.lock);
		if (!t)
			break;
		lock(&to->lock);
		if (!insert(to, t))
			throw_("timers_move: more timers than a heap holds");
		unlock(&to->lock);
	}
	timers_cover(load_acq_i64(&to->minwhen));
}

/* ---- sleep --------------------------------------------------------------------------------- */

static void sleep_over(void *arg)
{
	goready(arg);
}

/* On the new side of the park: from here on the timer may fire. */
static bool sleep_commit(struct g *gp, void *arg)
{
	struct timer *t = arg;

	const struct m *mp = getm();

	if (timer_add(mp->p, t)) {
		if (mp->curg) /* it was started before the timer was there: see start_running */
			timers_cover(t->when);
		return true;
	}
	t->when = 0; /* tells urge_sleep_until that there was no room */
	(void)gp;
	return false;
}

int urge_sleep_until(int64_t deadline)
{
	struct m *mp = enter();
	struct timer *t;
	int err = 0;

	if (!mp)
		return -EPERM;
	if (deadline > nanotime()) {
		t = &mp->curg->top->sleep;
		*t = (struct timer){ .when = deadline, .fn = sleep_over, .arg = mp->curg };
		gopark(sleep_commit, t, WAIT_SLEEP);
		if (t->when == 0)
			err = -ENOMEM;
	}
	leave();
	return err;
}

int urge_sleep(int64_t ns)
{
	int64_t now = nanotime();

	return urge_sleep_until(ns > INT64_MAX - 1 - now ? INT64_MAX - 1 : now + ns);
}

int64_t urge_now(void)
{
	return nanotime();
}
