/* SPDX-License-Identifier: MIT */
#define URGE_KEEP_ERRNO
#include "sched/time.h"

#include "kernelshim/clock.h"
#include "kernelshim/futex.h"
#include "kernelshim/vm.h"
#include "sched/allp.h"
#include "sched/ctx.h"
#include "sched/fatal.h"
#include "sched/lock.h"
#include "sched/netpoll.h"
#include "sched/proc.h"
#include "sched/sysmon.h"
#include "sched/tls.h"
#include "sched/urge.h"
#include "sched/wait.h"

#include <errno.h>

/* Address space only: a page is committed when the heap grows into it. */
enum { TIMERS_MAX = 4 << 20, MOVE_BATCH = 256 };

uint32_t timers_max = TIMERS_MAX;

static const size_t heap_bytes = TIMERS_MAX * sizeof(struct timerslot);

int timers_init(struct timerheap *ts, enum lockrank rank)
{
	mutex_init(&ts->lock, rank);
	store_rlx_i64(&ts->minwhen, INT64_MAX);
	ts->heap = vm_reserve(heap_bytes, vm_page_size());
	return ts->heap ? 0 : -ENOMEM;
}

void timers_forget(struct timerheap *ts)
{
	lock(&ts->lock);
	ts->n = 0;
	ts->epoch++;
	store_rlx_i64(&ts->minwhen, INT64_MAX);
	vm_dontneed(ts->heap, heap_bytes);
	unlock(&ts->lock);
}

/* ---- the heap: children of i are 4i+1 .. 4i+4 ---------------------------------------------- */

/* The timer of an entry, NULL if it is a goroutine's that sleeps. */
static inline struct timer *timer_of(const struct timerslot *s)
{
	return s->what & 1 ? NULL : (struct timer *)s->what;
}

static inline void put(struct timerslot *h, uint32_t i, struct timerslot s)
{
	struct timer *t = timer_of(&s);

	h[i] = s;
	if (t)
		t->pos = i;
}

static void sift_up(struct timerslot *h, uint32_t i, struct timerslot s)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / 4;

		if (h[parent].when <= s.when)
			break;
		put(h, i, h[parent]);
		i = parent;
	}
	put(h, i, s);
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
		put(h, i, h[least]);
		i = least;
	}
	put(h, i, s);
}

static void update_minwhen(struct timerheap *ts)
{
	assert_held(&ts->lock);
	store_rel_i64(&ts->minwhen, ts->n ? ts->heap[0].when : INT64_MAX);
}

static bool insert(struct timerheap *ts, struct timerslot s)
{
	struct timer *t = timer_of(&s);

	assert_held(&ts->lock);
	if (ts->n >= timers_max)
		return false;
	if (t) {
		t->epoch = ts->epoch;
		store_rlx_ptr(&t->heap, ts);
	}
	sift_up(ts->heap, ts->n, s);
	ts->n++;
	update_minwhen(ts);
	return true;
}

/* Puts s in the place of entry i, and then where it belongs. */
static void move(struct timerheap *ts, uint32_t i, struct timerslot s)
{
	assert_held(&ts->lock);
	if (i > 0 && s.when < ts->heap[(i - 1) / 4].when)
		sift_up(ts->heap, i, s);
	else
		sift_down(ts->heap, ts->n, i, s);
}

/* Takes entry i out; its timer still thinks that it is in. */
static void take_out(struct timerheap *ts, uint32_t i)
{
	assert_held(&ts->lock);
	ts->n--;
	if (i < ts->n)
		move(ts, i, ts->heap[ts->n]);
	update_minwhen(ts);
}

/* ---- adding and removing ------------------------------------------------------------------- */

static bool add(struct p *pp, struct timerslot s)
{
	bool ok;

	lock(&pp->timers.lock);
	ok = insert(&pp->timers, s);
	unlock(&pp->timers.lock);
	return ok;
}

