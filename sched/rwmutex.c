/* SPDX-License-Identifier: MIT */
/*
 * The lock of many readers or one writer, which prefers writers as Go's does: one that waits keeps
 * new readers out, and one that unlocks lets all readers in that have queued meanwhile, before the
 * next.
 *
 * Writers compete for a mutex. Who has it announces itself in the word, then waits for the readers
 * that are in:
 *
 *	READERS		how many are in, lower bits
 *	WRITER		a writer is in, or waits for the readers to leave
 *	WAITERS		readers are queued (at the word's address; see sema.h); changes with the root locked
 *
 *	the writer				the last reader out
 *	word: WRITER on				word: READERS - 1
 *	root locked: READERS? into the queue	0, and WRITER on? root locked: pop the writer
 *
 * While WRITER is on and nobody is in, only the writer changes the word, but for WAITERS. A writer
 * that gives up takes WRITER off and lets the readers in, as at its unlock. Readers are not counted
 * while they wait, so those that give up just leave the queue.
 *
 * Readers that wait do it for the holder of the mutex; a writer, for readers nobody knows.
 */
#define URGE_KEEP_ERRNO
#include "sched/urge.h"

#include "sched/fatal.h"
#include "sched/mutex.h"
#include "sched/proc.h"
#include "sched/sema.h"

#include <errno.h>

#define WAITERS (UINT32_C(1) << 31)
#define WRITER (UINT32_C(1) << 30)
#define READERS (WRITER - 1)

static inline struct atomic_u32 *word(const urge_rwmutex *rw)
{
	return (struct atomic_u32 *)&rw->state_;
}

static inline urge_rwmutex *of_readers(const struct semwaiter *w)
{
	return container_of(w->addr, urge_rwmutex, state_);
}

