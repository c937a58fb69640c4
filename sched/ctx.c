/* SPDX-License-Identifier: MIT */
/*
 * Contexts: trees of reasons to give up.
 *
 * A context is cancelled once, by urge_ctx_cancel, by its deadline, or with its parent: then it has
 * an error for ever, its done channel is closed, and waits of goroutines that are bound to it end
 * with the error. Every context but the background can be cancelled by itself, those with a value
 * too.
 *
 * One lock for each tree, in its root. A cancellation walks the subtree with the lock held, so that
 * no child is made, bound or freed meanwhile; its cost is bounded by the number of contexts and
 * bound goroutines in the subtree. Rejected: a lock for each context, as in Go. A walk would hold a
 * chain of locks of one rank, and a release would take two in the other direction.
 *
 * A goroutine's wait takes no lock of the context's, though a context may be bound to thousands. A
 * bound goroutine is in the context's list all the time, and opens a ticket for each wait (wait.h):
 *
 *	the goroutine				cancellation
 *	ticket: opening				err = ...
 *	full barrier				full barrier
 *	err? then end the wait			ticket open? then end the wait
 *
 * Either the wait sees the error or the cancellation sees the ticket; if both do, one of them has
 * the ticket.
 *
 * References. Each urge_ctx_with_... gives the caller one; a child holds one to its parent, a bound
 * goroutine one to its context. The last one frees it: always a caller of urge_ctx_release or
 * urge_ctx_bind, or a goroutine's end, after it has left the runtime, since free() may block. A
 * deadline's timer holds none; whoever frees the context waits until the timer is through with it.
 *
 * The goroutines that urge_main discards stay in the lists of their contexts, whose memory may be
 * the program's to use in the next run: lists of a former run (ctx->world) are forgotten. The
 * reference of a discarded goroutine is given back then; a context that nobody else has is lost,
 * like all that a discarded goroutine owned.
 */
#define URGE_KEEP_ERRNO
#include "sched/ctx.h"

#include "kernelshim/clock.h"
#include "sched/chan.h"
#include "sched/fatal.h"
#include "sched/lock.h"
#include "sched/proc.h"
#include "sched/time.h"
#include "sched/wait.h"

#include <errno.h>
#include <stdlib.h>

static struct urge_ctx background = { .deadline = INT64_MAX };

/* ---- bound goroutines ---------------------------------------------------------------------- */

/* The list is of a run of urge_main that is over. */
static void forget_former_world(struct urge_ctx *ctx)
{
	assert_held(&ctx->root->lock);
	if (likely(ctx->world == sched.starttime))
		return;
	ctx->world = sched.starttime;
	sub_u32(&ctx->refs, ctx->nbound); /* the caller has one more */
	ctx->bound = NULL;
	ctx->nbound = 0;
}

static void link_bound(struct urge_ctx *ctx, struct g *gp)
{
	struct gtop *top = gp->top;

	forget_former_world(ctx);
	top->boundnext = ctx->bound;
	top->boundat = &ctx->bound;
	if (ctx->bound)
		ctx->bound->top->boundat = &top->boundnext;
	ctx->bound = gp;
	ctx->nbound++;
}

static void unlink_bound(struct urge_ctx *ctx, const struct g *gp)
{
	const struct gtop *top = gp->top;

	assert_held(&ctx->root->lock);
	*top->boundat = top->boundnext;
	if (top->boundnext)
		top->boundnext->top->boundat = top->boundat;
	ctx->nbound--;
}

/* gp's wait, if it is in one that a context may end. */
static void end_wait(struct g *gp)
{
	uint32_t now = load_rlx_u32(&gp->waitticket);
	uint32_t state = (now - 1) % 4; /* tickets are of the form 4k + 1 */

	if (state <= WAIT_PARKED && wait_end(gp, now - state))
		goready(gp);
}

/* ---- cancellation -------------------------------------------------------------------------- */

