/* SPDX-License-Identifier: MIT */
/*
 * Goroutines: newproc, goexit, and the free lists between them.
 *
 * A dead goroutine keeps its stack. Those of the default size go to a list of the P that they ended
 * on, without a lock; beyond 128, 32 move to the global list; other sizes, and stacks that are
 * memory of another node, go there at once, and all of a P's when it has been idle for a period.
 * There is a global list for each node and size. What the global lists hold and nobody has needed
 * for a whole period (the lowest length that was seen) is given back to the slabs by the template
 * thread: unlike in Go, a burst's memory comes back.
 */
#define URGE_KEEP_ERRNO
#include "sched/g.h"

#include "kernelshim/context.h"
#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/fatal.h"
#include "sched/gqueue.h"
#include "sched/hog.h"
#include "sched/key.h"
#include "sched/latency.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/node.h"
#include "sched/osthread.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/stack.h"
#include "sched/stats.h"
#include "sched/switch.h"

#include <errno.h>
#include <string.h>

enum {
	GFREE_MAX = 128,
	GFREE_BATCH = 32,
	GOID_BATCH = 16,
	RECLAIM_CHUNK = 4096,
};

static struct {
	struct mutex lock;
	struct gfreelist {
		struct g *list;  /* lock */
		uint32_t n;      /* lock */
		uint32_t lowest; /* lock: of n, since the last gfree_reclaim */
	} of[MAX_NODES][STACK_CLASSES];
} gfree = { .lock = MUTEX_INIT(RANK_GFREE) };

void gostart(void);

/* ---- free lists ---------------------------------------------------------------------------- */

/*
 * The global lists are stacks of batches, so that moving one costs the same whatever its length:
 * walking over dead goroutines is a cache miss each. The first one of a batch holds the link to the
 * next batch and the number, in fields that a dead goroutine does not need.
 */
static void gfree_push(struct g *batch, uint32_t n)
{
	struct gfreelist *free = &gfree.of[batch->node][batch->class_];
	bool was_empty;

	batch->waitsince = n;
	lock(&gfree.lock);
	was_empty = !free->list;
	batch->waitobj = free->list;
	__atomic_store_n(&free->list, batch, __ATOMIC_RELAXED);
	free->n += n;
	unlock(&gfree.lock);
	if (was_empty)
		template_reclaim();
}

/* A batch, its number in *n; NULL if there is none. */
static struct g *gfree_pop(struct gfreelist *free, uint32_t *n)
{
	struct g *batch;

	*n = 0;
	if (!__atomic_load_n(&free->list, __ATOMIC_RELAXED))
		return NULL;
	lock(&gfree.lock);
	batch = free->list;
	if (batch) {
		__atomic_store_n(&free->list, batch->waitobj, __ATOMIC_RELAXED);
		*n = (uint32_t)batch->waitsince;
		free->n -= *n;
		if (free->n < free->lowest)
			free->lowest = free->n;
	}
	unlock(&gfree.lock);
	return batch;
}

/* Gives idle goroutines of a list back. In chunks: the slabs' lock and the mmap lock are others' too. */
static void reclaim(struct gfreelist *free, uint32_t idle)
{
	while (idle > 0) {
		struct g *chunk = NULL;
		uint32_t got = 0;

		while (got < RECLAIM_CHUNK && got < idle) {
			uint32_t n;
			struct g *batch = gfree_pop(free, &n), *last = batch;

			if (!batch)
				break;
			sanitizer_fiber_free(&last->tsan_fiber);
			while (last->schedlink) {
				last = last->schedlink;
				sanitizer_fiber_free(&last->tsan_fiber);
			}
			last->schedlink = chunk;
			chunk = batch;
			got += n;
		}
		stack_release(chunk);
		if (got == 0 || got >= idle)
			break;
		idle -= got;
	}
}

bool gfree_reclaim(void)
{
	bool more = false;

	for (unsigned i = 0; i < sched.nnodes * STACK_CLASSES; i++) {
		struct gfreelist *free = &gfree.of[i / STACK_CLASSES][i % STACK_CLASSES];
		uint32_t idle;

		lock(&gfree.lock);
		idle = free->lowest;
		unlock(&gfree.lock);
		reclaim(free, idle);
		lock(&gfree.lock);
		free->lowest = free->n;
		more |= free->n > 0;
		unlock(&gfree.lock);
	}
	return more;
}

