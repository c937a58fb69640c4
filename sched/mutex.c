/* SPDX-License-Identifier: MIT */
/*
 * The mutex of goroutines: Go's, with two modes.
 *
 * Normal: those who wait queue in order, but a woken one does not own the mutex: it competes with
 * those who come along, and these run already, so mostly they win; it then queues again, in front.
 * A goroutine thus locks and unlocks many times without a switch although others wait. Starving: a
 * waiter that has not had the mutex for 1 ms switches to this mode, in which unlock hands the mutex
 * to the first of the queue and lets it run at once; who comes along queues. It ends with a waiter
 * that is the last one, or waited for less than 1 ms.
 *
 * A waiter that was woken may be unable to say that it starves: it is runnable, and its P runs
 * somebody who locks and unlocks all the time. So, unlike in Go, unlockers look at the clock now
 * and then: after 1 ms of contention the turn passes to the first of the queue, as above, or, if
 * only a woken one tries, the unlocker yields. Those that do nothing but lock and unlock thus get
 * about equal shares.
 *
 *	LOCKED		somebody holds it, or has been handed it and has not run since
 *	WAITERS		somebody is queued; changes with the root locked (see sema.h)
 *	WOKEN		a woken or spinning one will try: unlock need not wake another
 *	STARVING	only unlock lets others in; never without LOCKED, nor without WAITERS
 *
 * The word names all that unlock must know, and it lets LOCKED go by one compare-and-swap, the last
 * access to the memory. That is why the next one may free the mutex, and why no wake-up is lost:
 *
 *	unlock						who waits, root locked
 *	WAITERS, no WOKEN: lock the root, pop one,	word still LOCKED? add WAITERS, drop
 *	  swap to WOKEN, wake it			  WOKEN if it is mine, by one swap;
 *	else swap LOCKED off				  else try again
 *
 * An unlocker that wakes nobody saw no WAITERS, or WOKEN: then somebody tries who will either have
 * the mutex, or drop WOKEN in a swap that fails unless the word is LOCKED: by one who will see
 * WAITERS. A waiter that gives up does the same. tests/model/mutex.pml is the model.
 *
 * Who finds the mutex held by somebody that runs at this moment spins for a few microseconds,
 * without touching the word in between: so two that contend from two Ps take turns of some dozens
 * of operations, not of one, each of which would move the cache line.
 *
 * Go counts waiters in the word and has a semaphore below, so that an unlock and the waiter it is
 * for find each other later. A waiter that may give up would leave its unit behind.
 *
 * The holder's name is for lockcycle.h. The quick paths, one compare-and-swap each, do not enter
 * the runtime: they are in urge_text, where nobody is moved.
 */
#define URGE_KEEP_ERRNO
#include "sched/mutex.h"

#include "kernelshim/clock.h"
#include "sched/lockcycle.h"
#include "sched/sema.h"

#include <errno.h>

enum {
	LOCKED = 1,
	WAITERS = 2,
	WOKEN = 4,
	STARVING = 8,
};

enum { SPINS = 4, SPIN_PAUSES = 30 };
#define STARVATION_NS INT64_C(1000000)

struct mutexwaiter {
	struct semwaiter w;
	bool awoke; /* WOKEN is for this one */
	bool starving;
};

static inline struct atomic_u32 *word(urge_mutex *m)
{
	return (struct atomic_u32 *)&m->state_;
}

static inline void set_holder(urge_mutex *m, struct g *gp)
{
	__atomic_store_n(&m->owner_, gp, __ATOMIC_RELAXED);
}

static inline struct g *current(void)
{
	const struct m *mp = getm();

	return mp ? mp->curg : NULL;
}

/* ---- turns --------------------------------------------------------------------------------- */

/*
 * m.turn_: when the holder's turn began, in units of 16 us, times TURN_LOOKS; in the lower part a
 * count of the unlocks since the last look at the clock. The count is the holder's; a time that
 * gets lost, in a race between the holder and who queues first, or a wrap after 18 minutes, ends a
 * turn early.
 */
enum { TURN_SHIFT = 14, TURN_LOOKS = 64 };

static inline struct atomic_u32 *turn(urge_mutex *m)
{
	return (struct atomic_u32 *)&m->turn_;
}

static uint32_t turn_time(int64_t ns)
{
	return (uint32_t)(ns >> TURN_SHIFT) * TURN_LOOKS;
}

static void turn_begins(urge_mutex *m, int64_t now)
{
	store_rlx_u32(turn(m), turn_time(now));
}