static void cancel_one(struct urge_ctx *ctx, int err)
{
	struct urge_chan *done;

	assert_held(&ctx->root->lock);
	store_rel_i32(&ctx->err, err); /* pairs with load_acq in ctx_err */
	smp_mb();                      /* pairs with smp_mb in gopark_until */
	timer_remove(&ctx->timer);
	done = load_rlx_ptr(&ctx->done);
	if (done)
		chan_close(done);
	forget_former_world(ctx);
	for (struct g *gp = ctx->bound; gp; gp = gp->top->boundnext)
		end_wait(gp);
}

/* ctx and all below it that are not cancelled yet, parents before their children. */
static void cancel_tree(struct urge_ctx *ctx, int err)
{
	struct urge_ctx *at = ctx;

	for (;;) {
		if (ctx_err(at) == 0) { /* else all below it is cancelled too */
			cancel_one(at, err);
			if (at->children) {
				at = at->children;
				continue;
			}
		}
		while (at != ctx && !at->next)
			at = at->parent;
		if (at == ctx)
			return;
		at = at->next;
	}
}

static void cancel(struct urge_ctx *ctx, int err)
{
	lock(&ctx->root->lock);
	cancel_tree(ctx, err);
	unlock(&ctx->root->lock);
}

static void deadline_passed(void *arg, uintptr_t unused)
{
	struct urge_ctx *ctx = arg;

	(void)unused;
	cancel(ctx, -ETIMEDOUT);
	timer_drop(&ctx->timer);
}

static int64_t deadline_expire(struct timer *t, int64_t when, int64_t now, struct due *due)
{
	(void)when;
	(void)now;
	timer_hold(t);
	*due = (struct due){ deadline_passed, container_of(t, struct urge_ctx, timer), 0 };
	return 0;
}

/* ---- making and releasing ------------------------------------------------------------------ */

/* Under its parent, cancelled if that is. */
static void adopt(struct urge_ctx *ctx)
{
	struct urge_ctx *parent = ctx->parent;

	if (parent == &background)
		return;
	add_u32(&parent->refs, 1);
	lock(&ctx->root->lock);
	store_rlx_i32(&ctx->err, ctx_err(parent));
	ctx->next = parent->children;
	ctx->at = &parent->children;
	if (ctx->next)
		ctx->next->at = &ctx->next;
	parent->children = ctx;
	unlock(&ctx->root->lock);
}

/* Gives a reference back. True: it was the last one, and nobody finds ctx any more. */
static bool drop(struct urge_ctx *ctx)
{
	struct urge_ctx *root = ctx->root;
	bool last;

	lock(&root->lock);
	forget_former_world(ctx);
	last = sub_u32(&ctx->refs, 1) == 0;
	if (last && ctx != root) {
		*ctx->at = ctx->next;
		if (ctx->next)
			ctx->next->at = ctx->at;
	}
	unlock(&root->lock);
	return last;
}

/*
 * Gives a reference back, and those that are given back by that; what is left to be freed comes in
 * front of dead, linked by next.
 */
static struct urge_ctx *put(struct urge_ctx *ctx, struct urge_ctx *dead)
{
	while (ctx != &background && drop(ctx)) {
		struct urge_ctx *parent = ctx->parent;

		timer_remove_held(&ctx->timer);
		ctx->next = dead;
		dead = ctx;
		ctx = parent;
	}
	return dead;
}

/* After leave. */
static void free_all(struct urge_ctx *dead)
{
	while (dead) {
		struct urge_ctx *ctx = dead;

		dead = ctx->next;
		urge_chan_free(load_rlx_ptr(&ctx->done));
		free(ctx);
	}
}

/* False: there is no room for the timer. */
static bool set_deadline(const struct m *mp, struct urge_ctx *ctx)
{
	if (ctx->deadline == ctx->parent->deadline || ctx_err(ctx) != 0)
		return true;
	if (ctx->deadline > nanotime())
		return timer_set(mp, &ctx->timer, ctx->deadline);
	cancel(ctx, -ETIMEDOUT);
	return true;
}