static bool forget_fiber(struct g *gp, void *unused)
{
	(void)unused;
	if (load_rlx_u32(&gp->status) == Gdead)
		sanitizer_fiber_free(&gp->tsan_fiber);
	return true;
}

void gfree_forget(void)
{
	if (IS_ENABLED(CONFIG_TSAN))
		forEachG(forget_fiber, NULL);
	mutex_init(&gfree.lock, RANK_GFREE); /* in a fork's child it may be held */
	memset(gfree.of, 0, sizeof(gfree.of));
}

/*
 * The next one to be taken is fetched into the cache: its header two takes ahead, the top of its
 * stack one.
 */
static inline void gfree_prefetch(const struct g *next)
{
	const char *top;

	if (!next)
		return;
	__builtin_prefetch(next->schedlink, 1);
	top = (const char *)next->top;
	for (int line = -4; line <= 0; line++)
		__builtin_prefetch(top + line * CACHE_LINE, 1);
}

/* Some of a node's, their number in *n: free ones, else up to max new ones. */
static struct g *gfget_global(unsigned class_, uint32_t node, uint32_t max, uint32_t *n)
{
	struct g *gp = gfree_pop(&gfree.of[node][class_], n);

	return gp ? gp : stack_alloc(class_, node, max, n);
}

/* From the own free list, where those of the default size are from the P's node; or NULL. */
static inline struct g *gfget_local(struct p *pp)
{
	struct g *gp = pp->gfree;

	if (unlikely(!gp))
		return NULL;
	pp->gfree = gp->schedlink;
	pp->ngfree--;
	gfree_prefetch(pp->gfree);
	return gp;
}

static struct g *gfget(struct p *pp, unsigned class_, uint32_t node)
{
	bool local = pp && class_ == STACK_CLASS_DEFAULT && pp->node == node;
	struct g *gp = local ? gfget_local(pp) : NULL;
	uint32_t n;

	if (gp)
		return gp;
	gp = gfget_global(class_, node, local ? GFREE_BATCH : 1, &n);
	for (uint32_t i = 1; unlikely(!gp) && i < sched.nnodes; i++) {
		local = false; /* rather a remote stack than none */
		gp = gfget_global(class_, topology.node[node].near[i], 1, &n);
	}
	if (!gp || n == 1)
		return gp;
	if (local) {
		pp->gfree = gp->schedlink;
		pp->ngfree = n - 1;
	} else {
		gfree_push(gp->schedlink, n - 1);
	}
	return gp;
}

static void gfput(struct p *pp, struct g *gp)
{
	if (gp->class_ != STACK_CLASS_DEFAULT || gp->node != pp->node) {
		gp->schedlink = NULL;
		gfree_push(gp, 1);
		return;
	}
	gp->schedlink = pp->gfree;
	pp->gfree = gp;
	if (++pp->ngfree < GFREE_MAX)
		return;
	for (uint32_t i = 1; i < GFREE_MAX - GFREE_BATCH; i++) /* the warmer ones stay */
		gp = gp->schedlink;
	gfree_push(gp->schedlink, GFREE_BATCH);
	gp->schedlink = NULL;
	pp->ngfree = GFREE_MAX - GFREE_BATCH;
}

void gfpurge(struct p *pp)
{
	if (!pp->gfree)
		return;
	gfree_push(pp->gfree, pp->ngfree);
	pp->gfree = NULL;
	pp->ngfree = 0;
}

/* ---- making -------------------------------------------------------------------------------- */

static uint64_t goid_next(struct p *pp)
{
	if (!pp)
		return add_u64(&sched.goidgen, 1);
	if (pp->goidcache == pp->goidcacheend) {
		pp->goidcacheend = add_u64(&sched.goidgen, GOID_BATCH) + 1;
		pp->goidcache = pp->goidcacheend - GOID_BATCH;
	}
	return pp->goidcache++;
}