static inline urge_rwmutex *of_writer(const struct semwaiter *w)
{
	return container_of(w->addr, urge_rwmutex, writer_);
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool reader_takes(urge_rwmutex *rw)
{
	for (;;) {
		uint32_t old = load_rlx_u32(word(rw));

		if (old & WRITER)
			return false;
		if (cas_u32(word(rw), old, old + 1))
			return true;
	}
}

/* With the root locked. */
static bool reader_joins(struct semwaiter *w)
{
	struct atomic_u32 *state = word(of_readers(w));

	for (;;) {
		uint32_t old = load_rlx_u32(state);

		if (!(old & WRITER))
			return false;
		if ((old & WAITERS) || cas_u32(state, old, old | WAITERS))
			return true;
	}
}

/* With the root locked, out of the queue in vain. */
static void reader_leaves(struct semwaiter *w, bool others)
{
	if (!others)
		and_u32(word(of_readers(w)), ~WAITERS);
}

static int reader_waits(urge_rwmutex *rw, const struct m *mp, bool interruptible, int64_t deadline)
{
	struct g *gp = mp ? mp->curg : NULL;
	struct semwaiter w;

	semwaiter_init(&w, &rw->state_, reader_joins, &rw->writers_);
	do {
		int err;

		w.sleeper = sleeper_open(gp, interruptible, deadline);
		err = semwait(&w, WAIT_RWMUTEXRLOCK, deadline, reader_leaves);
		if (err)
			return err;
	} while (w.woken != SEM_GRANTED && !reader_takes(rw));
	return 0;
}

void urge_rwmutex_rlock(urge_rwmutex *rw)
{
	struct m *mp;

	if (likely(reader_takes(rw)))
		return;
	mp = enter();
	reader_waits(rw, mp, false, INT64_MAX);
	if (mp)
		leave();
}

bool urge_rwmutex_tryrlock(urge_rwmutex *rw)
{
	bool taken = reader_takes(rw);

	if (!taken)
		lock_preempted();
	return taken;
}

int urge_rwmutex_rlock_until(urge_rwmutex *rw, int64_t deadline)
{
	const struct m *mp = enter();
	int err = 0;

	if (!mp)
		return -EPERM;
	if (!reader_takes(rw))
		err = deadline == 0 ? -EAGAIN : reader_waits(rw, mp, true, deadline);
	leave();
	return err;
}

/* The last reader has left, and a writer waits. The lock may be another's by now: only its address. */
static noinline void wake_writer(const urge_rwmutex *rw)
{
	const struct m *mp = enter();
	struct semroot *root = semlock(&rw->writer_);
	struct semwaiter *w = sempop(root, &rw->writer_);

	semunlock(root);
	if (w) {
		w->woken = SEM_WOKEN;
		sleeper_wake(&w->sleeper);
	}
	if (mp)
		leave();
}

void urge_rwmutex_runlock(urge_rwmutex *rw)
{
	uint32_t left = sub_u32(word(rw), 1);

	if (unlikely((left & READERS) == READERS))
		fatal("sync: RUnlock of unlocked RWMutex");
	if (unlikely((left & (WRITER | READERS)) == WRITER))
		wake_writer(rw);
	else
		lock_preempted();
}

/* ---- writing ------------------------------------------------------------------------------- */

/* The last reader wakes with the root locked, after it has left. */
static bool writer_joins(struct semwaiter *w)
{
	return (load_rlx_u32(word(of_writer(w))) & READERS) != 0;
}

static void writer_leaves(struct semwaiter *w, bool others)
{
	(void)w, (void)others;
}

/* WRITER goes off, and all readers that are queued are in. */
static void admit_readers(urge_rwmutex *rw)
{
	struct semroot *root = semlock(&rw->state_);
	struct semwaiter *list = NULL, **end = &list, *w;
	uint32_t n = 0, old;

	while ((w = sempop(root, &rw->state_))) {
		w->woken = SEM_GRANTED;
		*end = w;
		end = &w->next;
		n++;
	}
	*end = NULL;
	do {
		old = load_rlx_u32(word(rw)); /* readers may leave, when a writer has given up */
	} while (!cas_u32(word(rw), old, (old & READERS) + n));
	semunlock(root);
	while (list) {
		w = list;
		list = w->next;
		sleeper_wake(&w->sleeper);
	}
}

/* The mutex is the caller's. 0, or why the readers did not leave. */
static int writer_waits(urge_rwmutex *rw, const struct m *mp, bool interruptible, int64_t deadline)
{
	struct g *gp = mp ? mp->curg : NULL;
	struct semwaiter w;

	semwaiter_init(&w, &rw->writer_, writer_joins, NULL);
	while (load_acq_u32(word(rw)) & READERS) { /* pairs with sub in runlock */
		int err;

		w.sleeper = sleeper_open(gp, interruptible, deadline);
		err = semwait(&w, WAIT_RWMUTEXLOCK, deadline, writer_leaves);
		if (err && (load_acq_u32(word(rw)) & READERS))
			return err;
	}
	return 0;
}

static int writer_locks(urge_rwmutex *rw, struct m *mp, bool interruptible, int64_t deadline)
{
	int err = 0;

	if (!urge_mutex_trylock(&rw->writers_))
		err = mutex_lock_slow(&rw->writers_, mp, interruptible, deadline, WAIT_RWMUTEXLOCK);
	if (err)
		return err;
	or_u32(word(rw), WRITER);
	err = writer_waits(rw, getm(), interruptible, deadline);
	if (err) {
		admit_readers(rw);
		mutex_unlock(&rw->writers_);
	}
	return err;
}

void urge_rwmutex_lock(urge_rwmutex *rw)
{
	struct m *mp = enter();

	writer_locks(rw, mp, false, INT64_MAX);
	if (mp)
		leave();
}

int urge_rwmutex_lock_until(urge_rwmutex *rw, int64_t deadline)
{
	struct m *mp = enter();
	int err;

	if (!mp)
		return -EPERM;
	if (deadline == 0) {
		leave(); /* an unlock that finds somebody waiting enters by itself */
		return urge_rwmutex_trylock(rw) ? 0 : -EAGAIN;
	}
	err = writer_locks(rw, mp, true, deadline);
	leave();
	return err;
}

bool urge_rwmutex_trylock(urge_rwmutex *rw)
{
	if (!urge_mutex_trylock(&rw->writers_))
		return false;
	if (cas_u32(word(rw), 0, WRITER))
		return true;
	urge_mutex_unlock(&rw->writers_);
	return false;
}

void urge_rwmutex_unlock(urge_rwmutex *rw)
{
	uint32_t old = load_rlx_u32(word(rw));

	if (unlikely((old & (WRITER | READERS)) != WRITER))
		fatal("sync: Unlock of unlocked RWMutex");
	if (unlikely(!cas_u32(word(rw), WRITER, 0))) {
		const struct m *mp = enter();

		admit_readers(rw);
		if (mp)
			leave();
	}
	urge_mutex_unlock(&rw->writers_);
}
