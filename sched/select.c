/* SPDX-License-Identifier: MIT */
/*
 * select: the first that is possible of several sends and receives.
 *
 *	1. Look at all channels without their locks, choose among those that look ready, each with
 *	   the same chance, lock that one's channel, and do it. Mostly that is all.
 *	2. Else lock all channels, in the order of their addresses, and look again. Now "none" is
 *	   true at one instant: a select that must not wait returns -EAGAIN.
 *	3. Else put an entry into the queue of each channel, all with the same ticket (wait.h),
 *	   and park; the locks are released on the new side of the switch.
 *	4. Awake, by the one who has claimed the ticket: take the other entries out, each with its
 *	   channel's lock. The winner's channel is not locked again.
 *
 * Step 3 releases the locks with the help of an array on the stack of a goroutine that may be
 * running again by then:
 *
 *	new side of the switch			the goroutine, woken through a channel that is unlocked
 *	unlock of the n-th channel
 *	reads what the next one is		step 4 locks every channel that is not the winner's,
 *	unlock of the next			so it stays until the last one has been unlocked
 *
 * Entries and order stand on the stack for a few cases, else in memory from malloc, which is got
 * before the runtime is entered and given back after.
 *
 * Go permutes the cases, sorts them by address and locks all channels at each select. The look
 * without locks is what makes a select among ready channels cheap; a choice that turns out to be
 * taken by somebody else goes on with step 2. Rejected: a random start and the first ready case
 * from there on; the one behind a gap of cases that are not ready would be chosen more often.
 */
#define URGE_KEEP_ERRNO
#include "sched/select.h"

#include "kernelshim/clock.h"
#include "sched/m.h"
#include "sched/proc.h"

#include <errno.h>
#include <stdlib.h>

enum { CASES_MAX = 65536, CASES_ON_STACK = 8, BLOCK = 64 };

/* What only a select that does not succeed at first sight needs. */
struct selection {
	struct urge_case *cases;
	size_t n;
	struct sudog *entries; /* one for each case */
	uint32_t *order;       /* the cases with a channel, by the channel's address */
	size_t norder;
	uint32_t ticket; /* while it waits */
};

/* ---- chance -------------------------------------------------------------------------------- */

/* From 0 to n - 1. A thread that is no M takes the clock for a die. */
static uint32_t below(struct m *mp, uint32_t n)
{
	uint32_t x = mp ? mrand(mp) : (uint32_t)nanotime() * UINT32_C(0x9e3779b1);

	return (uint32_t)((uint64_t)x * n >> 32);
}

static inline bool may_go(const struct urge_case *k)
{
	if (!k->chan)
		return false;
	return k->op == URGE_SEND ? chan_may_send(k->chan) : chan_may_recv(k->chan);
}

/*
 * One of the cases that look ready, each with the same chance; -EAGAIN if there is none, -EINVAL
 * if a case is neither a send nor a receive. Without a branch that depends on chance.
 */
static inline int choose(struct m *mp, const struct urge_case *cases, size_t n)
{
	int chosen = -EAGAIN;
	uint32_t seen = 0;
	bool odd = false;

	for (size_t at = 0; at < n; at += BLOCK) {
		size_t block = n - at < BLOCK ? n - at : BLOCK;
		uint32_t count = 0, r;
		uint8_t ready[BLOCK];

		for (size_t i = 0; i < block; i++) {
			ready[count] = (uint8_t)i;
			count += may_go(&cases[at + i]);
			odd |= cases[at + i].op != URGE_SEND && cases[at + i].op != URGE_RECV;
		}
		if (count == 0)
			continue;
		seen += count;
		r = seen == 1 ? 0 : below(mp, seen);
		if (r < count) /* with a chance of count / seen, and then any of them */
			chosen = (int)(at + ready[r]);
	}
	return odd ? -EINVAL : chosen;
}

/* ---- one case ------------------------------------------------------------------------------ */

static inline int attempt(struct urge_case *k, struct g **ready)
{
	return k->op == URGE_SEND ? chan_send_locked(k->chan, k->elem, ready)
				  : chan_recv_locked(k->chan, k->elem, ready);
}