static void copy_name(char *to, const char *name, size_t size)
{
	size_t n = strnlen(name, size - 1);

	memcpy(to, name, n);
	to[n] = '\0';
}

static uint32_t node_of_caller(const struct p *pp)
{
	if (!many_nodes())
		return 0;
	return pp ? pp->node : node_here();
}

static const uint8_t preempt_attrs[] = {
	[URGE_PREEMPT_AUTO] = 0,
	[URGE_PREEMPT_INJECT] = GATTR_INJECT,
	[URGE_PREEMPT_PARK] = GATTR_PARK,
	[URGE_PREEMPT_OFF] = GATTR_NOPREEMPT,
};

/* A dead one with the stack, on the node, of the class and with the name that attr asks for. */
noinline static struct g *gfget_attr(struct p *pp, const struct urge_attr *attr)
{
	size_t usable = attr ? attr->stack_size : 0;
	uint32_t asked = many_nodes() && attr ? (uint32_t)node_asked(attr->node) : NUMA_NONE;
	uint32_t node = asked != NUMA_NONE ? asked : node_of_caller(pp);
	struct g *gp = gfget(pp, usable ? stack_class(usable) : STACK_CLASS_DEFAULT, node);

	if (!gp)
		return NULL;
	if (unlikely(usable && stack_resize(gp, usable) != 0)) {
		gp->schedlink = NULL;
		stack_release(gp);
		return NULL;
	}
	gp->attr = asked != NUMA_NONE ? GATTR_NODE : 0;
	if (attr)
		gp->attr |= preempt_attrs[attr->preempt];
	if (attr && attr->class_ == URGE_CLASS_LATENCY)
		gp->attr |= GATTR_LATENCY;
	gp->waitreason = WAIT_NONE;
	if (attr && attr->class_ == URGE_CLASS_BATCH) {
		gp->attr |= GATTR_BATCH;
		gp->waitreason = HOG_MARK;
	}
	if (attr && attr->name) {
		copy_name(gp->top->name, attr->name, sizeof(gp->top->name));
		gp->attr |= GATTR_NAME;
	}
	return gp;
}

struct g *newproc1(struct p *pp, urge_fn fn, void *arg, const struct urge_attr *attr,
		   uintptr_t callerpc)
{
	struct g *gp = pp && !attr ? gfget_local(pp) : NULL;
	struct gtop *top;

	if (likely(gp)) {
		gp->attr = 0;
		gp->waitreason = WAIT_NONE;
	} else {
		gp = gfget_attr(pp, attr);
	}
	if (unlikely(!gp))
		return NULL;
	sanitizer_reuse((void *)gp->stack_lo, gp->stack_hi - gp->stack_lo);
	if (IS_ENABLED(CONFIG_TSAN) && !gp->tsan_fiber)
		gp->tsan_fiber = sanitizer_fiber_new();
	top = gp->top;
	top->fn = fn;
	top->arg = arg;
	top->gopc = callerpc;
	top->eh_caught = 0;
	top->eh_uncaught = 0;
	gp->nopreempt = 0;
	__atomic_store_n(&gp->fresh, 1, __ATOMIC_RELAXED);
	gp->errno_ = 0;
	gp->ctx = context_make((void *)gp->stack_hi, gostart);
	gp->goid = goid_next(pp);
	if (pp)
		count(pp, spawned, 1);
	else
		add_u64(&sched.spawned_outside, 1);
	casgstatus(gp, Gdead, Grunnable);
	return gp;
}

static bool attr_valid(const struct urge_attr *attr)
{
	return attr->stack_size <= (size_t)1 << 30 && attr->class_ >= URGE_CLASS_AUTO &&
	       attr->class_ <= URGE_CLASS_BATCH && attr->preempt >= URGE_PREEMPT_AUTO &&
	       attr->preempt <= URGE_PREEMPT_OFF && node_asked(attr->node) != -EINVAL;
}

