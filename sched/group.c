/* SPDX-License-Identifier: MIT */
/*
 * Goroutines that are waited for together, and their first error: Go's errgroup.
 *
 * Each one's task is allocated by urge_group_go and freed by the goroutine, which copies it to its
 * stack: it counts down there even if it ends by urge_goexit. run calls the program's function, and
 * holds nothing of the runtime then: it is in urge_entry, so that the goroutine can be moved while
 * it is in there.
 */
#define URGE_KEEP_ERRNO
#include "sched/urge.h"

#include "sched/g.h"
#include "sched/proc.h"

#include <errno.h>
#include <stdlib.h>

struct urge_group {
	urge_ctx *ctx; /* constant */
	urge_waitgroup running;
	struct atomic_i32 err; /* the first one */
};

struct task {
	struct godefer defer;
	urge_group *group;
	int (*fn)(void *);
	void *arg;
};

urge_group *urge_group_new(urge_ctx *ctx)
{
	urge_group *group = calloc(1, sizeof(*group));

	if (!group)
		return NULL;
	group->ctx = urge_ctx_with_cancel(ctx ? ctx : urge_ctx_background());
	if (!group->ctx) {
		free(group);
		return NULL;
	}
	return group;
}

urge_ctx *urge_group_ctx(urge_group *group)
{
	return group->ctx;
}

static void goroutine_ended(struct godefer *defer)
{
	urge_waitgroup_done(&container_of(defer, struct task, defer)->group->running);
}

static noinline void begin(struct task *task, void *arg)
{
	*task = *(struct task *)arg;
	free(arg);
	urge_ctx_bind(task->group->ctx);
	godefer_push(&task->defer, goroutine_ended);
}

static noinline void end(struct task *task, int err)
{
	if (err != 0 && cas_i32(&task->group->err, 0, err))
		urge_ctx_cancel(task->group->ctx, err);
	godefer_pop(&task->defer);
	urge_waitgroup_done(&task->group->running);
}

static in_urge_entry void run(void *arg)
{
	struct task task;

	begin(&task, arg);
	end(&task, task.fn(task.arg));
}

int urge_group_go(urge_group *group, int (*fn)(void *), void *arg)
{
	struct task *task;
	int err;

	if (!fn)
		return -EINVAL;
	task = malloc(sizeof(*task));
	if (!task)
		return -ENOMEM;
	*task = (struct task){ .group = group, .fn = fn, .arg = arg };
	urge_waitgroup_add(&group->running, 1);
	err = urge_go(run, task);
	if (err) {
		urge_waitgroup_done(&group->running);
		free(task);
	}
	return err;
}

int urge_group_wait(urge_group *group)
{
	const struct m *mp = getm();
	int err;

	if (!mp || !mp->curg)
		return -EPERM;
	urge_waitgroup_wait(&group->running);
	err = load_rlx_i32(&group->err);
	urge_ctx_cancel(group->ctx, -ECANCELED);
	urge_ctx_release(group->ctx);
	free(group);
	return err;
}
