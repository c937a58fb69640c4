/* SPDX-License-Identifier: MIT */
#include "sched/sema.h"

#include "sched/lockcycle.h"
#include "sched/mutex.h"
#include "sched/park.h"

struct semroot semtable[SEMROOTS] = {
	[0 ... SEMROOTS - 1] = { .rand = 1 },
};

/* ---- the treap: a search tree by address, a heap by priority ------------------------------- */

/* The place of old below its parent is new's. */
static void replace(struct semroot *root, const struct semwaiter *old, struct semwaiter *new)
{
	struct semwaiter *parent = old->parent;

	if (parent)
		parent->child[parent->child[1] == old] = new;
	else
		root->treap = new;
	if (new)
		new->parent = parent;
}

/* x becomes the parent of its parent: a rotation. */
static void rotate_up(struct semroot *root, struct semwaiter *x)
{
	struct semwaiter *parent = x->parent;
	int side = parent->child[1] == x;
	struct semwaiter *inner = x->child[!side];

	replace(root, parent, x);
	parent->child[side] = inner;
	if (inner)
		inner->parent = parent;
	x->child[!side] = parent;
	parent->parent = x;
}

static void treap_insert(struct semroot *root, struct semwaiter *w, struct semwaiter *parent)
{
	root->rand = root->rand * 1664525 + 1013904223;
	w->priority = root->rand >> 8; /* the lower bits are hardly random */
	w->parent = parent;
	w->child[0] = w->child[1] = NULL;
	if (parent)
		parent->child[w->addr > parent->addr] = w;
	else
		root->treap = w;
	while (w->parent && w->parent->priority > w->priority)
		rotate_up(root, w);
}

static void treap_remove(struct semroot *root, struct semwaiter *w)
{
	while (w->child[0] || w->child[1]) {
		int side = !w->child[0] ||
			   (w->child[1] && w->child[1]->priority < w->child[0]->priority);

		rotate_up(root, w->child[side]);
	}
	replace(root, w, NULL);
}

/* The place of the first one of a list is another one's from now on. */
static void treap_substitute(struct semroot *root, const struct semwaiter *old,
			     struct semwaiter *new)
{
	new->priority = old->priority;
	for (int side = 0; side < 2; side++) {
		new->child[side] = old->child[side];
		if (new->child[side])
			new->child[side]->parent = new;
	}
	replace(root, old, new);
}

/* The first one in addr's list; if there is none, *parent is where it would be. */
static struct semwaiter *first_of(const struct semroot *root, const void *addr,
				  struct semwaiter **parent)
{
	struct semwaiter *w = root->treap;

	*parent = NULL;
	while (w && w->addr != addr) {
		*parent = w;
		w = w->child[addr > w->addr];
	}
	return w;
}

/* ---- queues -------------------------------------------------------------------------------- */

static void enqueue(struct semroot *root, struct semwaiter *w)
{
	struct semwaiter *parent, *first = first_of(root, w->addr, &parent);

	w->joined = w->queued = true;
	w->serial = ++root->serial;
	w->prev = w->next = NULL;
	if (!first) {
		w->tail = w;
		treap_insert(root, w, parent);
	} else if (w->lifo) {
		w->next = first;
		w->tail = first->tail;
		first->prev = w;
		treap_substitute(root, first, w);
	} else {
		w->prev = first->tail;
		first->tail->next = w;
		first->tail = w;
	}
}

static void dequeue(struct semroot *root, struct semwaiter *w)
{
	struct semwaiter *parent;

	w->queued = false;
	if (w->prev) {
		w->prev->next = w->next;
		if (w->next)
			w->next->prev = w->prev;
		else
			first_of(root, w->addr, &parent)->tail = w->prev;
	} else if (w->next) {
		w->next->prev = NULL;
		w->next->tail = w->tail;
		treap_substitute(root, w, w->next);
	} else {
		treap_remove(root, w);
	}
}

struct semwaiter *sempop(struct semroot *root, const void *addr)
{
	struct semwaiter *parent, *w;

	while ((w = first_of(root, addr, &parent))) {
		dequeue(root, w);
		if (sleeper_claim(&w->sleeper))
			break;
	}
	return w;
}

bool semqueued(const struct semroot *root, const void *addr)
{
	struct semwaiter *parent;

	return first_of(root, addr, &parent) != NULL;
}

struct semwaiter *semfind(const struct semroot *root, const void *addr, const struct g *gp)
{
	struct semwaiter *parent, *w;

	for (w = first_of(root, addr, &parent); w; w = w->next)
		if (w->sleeper.gp == gp)
			return w;
	return NULL;
}

/* A goroutine's entry in the list that begins at w, or below it in the treap; NULL if there is none. */
static struct semwaiter *find_goroutine(struct semwaiter *w)
{
	struct semwaiter *found = NULL;

	for (struct semwaiter *at = w; at && !found; at = at->next)
		if (at->sleeper.gp)
			found = at;
	for (int side = 0; w && !found && side < 2; side++)
		found = find_goroutine(w->child[side]);
	return found;
}

void semforget(void)
{
	for (int i = 0; i < SEMROOTS; i++) {
		struct semroot *root = &semtable[i];

		chanlock_take(&root->lock, NULL);
		for (struct semwaiter *w; (w = find_goroutine(root->treap)) != NULL;)
			dequeue(root, w);
		chanlock_release(&root->lock, NULL);
	}
}

void sem_after_fork(void)
{
	for (int i = 0; i < SEMROOTS; i++) {
		struct semroot *root = &semtable[i];

		root->treap = NULL;
		root->lock = (struct chanlock){ .held = { 0 } };
	}
}

/* ---- waiting ------------------------------------------------------------------------------- */

/* On the new side of the switch. When the root is unlocked w may be gone. */
static inline bool commit(struct g *gp, void *arg)
{
	struct semwaiter *w = arg;
	struct semroot *root = semlock(w->addr);
	urge_mutex *unlocks = NULL;
	struct g *holder = NULL;
	bool waits = w->join(w);

	if (waits) {
		enqueue(root, w);
		unlocks = w->unlocks;
		if (gp && w->mutex)
			holder = mutex_holder(w->mutex);
	}
	semunlock(root);
	if (unlocks)
		mutex_unlock(unlocks);
	if (holder)
		lockcycle_queued(gp, holder);
	return waits;
}

static void commit_after(struct m *mp, struct g *old)
{
	struct semwaiter *w = mp->after.arg;

	parked(mp, old);
	if (!commit(old, w))
		park_called_off(mp, old);
}

int semwait(struct semwaiter *w, enum waitreason reason, int64_t deadline,
	    void (*leave_queue)(struct semwaiter *w, bool others))
{
	struct g *gp = w->sleeper.gp;
	int err;

	w->joined = w->queued = w->told = false;
	w->woken = SEM_NOT_WOKEN;
	if (gp)
		lockcycle_waits(gp, w);
	if (likely(gp && w->sleeper.ticket == 0)) {
		gopark_inline(getm(), commit_after, w, reason);
		lockcycle_waited(gp);
		return 0;
	}
	err = sleeper_sleep(&w->sleeper, commit, w, reason, deadline);
	if (gp)
		lockcycle_waited(gp);
	if (err) {
		struct semroot *root = semlock(w->addr);

		if (w->queued) {
			dequeue(root, w);
			leave_queue(w, semqueued(root, w->addr));
		}
		semunlock(root);
	}
	return err;
}
