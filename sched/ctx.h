/* SPDX-License-Identifier: MIT */
/* Contexts inside the runtime. */
#ifndef URGE_SCHED_CTX_H
#define URGE_SCHED_CTX_H

#include "sched/runtime2.h"
#include "sched/urge.h"

struct urge_ctx {
	/* constant */
	struct urge_ctx *parent; /* one reference; NULL: the background context */
	struct urge_ctx *root;   /* of its tree, a child of the background context */
	const void *key;
	void *value;
	int64_t deadline; /* the earliest of its own and its parents', INT64_MAX for none */

	struct mutex lock; /* of the tree; used in the root only */

	/* the tree's lock */
	struct urge_ctx *children, *next, **at; /* *at points here */
	struct g *bound;                        /* linked by gtop.boundnext */
	uint32_t nbound;
	int64_t world; /* sched.starttime of the run that the goroutines belong to */

	/* the tree's lock writes */
	struct atomic_i32 err;  /* 0, then a negative errno for ever */
	struct atomic_ptr done; /* its channel, NULL until it is asked for */

	struct atomic_u32 refs; /* the caller's, one a child, one a bound goroutine */
	struct timer timer;     /* for a deadline earlier than its parents' */
};

/* 0, or why the context is cancelled. */
static inline int ctx_err(const struct urge_ctx *ctx)
{
	return load_acq_i32(&ctx->err);
}

#endif
