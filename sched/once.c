/* SPDX-License-Identifier: MIT */
/*
 * Once: a mutex that the first caller holds while it does it. done is set before the mutex is let
 * go, by a goroutine that ends in the function as well.
 *
 * urge_once_do itself calls the program's function, and holds nothing of the runtime then: it is in
 * urge_entry, so that the goroutine can be moved while it is in there.
 */
#define URGE_KEEP_ERRNO
#include "sched/urge.h"

#include "sched/g.h"
#include "sched/mutex.h"
#include "sched/proc.h"

struct call {
	struct godefer defer;
	urge_once *once;
};

static inline struct atomic_u32 *done(urge_once *once)
{
	return (struct atomic_u32 *)&once->done_;
}

static void finish(struct call *call)
{
	store_rel_u32(done(call->once), 1); /* pairs with load_acq in urge_once_do */
	urge_mutex_unlock(&call->once->mutex_);
}

static void goroutine_ended(struct godefer *defer)
{
	finish(container_of(defer, struct call, defer));
}

/* False: somebody has done it meanwhile. */
static noinline bool begin(struct call *call)
{
	urge_mutex *m = &call->once->mutex_;

	if (!urge_mutex_trylock(m)) {
		struct m *mp = enter();

		mutex_lock_slow(m, mp, false, INT64_MAX, WAIT_ONCE);
		if (mp)
			leave();
	}
	if (load_rlx_u32(done(call->once))) {
		urge_mutex_unlock(m);
		return false;
	}
	godefer_push(&call->defer, goroutine_ended);
	return true;
}

static noinline void end(struct call *call)
{
	godefer_pop(&call->defer);
	finish(call);
}

in_urge_entry void urge_once_do(urge_once *once, urge_fn fn, void *arg)
{
	struct call call = { .once = once };

	if (load_acq_u32(done(once)) || !begin(&call)) /* pairs with store_rel in finish */
		return;
	fn(arg);
	end(&call);
}