static bool turn_is_over(urge_mutex *m, int64_t now)
{
	return turn_time(now) - load_rlx_u32(turn(m)) / TURN_LOOKS * TURN_LOOKS >
	       turn_time(STARVATION_NS);
}

/* The holder, at an unlock: whether its turn is over, as far as a look now and then can tell. */
static bool look_at_turn(urge_mutex *m)
{
	uint32_t t = load_rlx_u32(turn(m));

	if ((t + 1) % TURN_LOOKS != 0) {
		store_rlx_u32(turn(m), t + 1);
		return false;
	}
	store_rlx_u32(turn(m), t + 1 - TURN_LOOKS);
	return turn_is_over(m, nanotime());
}

/* ---- locking ------------------------------------------------------------------------------- */

/* Its holder runs on another P, and will let it go soon, if ever; NULL: it has just got it, mostly. */
static bool may_spin(const urge_mutex *m)
{
	const struct g *holder = mutex_holder(m);

	return load_rlx_i32(&sched.gomaxprocs) > 1 &&
	       (!holder || load_rlx_u32(&holder->status) == Grunning);
}

/* Spins while the mutex is held, a while at most. True: w has set WOKEN for itself. */
static bool spin(urge_mutex *m, bool awoke)
{
	for (int n = 0; n < SPINS && may_spin(m); n++) {
		uint32_t old = load_rlx_u32(word(m));

		if ((old & (LOCKED | STARVING)) != LOCKED)
			break;
		if (!awoke && (old & (WOKEN | WAITERS)) == WAITERS)
			awoke = cas_u32(word(m), old, old | WOKEN);
		for (int i = 0; i < SPIN_PAUSES; i++)
			cpu_relax();
	}
	return awoke;
}

/* With the root locked. False: the mutex is free. */
static bool join(struct semwaiter *w)
{
	struct mutexwaiter *mw = container_of(w, struct mutexwaiter, w);

	for (;;) {
		uint32_t old = load_rlx_u32(word(w->mutex));
		uint32_t new = old | WAITERS;

		if (!(old & LOCKED))
			return false;
		if (mw->awoke)
			new &= ~(uint32_t)WOKEN;
		if (mw->starving)
			new |= STARVING;
		if (cas_u32(word(w->mutex), old, new)) {
			if (!(old & WAITERS))
				turn_begins(w->mutex, w->since);
			mw->awoke = false;
			return true;
		}
	}
}

/* With the root locked, out of the queue: the deadline has passed. */
static void leave_queue(struct semwaiter *w, bool others)
{
	if (!others)
		and_u32(word(w->mutex), ~(uint32_t)(WAITERS | STARVING));
}

/* Takes the mutex if it is free. Else drops WOKEN, if give_up. */
static inline bool take(urge_mutex *m, bool awoke, bool give_up)
{
	uint32_t woken = awoke ? WOKEN : 0;

	for (;;) {
		uint32_t old = load_rlx_u32(word(m));

		if (!(old & LOCKED)) {
			if (cas_u32(word(m), old, (old | LOCKED) & ~woken))
				return true;
		} else if (!give_up || !awoke || cas_u32(word(m), old, old & ~woken)) {
			return false;
		}
	}
}

int mutex_lock_slow(urge_mutex *m, struct m *mp, bool interruptible, int64_t deadline,
		    enum waitreason reason)
{
	struct g *gp = mp ? mp->curg : NULL;
	struct mutexwaiter mw;
	struct semwaiter *w = &mw.w;
	int err = 0;

	semwaiter_init(w, m, join, m);
	mw.awoke = mw.starving = false;
	for (;;) {
		if (!err)
			mw.awoke = spin(m, mw.awoke);
		if (take(m, mw.awoke, err != 0))
			break;
		if (err)
			return err;
		if (w->since == 0)
			w->since = nanotime();
		w->sleeper = sleeper_open(gp, interruptible, deadline);
		err = semwait(w, reason, deadline, leave_queue);
		if (w->woken == SEM_GRANTED)
			return 0; /* and is named the holder */
		if (w->woken == SEM_WOKEN)
			mw.awoke = true;
		mw.starving |= nanotime() - w->since > STARVATION_NS;
		w->lifo = true;
	}
	set_holder(m, gp);
	if (mw.awoke)
		turn_begins(m, nanotime());
	return 0;
}

static noinline void lock_contended(urge_mutex *m)
{
	struct m *mp = enter();

	mutex_lock_slow(m, mp, false, INT64_MAX, WAIT_MUTEXLOCK);
	if (mp)
		leave();
}