bool timer_add(struct p *pp, struct timer *t, int64_t when)
{
	const struct timerslot s = { when, (uintptr_t)t };

	if (likely(add(pp, s)))
		return true;
	if (!add(p_first(), s))
		return false;
	timers_cover(when);
	return true;
}

/*
 * The lock of the heap that t is in, if it is in one. Its owner calls this, so only another heap's
 * may take its place meanwhile, or none.
 */
static struct timerheap *lock_heap(const struct timer *t)
{
	struct timerheap *ts;

	/* pairs with store_rel in take_due: who ran it is done with it */
	while ((ts = load_acq_ptr(&t->heap))) {
		lock(&ts->lock);
		if (load_rlx_ptr(&t->heap) == ts) {
			if (t->epoch == ts->epoch)
				return ts;
			unlock(&ts->lock);
			return NULL; /* of a former world */
		}
		unlock(&ts->lock);
	}
	return NULL;
}

bool timer_remove(struct timer *t)
{
	struct timerheap *ts = lock_heap(t);

	if (!ts)
		return false;
	take_out(ts, t->pos);
	store_rlx_ptr(&t->heap, NULL);
	unlock(&ts->lock);
	return true;
}

bool timer_reset(struct timer *t, int64_t when)
{
	struct timerheap *ts = lock_heap(t);

	if (!ts)
		return false;
	move(ts, t->pos, (struct timerslot){ when, (uintptr_t)t });
	update_minwhen(ts);
	unlock(&ts->lock);
	timers_cover(when);
	return true;
}

bool timer_set(const struct m *mp, struct timer *t, int64_t when)
{
	if (!mp && !load_acq_u32(&sched.running)) /* pairs with boot's store_rel */
		return false;
	if (!timer_add(mp ? mp->p : p_first(), t, when))
		return false;
	timers_cover(when);
	return true;
}

/* ---- timers in use ------------------------------------------------------------------------- */

bool timer_hold(struct timer *t)
{
	return cas_u32(&t->held, 0, 1);
}

void timer_drop(struct timer *t)
{
	struct atomic_u32 *held = &t->held;

	if (xchg_u32(held, 0) == 2) /* a full barrier: the owner may free t from here on */
		futex_wake(&held->v, 1);
}

bool timer_remove_held(struct timer *t)
{
	bool was_set = timer_remove(t);
	uint32_t held;

	while ((held = load_acq_u32(&t->held)) != 0) /* pairs with xchg in timer_drop */
		if (held == 2 || cas_u32(&t->held, 1, 2))
			lock_wait(&t->held.v, 2);
	return was_set;
}

/* ---- running ------------------------------------------------------------------------------- */

static void sleep_over(void *gp, uintptr_t unused)
{
	(void)unused;
	goready(gp);
}

/* The first timer, if it has expired, comes out of the heap or gets its next time. */
static bool take_due(struct timerheap *ts, int64_t now, struct due *due)
{
	const struct timerslot first = ts->heap[0];
	struct timer *t = timer_of(&first);
	int64_t next = 0;

	assert_held(&ts->lock);
	if (ts->n == 0 || first.when > now)
		return false;
	if (t)
		next = t->expire(t, first.when, now, due);
	else
		*due = (struct due){ sleep_over, (void *)(first.what - 1), 0 };
	if (next > 0) {
		move(ts, 0, (struct timerslot){ next, first.what });
		update_minwhen(ts);
		return true;
	}
	take_out(ts, 0);
	if (t)
		store_rel_ptr(&t->heap, NULL); /* pairs with load_acq in timer_remove */
	return true;
}

uint32_t timers_run(struct p *pp, int64_t now)
{
	struct timerheap *ts = &pp->timers;
	uint32_t ran = 0;

	while (load_acq_i64(&ts->minwhen) <= now) {
		struct due due = { NULL, NULL, 0 };
		bool any;

		lock(&ts->lock);
		any = take_due(ts, now, &due);
		unlock(&ts->lock);
		if (!any)
			break;
		if (due.fn)
			due.fn(due.arg, due.extra);
		ran++;
	}
	return ran;
}

