/* SPDX-License-Identifier: MIT */
/*
 * Names: getaddrinfo, which blocks, on a bounded number of threads.
 *
 * A query is done by a worker, a goroutine in urge_blocking; there are at most WORKERS of them, and
 * further queries wait in a queue. getaddrinfo can't be broken off: a caller whose deadline passes
 * leaves, and the worker, who comes last then, frees the query. Numbers need no worker. (A resolver
 * without threads, like c-ares, knows DNS and little of what /etc/nsswitch.conf says.)
 */
#define URGE_KEEP_ERRNO
#include "sched/resolve.h"

#include "sched/lock.h"
#include "sched/proc.h"
#include "sched/urge.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 32 };

struct query {
	/* constant */
	const char *node, *service; /* NULL, or in the memory of the query */
	struct addrinfo hints;
	urge_chan *done;
	/* the worker, before it sends to done; then the caller */
	int err;
	struct addrinfo *res;
	/* both */
	struct atomic_u32 users;
	struct query *next; /* resolver.lock */
};

static struct {
	struct mutex lock;
	struct query *head, **tail; /* lock */
	uint32_t workers;           /* lock */
} resolver = { .lock = MUTEX_INIT(RANK_RESOLVER), .tail = &resolver.head };

void resolveinit(void)
{
	mutex_init(&resolver.lock, RANK_RESOLVER); /* in a fork's child it may be held */
	resolver.head = NULL; /* those of a former world are gone with their goroutines */
	resolver.tail = &resolver.head;
	resolver.workers = 0;
}

static int eai_to_errno(int eai, int err)
{
	switch (eai) {
	case 0:
		return 0;
	case EAI_SYSTEM:
		return -err;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_AGAIN:
		return -EHOSTUNREACH;
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
	case EAI_SERVICE:
		return -ENOENT;
	case EAI_FAIL:
		return -EIO;
	default: /* EAI_BADFLAGS, EAI_FAMILY, EAI_SOCKTYPE */
		return -EINVAL;
	}
}

static int ask(void *arg)
{
	struct query *q = arg;
	int eai = getaddrinfo(q->node, q->service, &q->hints, &q->res);

	return eai_to_errno(eai, errno_load());
}

static void query_release(struct query *q)
{
	if (sub_u32(&q->users, 1) > 0)
		return;
	urge_chan_free(q->done);
	if (q->res)
		freeaddrinfo(q->res);
	free(q);
}

/* ---- the queue ----------------------------------------------------------------------------- */

static struct query *take(void)
{
	struct query *q;

	enter();
	lock(&resolver.lock);
	q = resolver.head;
	if (q) {
		resolver.head = q->next;
		if (!q->next)
			resolver.tail = &resolver.head;
	} else {
		resolver.workers--;
	}
	unlock(&resolver.lock);
	leave();
	return q;
}

static void work(void *unused)
{
	struct query *q;

	(void)unused;
	while ((q = take()) != NULL) {
		q->err = urge_blocking(ask, q);
		urge_try_send(q->done, NULL);
		query_release(q);
	}
}

/* True: there is to be one more worker. */
static bool submit(struct query *q)
{
	bool more;

	enter();
	lock(&resolver.lock);
	*resolver.tail = q;
	resolver.tail = &q->next;
	more = resolver.workers < WORKERS;
	resolver.workers += more;
	unlock(&resolver.lock);
	leave();
	return more;
}

static int resolve(struct query *q, int64_t deadline)
{
	static const struct urge_attr attr = { .name = "resolver" };
	int err;

	store_rlx_u32(&q->users, 2);
	if (submit(q) && urge_go_attr(&attr, work, NULL) != 0)
		work(NULL); /* no memory for a worker: then this one, to the end of the queue */
	err = urge_recv_until(q->done, NULL, deadline);
	return err ? err : q->err;
}

/* ---- the call ------------------------------------------------------------------------------ */

static size_t size_of(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static struct query *query_new(const char *node, const char *service, const struct addrinfo *hints)
{
	size_t node_size = size_of(node), service_size = size_of(service);
	struct query *q = calloc(1, sizeof(*q) + node_size + service_size);
	char *text = (char *)(q + 1);

	if (!q)
		return NULL;
	q->done = urge_chan_make(0, 1);
	if (!q->done) {
		free(q);
		return NULL;
	}
	store_rlx_u32(&q->users, 1);
	if (node)
		q->node = memcpy(text, node, node_size);
	if (service)
		q->service = memcpy(text + node_size, service, service_size);
	if (hints)
		q->hints = *hints;
	return q;
}

int urge_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		     struct addrinfo **res, int64_t deadline)
{
	struct query *q;
	int err;

	*res = NULL;
	if (urge_goid() == 0)
		return -EPERM;
	q = query_new(node, service, hints);
	if (!q)
		return -ENOMEM;
	q->hints.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
	err = urge_blocking(ask, q);
	if (err == -ENOENT) {
		q->hints.ai_flags = hints ? hints->ai_flags : 0;
		err = deadline == 0 ? -EAGAIN : resolve(q, deadline);
	}
	if (!err) {
		*res = q->res;
		q->res = NULL;
	}
	query_release(q);
	return err;
}