/* Step 1. The case that went; -EAGAIN, -EINVAL. */
static inline int select_at_sight(struct m *mp, struct urge_case *cases, size_t n)
{
	struct g *ready = NULL;
	int i = choose(mp, cases, n);
	struct urge_chan *c;
	int err;

	if (i < 0)
		return i;
	c = cases[i].chan;
	chanlock(&c->lock, getm());
	err = attempt(&cases[i], &ready);
	chanunlock(&c->lock, getm());
	if (err == -EAGAIN)
		return err;
	if (ready)
		goready(ready);
	cases[i].result = err;
	return i;
}

/* ---- all channels -------------------------------------------------------------------------- */

static inline struct urge_chan *chan_at(const struct selection *s, size_t i)
{
	return s->cases[s->order[i]].chan;
}

static void sift_down(const struct selection *s, size_t n, size_t i)
{
	uint32_t k = s->order[i];

	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && chan_at(s, child) < chan_at(s, child + 1))
			child++;
		if (chan_at(s, child) <= s->cases[k].chan)
			break;
		s->order[i] = s->order[child];
	}
	s->order[i] = k;
}

/* A heap sort: no memory, and no case takes long. */
static void sort_cases(struct selection *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->cases[i].chan)
			s->order[n++] = (uint32_t)i;
	s->norder = n;
	for (size_t i = n / 2; i-- > 0;)
		sift_down(s, n, i);
	while (n > 1) {
		uint32_t last = s->order[--n];

		s->order[n] = s->order[0];
		s->order[0] = last;
		sift_down(s, n, 0);
	}
}

static void lock_all(const struct selection *s)
{
	const struct m *mp = getm();

	if (s->norder == 0)
		return;
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_acquire(RANK_CHAN);
	for (size_t i = 0; i < s->norder; i++)
		if (i == 0 || chan_at(s, i) != chan_at(s, i - 1))
			chanlock_take(&chan_at(s, i)->lock, mp);
}

/* After the last release *s and its cases may be gone: see the head of the file. */
static void unlock_all(const struct selection *s)
{
	const struct m *mp = getm();
	struct urge_chan *c;

	if (s->norder == 0)
		return;
	if (IS_ENABLED(CONFIG_DEBUG))
		lockrank_release(RANK_CHAN);
	c = chan_at(s, 0);
	for (size_t i = 1, n = s->norder; i < n; i++) {
		struct urge_chan *next = chan_at(s, i);

		if (next != c)
			chanlock_release(&c->lock, mp);
		c = next;
	}
	chanlock_release(&c->lock, mp);
}

/* With all locks: the case that went; -EAGAIN if none can go, which is true at this instant. */
static int select_locked(struct m *mp, const struct selection *s, struct g **ready)
{
	for (;;) {
		int i = choose(mp, s->cases, s->n), err;

		if (i < 0)
			return i;
		err = attempt(&s->cases[i], ready);
		if (err != -EAGAIN) {
			s->cases[i].result = err;
			return i;
		}
		/* it looked ready for an entry whose wait was over; the entry is gone now */
	}
}

/* ---- waiting ------------------------------------------------------------------------------- */

static inline struct waitq *queue_of(const struct urge_case *k)
{
	return k->op == URGE_SEND ? &k->chan->sendq : &k->chan->recvq;
}

static void enqueue_all(const struct selection *s, struct g *gp, uint32_t ticket)
{
	for (size_t i = 0; i < s->norder; i++) {
		struct urge_case *k = &s->cases[s->order[i]];
		struct sudog *sg = &s->entries[s->order[i]];

		*sg = (struct sudog){ .gp = gp, .elem = k->elem, .ticket = ticket };
		chan_enqueue(k->chan, queue_of(k), sg);
	}
}

/*
 * Step 4: takes out what is still in a queue; the case that has won, n if it was none. Only the
 * winner's own result may be read without the lock: whoever wrote it has readied the caller.
 */