static int newproc(const struct urge_attr *attr, urge_fn fn, void *arg, uintptr_t callerpc)
{
	struct m *mp = enter();
	struct g *gp;
	int err = 0;

	if (!fn || (attr && !attr_valid(attr))) {
		err = -EINVAL;
	} else if (mp) {
		gp = newproc1(mp->p, fn, arg, attr, callerpc);
		if (gp) {
			gp->top->parentgoid = mp->curg->goid;
			latency_begin(mp, gp, TRACE_GO_CREATE);
			if (attr && gp->attr & GATTR_BATCH)
				hog_put(NULL, gp);
			else if (many_nodes() && gp->node != mp->p->node)
				node_ready(gp, true);
			else
				runqput_next(mp->p, gp);
			wakep();
		} else {
			err = -ENOMEM;
		}
	} else if (getm() || !load_acq_u32(&sched.running)) { /* pairs with boot's store_rel */
		err = -EPERM;
	} else {
		gp = newproc1(NULL, fn, arg, attr, callerpc);
		if (gp) {
			gp->top->parentgoid = 0;
			trace_runnable(NULL, gp, TRACE_GO_CREATE);
			goqueue(gp);
		} else {
			err = -ENOMEM;
		}
	}
	if (mp)
		leave();
	return err;
}

int urge_go(urge_fn fn, void *arg)
{
	return newproc(NULL, fn, arg, (uintptr_t)__builtin_return_address(0));
}

int urge_go_attr(const struct urge_attr *attr, urge_fn fn, void *arg)
{
	return newproc(attr, fn, arg, (uintptr_t)__builtin_return_address(0));
}

/* ---- running and ending -------------------------------------------------------------------- */

struct start {
	urge_fn fn;
	void *arg;
};

/* gostart: the first thing on a new stack. Two words: in registers on every processor of ours. */
struct start gostart_arrive(void)
{
	const struct gtop *top;

	arrive();
	__atomic_store_n(&getm()->curg->fresh, 0, __ATOMIC_RELAXED);
	top = getm()->curg->top;
	leave();
	return (struct start){ top->fn, top->arg };
}

void goexit_after(struct m *mp, struct g *old)
{
	trace(mp, TRACE_GO_END, old->goid, 0);
	casgstatus(old, Grunning, Gdead);
	if (unlikely(mp->pins > 0))
		pins_clear(mp, old);
	if (unlikely(old->bound & BOUND_LOCKED))
		osthread_goexit(mp, old);
	count(mp->p, exited, 1);
	gfput(mp->p, old);
}

_Noreturn void goexit(void)
{
	struct m *mp = getm();

	switch_to(mp, mp->curg, pick_next(mp), goexit_after);
	__builtin_unreachable();
}

void godefer_push(struct godefer *defer, void (*fn)(struct godefer *defer))
{
	const struct m *mp = getm();

	if (!mp || !mp->curg)
		return;
	defer->fn = fn;
	defer->next = mp->curg->top->defers;
	mp->curg->top->defers = defer;
}

void godefer_pop(const struct godefer *defer)
{
	const struct m *mp = getm();

	if (mp && mp->curg)
		mp->curg->top->defers = defer->next;
}

_Noreturn void goexit_from_start(void)
{
	const struct gtop *top = getm()->curg->top;

	if (unlikely(top->keys))
		keys_destroy();
	if (unlikely(top->ctx))
		urge_ctx_bind(NULL);
	enter();
	goexit();
}

_Noreturn void urge_goexit(void)
{
	const struct m *mp = enter();
	struct godefer **defers;

	if (!mp)
		fatal("urge_goexit: the caller is no goroutine");
	check_stack(mp->curg);
	defers = &mp->curg->top->defers;
	leave();
	while (*defers) {
		struct godefer *defer = *defers;

		*defers = defer->next;
		defer->fn(defer);
	}
	goexit_from_start();
}

uint64_t gcount(void)
{
	uint64_t n = load_acq_u64(&sched.spawned_outside);

	for_each_p(pp)
		n += load_acq_u64(&pp->count.spawned) - load_acq_u64(&pp->count.exited);
	return n;
}

size_t urge_num_goroutine(void)
{
	return gcount();
}

uint64_t urge_goid(void)
{
	const struct m *mp = getm();

	return mp && mp->curg ? mp->curg->goid : 0;
}