static struct urge_ctx *derive(struct urge_ctx *parent, int64_t deadline, const void *key,
			       void *value)
{
	struct urge_ctx *ctx, *dead = NULL;
	const struct m *mp;

	if (!parent)
		fatal("cannot create context from nil parent");
	ctx = malloc(sizeof(*ctx));
	if (!ctx)
		return NULL;
	*ctx = (struct urge_ctx){ .parent = parent, .key = key, .value = value };
	ctx->root = parent == &background ? ctx : parent->root;
	ctx->deadline = deadline < parent->deadline ? deadline : parent->deadline;
	ctx->world = sched.starttime;
	ctx->timer.expire = deadline_expire;
	store_rlx_u32(&ctx->refs, 1);
	mutex_init(&ctx->lock, RANK_CTX);
	mp = enter();
	adopt(ctx);
	if (!set_deadline(mp, ctx)) {
		dead = put(ctx, NULL);
		ctx = NULL;
	}
	if (mp)
		leave();
	free_all(dead);
	return ctx;
}

urge_ctx *urge_ctx_background(void)
{
	return &background;
}

urge_ctx *urge_ctx_with_cancel(urge_ctx *parent)
{
	return derive(parent, INT64_MAX, NULL, NULL);
}

urge_ctx *urge_ctx_with_deadline(urge_ctx *parent, int64_t deadline)
{
	return derive(parent, deadline, NULL, NULL);
}

urge_ctx *urge_ctx_with_value(urge_ctx *parent, const void *key, void *value)
{
	if (!key)
		fatal("nil key");
	return derive(parent, INT64_MAX, key, value);
}

urge_ctx *urge_ctx_retain(urge_ctx *ctx)
{
	if (ctx != &background)
		add_u32(&ctx->refs, 1);
	return ctx;
}

void urge_ctx_release(urge_ctx *ctx)
{
	struct urge_ctx *dead;
	const struct m *mp;

	if (!ctx)
		return;
	mp = enter();
	dead = put(ctx, NULL);
	if (mp)
		leave();
	free_all(dead);
}

/* ---- asking and cancelling ----------------------------------------------------------------- */

void urge_ctx_cancel(urge_ctx *ctx, int err)
{
	const struct m *mp;

	if (ctx == &background)
		return;
	mp = enter();
	cancel(ctx, err < 0 ? err : -ECANCELED);
	if (mp)
		leave();
}

int urge_ctx_err(urge_ctx *ctx)
{
	return ctx_err(ctx);
}

int64_t urge_ctx_deadline(const urge_ctx *ctx)
{
	return ctx->deadline;
}

void *urge_ctx_value(urge_ctx *ctx, const void *key)
{
	while (ctx && ctx->key != key)
		ctx = ctx->parent;
	return ctx ? ctx->value : NULL;
}

urge_chan *urge_ctx_done(urge_ctx *ctx)
{
	struct urge_chan *done = load_acq_ptr(&ctx->done); /* pairs with store_rel below */
	struct urge_chan *made;
	const struct m *mp;

	if (done || ctx == &background)
		return done;
	made = urge_chan_make(0, 0);
	if (!made)
		return NULL;
	mp = enter();
	lock(&ctx->root->lock);
	done = load_rlx_ptr(&ctx->done);
	if (!done) {
		done = made;
		made = NULL;
		if (ctx_err(ctx) != 0)
			chan_close(done);
		store_rel_ptr(&ctx->done, done); /* pairs with load_acq above */
	}
	unlock(&ctx->root->lock);
	if (mp)
		leave();
	urge_chan_free(made);
	return done;
}

/* ---- binding ------------------------------------------------------------------------------- */

int urge_ctx_bind(urge_ctx *ctx)
{
	struct m *mp = enter();
	struct urge_ctx *old, *dead = NULL;
	struct g *gp;

	if (!mp)
		return -EPERM;
	if (ctx == &background)
		ctx = NULL;
	gp = mp->curg;
	old = gp->top->ctx;
	if (ctx)
		add_u32(&ctx->refs, 1); /* first: it may be the same */
	if (old) {
		lock(&old->root->lock);
		unlink_bound(old, gp);
		unlock(&old->root->lock);
		dead = put(old, NULL);
	}
	gp->top->ctx = ctx;
	if (ctx) {
		lock(&ctx->root->lock);
		link_bound(ctx, gp);
		unlock(&ctx->root->lock);
	}
	leave();
	free_all(dead);
	return 0;
}