static size_t dequeue_all(const struct selection *s)
{
	size_t winner = s->n;

	for (size_t i = 0, end; i < s->norder; i = end) {
		struct urge_chan *c = chan_at(s, i);
		bool alone;

		for (end = i + 1; end < s->norder && chan_at(s, end) == c;)
			end++;
		alone = end == i + 1;
		if (alone && s->entries[s->order[i]].result != WAITS) {
			winner = s->order[i];
			continue;
		}
		chanlock(&c->lock, getm());
		for (size_t j = i; j < end; j++) {
			uint32_t k = s->order[j];

			chan_dequeue(queue_of(&s->cases[k]), &s->entries[k]);
			if (s->entries[k].result != WAITS)
				winner = k;
		}
		chanunlock(&c->lock, getm());
	}
	return winner;
}

uint32_t select_ticket(const struct selection *s)
{
	return s->ticket;
}

struct urge_chan *select_chan(const struct selection *s, size_t i)
{
	return i < s->norder ? chan_at(s, i) : NULL;
}

static bool unlock_all_after(struct g *gp, void *arg)
{
	(void)gp;
	unlock_all(arg);
	return true;
}

/* Steps 3 and 4, with all locks. The case that went, or -errno. */
static int select_wait(struct g *gp, struct selection *s, int64_t deadline)
{
	uint32_t ticket = wait_open(gp, true, deadline);
	size_t winner;
	int err;

	enqueue_all(s, gp, ticket);
	s->ticket = ticket;
	gp->waitobj = s;
	err = gopark_until(unlock_all_after, s, s->n > 0 ? WAIT_SELECT : WAIT_SELECTNOCASES, ticket,
			   deadline);
	winner = dequeue_all(s);
	if (winner == s->n)
		return err;
	s->cases[winner].result = s->entries[winner].result;
	return (int)winner;
}

/* Steps 2 to 4. The case that went, or -errno. */
static int select_slow(struct selection *s, int64_t deadline)
{
	struct m *mp = enter(); /* NULL on a thread, which does not wait */
	struct g *ready = NULL;
	int i;

	sort_cases(s);
	lock_all(s);
	i = select_locked(mp, s, &ready);
	if (i == -EAGAIN && deadline != 0) {
		i = select_wait(mp->curg, s, deadline);
	} else {
		unlock_all(s);
		if (ready)
			goready(ready);
	}
	if (mp)
		leave();
	return i;
}

static noinline int select_few(struct urge_case *cases, size_t n, int64_t deadline)
{
	struct sudog entries[CASES_ON_STACK];
	uint32_t order[CASES_ON_STACK];
	struct selection s = { .cases = cases, .n = n, .entries = entries, .order = order };

	return select_slow(&s, deadline);
}

static noinline int select_many(struct urge_case *cases, size_t n, int64_t deadline)
{
	struct selection s = { .cases = cases, .n = n };
	int result;

	s.entries = malloc(n * (sizeof(*s.entries) + sizeof(*s.order)));
	if (!s.entries)
		return -ENOMEM;
	s.order = (uint32_t *)(s.entries + n);
	result = select_slow(&s, deadline);
	free(s.entries);
	return result;
}

/* ---- the calls ----------------------------------------------------------------------------- */

int urge_select_until(struct urge_case *cases, size_t n, int64_t deadline)
{
	struct m *mp = enter();
	int i;

	if (unlikely(n > CASES_MAX))
		i = -EINVAL;
	else if (unlikely(!mp && deadline != 0))
		i = -EPERM;
	else
		i = select_at_sight(mp, cases, n);
	if (mp)
		leave();
	if (i != -EAGAIN)
		return i;
	return n <= CASES_ON_STACK ? select_few(cases, n, deadline)
				   : select_many(cases, n, deadline);
}

int urge_select(struct urge_case *cases, size_t n)
{
	return urge_select_until(cases, n, URGE_FOREVER);
}

int urge_try_select(struct urge_case *cases, size_t n)
{
	return urge_select_until(cases, n, 0);
}