void urge_mutex_lock(urge_mutex *m)
{
	if (likely(take(m, false, false))) {
		set_holder(m, current());
	} else {
		lock_contended(m);
		barrier(); /* no tail call, so that this function is in the dumps */
	}
}

bool urge_mutex_trylock(urge_mutex *m)
{
	bool taken = take(m, false, false);

	if (taken)
		set_holder(m, current());
	else
		lock_preempted(); /* it may try for ever */
	return taken;
}

int urge_mutex_lock_until(urge_mutex *m, int64_t deadline)
{
	struct m *mp = enter();
	int err = 0;

	if (!mp)
		return -EPERM;
	if (take(m, false, false))
		set_holder(m, mp->curg);
	else if (deadline == 0)
		err = -EAGAIN;
	else
		err = mutex_lock_slow(m, mp, true, deadline, WAIT_MUTEXLOCK);
	leave();
	return err;
}

/* ---- unlocking ----------------------------------------------------------------------------- */

/* Everything but LOCKED and WAITERS becomes bits, in one go; others may set WOKEN meanwhile. */
static void let_go(urge_mutex *m, uint32_t bits)
{
	for (;;) {
		uint32_t old = load_rlx_u32(word(m));

		if (cas_u32(word(m), old, (old & WOKEN) | bits))
			return;
	}
}

/*
 * Pops the next one, and lets go of m or hands it over. NULL: all of those that were queued have
 * given up. m may be gone on return.
 */
static struct semwaiter *pass_on(urge_mutex *m)
{
	struct semroot *root = semlock(m);
	struct semwaiter *w = sempop(root, m);
	uint32_t others = semqueued(root, m) ? WAITERS : 0;
	bool starving = load_rlx_u32(word(m)) & STARVING;
	int64_t now = nanotime();

	if (!w) {
		let_go(m, 0);
	} else if (starving || turn_is_over(m, now)) {
		starving &= others && now - w->since > STARVATION_NS;
		w->woken = SEM_GRANTED;
		turn_begins(m, now);
		set_holder(m, w->sleeper.gp);
		let_go(m, LOCKED | others | (starving ? STARVING : 0));
	} else {
		w->woken = SEM_WOKEN;
		let_go(m, others | WOKEN);
	}
	semunlock(root);
	return w;
}

/* True: the next one has been handed m. */
static bool wake_next(urge_mutex *m)
{
	struct semwaiter *w = pass_on(m);
	bool granted = w && w->woken == SEM_GRANTED;

	if (w)
		sleeper_wake(&w->sleeper);
	return granted;
}

/* Whether an unlock has to do more than to let go. */
static inline bool must_pass_on(uint32_t old, bool over)
{
	return (old & WAITERS) && ((old & (WOKEN | STARVING)) != WOKEN || over);
}

/* False: pass_on is to be called instead. */
static inline bool let_go_quickly(urge_mutex *m, bool over)
{
	for (;;) {
		uint32_t old = load_rlx_u32(word(m));

		if (unlikely(!(old & LOCKED)))
			fatal("sync: unlock of unlocked mutex");
		if (must_pass_on(old, over))
			return false;
		if (cas_u32(word(m), old, old & ~(uint32_t)LOCKED))
			return true;
	}
}

/* Whether the caller's turn is over; as long as nobody has been woken, pass_on sees to that. */
static inline bool look_if_woken(urge_mutex *m)
{
	return (load_rlx_u32(word(m)) & WOKEN) && look_at_turn(m);
}

bool mutex_unlock(urge_mutex *m)
{
	bool over = look_if_woken(m);

	set_holder(m, NULL);
	return let_go_quickly(m, over) ? over : wake_next(m);
}

/* gone: it is free already, and the caller's turn is over. */
static noinline void unlock_contended(urge_mutex *m, bool gone, bool over)
{
	const struct m *mp = enter();

	if (!gone)
		over = wake_next(m);
	if (over && mp && mp->curg->nopreempt == 0)
		goyield();
	if (mp)
		leave();
}

void urge_mutex_unlock(urge_mutex *m)
{
	set_holder(m, NULL);
	if (unlikely(load_rlx_u32(word(m)) != LOCKED || !cas_u32(word(m), LOCKED, 0))) {
		bool over = look_if_woken(m), gone = let_go_quickly(m, over);

		if (!gone || over) {
			unlock_contended(m, gone, over);
			return;
		}
	}
	lock_preempted();
}