uint32_t timers_run_all(int64_t now)
{
	const struct procs *procs = procs_begin();
	uint32_t ran = 0;

	for (uint32_t i = 0; i < procs->count; i++)
		ran += timers_run(procs->p[i], now);
	procs_end();
	return ran;
}

int64_t timers_earliest(void)
{
	const struct procs *procs = procs_begin();
	int64_t earliest = INT64_MAX;

	for (uint32_t i = 0; i < procs->count; i++) {
		int64_t when = load_acq_i64(&procs->p[i]->timers.minwhen);

		if (when < earliest)
			earliest = when;
	}
	procs_end();
	return earliest;
}

void timers_cover(int64_t when)
{
	if (when == INT64_MAX)
		return;
	/*
	 * The heap's unlock was a full barrier, which pairs with those in waitpoint_sleep and
	 * netpoll_sleep. (If another thread put the timer in, that one covers it himself.)
	 */
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

/*
 * Moves some timers; false: all have moved, or there is no room. With both locks, so that nobody
 * sees a timer in no heap that has not expired. Entries are taken from the end: the heap stays one.
 */
static bool move_some(struct timerheap *from, struct timerheap *to)
{
	bool room = true;

	lock(&from->lock);
	lock(&to->lock);
	for (int i = 0; i < MOVE_BATCH && from->n > 0 && room; i++) {
		room = insert(to, from->heap[from->n - 1]);
		from->n -= room;
	}
	update_minwhen(from);
	room = room && from->n > 0;
	unlock(&to->lock);
	unlock(&from->lock);
	return room;
}

void timers_move(struct p *from)
{
	struct timerheap *to = &p_first()->timers;

	while (move_some(&from->timers, to))
		;
	timers_cover(load_acq_i64(&from->timers.minwhen));
	timers_cover(load_acq_i64(&to->minwhen));
}

/* ---- sleep --------------------------------------------------------------------------------- */

struct sleep {
	int64_t deadline;
	bool no_room;
};

/* On the new side of the park: from here on the timer may fire. */
static bool sleep_commit(struct g *gp, void *arg)
{
	struct sleep *sleep = arg;
	int64_t deadline = sleep->deadline;
	const struct m *mp = getm();

	if (add(mp->p, (struct timerslot){ deadline, (uintptr_t)gp + 1 })) {
		if (mp->curg) /* it was started before the timer was there: see start_running */
			timers_cover(deadline);
		return true;
	}
	sleep->no_room = true;
	return false;
}

static int sleep_alone(int64_t deadline)
{
	struct sleep sleep = { deadline, false };

	gopark(sleep_commit, &sleep, WAIT_SLEEP);
	return sleep.no_room ? -ENOMEM : 0;
}

/* Its context may end the sleep. */
static int sleep_bound(struct g *gp, int64_t deadline)
{
	int err = gopark_until(NULL, NULL, WAIT_SLEEP, wait_open(gp, false, deadline), deadline);

	return err == -ETIMEDOUT ? ctx_err(gp->top->ctx) : err;
}

int urge_sleep_until(int64_t deadline)
{
	struct m *mp = enter();
	int err = 0;

	if (!mp)
		return -EPERM;
	if (deadline > nanotime())
		err = unlikely(mp->curg->top->ctx) ? sleep_bound(mp->curg, deadline)
						   : sleep_alone(deadline);
	leave();
	return err;
}

int64_t time_after(int64_t ns)
{
	int64_t now = nanotime();

	if (ns <= 0)
		return now;
	return ns > INT64_MAX - 1 - now ? INT64_MAX - 1 : now + ns;
}

int urge_sleep(int64_t ns)
{
	return urge_sleep_until(time_after(ns));
}

int64_t urge_now(void)
{
	return nanotime();
}
