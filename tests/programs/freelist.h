/* SPDX-License-Identifier: MIT */
/*
 * A free list per thread, in the program's own thread-local storage: what allocators do. A
 * goroutine that is moved between the load of the head and the store of the next one hands a node
 * out twice: once to itself, on its new thread, and once to the next one on its old thread. No
 * register or stack word shows that, as the head is loaded by value; therefore a program with
 * thread-local storage is not preempted by moving at all.
 */
#ifndef URGE_TESTS_PROGRAMS_FREELIST_H
#define URGE_TESTS_PROGRAMS_FREELIST_H

#include "tests/programs/check.h"

enum { NODES = 256, USERS = 8 };

struct node {
	struct node *next;
	uint32_t used;
};

static __thread struct node *freelist;
static struct node nodes[NODES];
static uint32_t nodes_given, freelist_stop;
static uint64_t freelist_turns, used_twice;
static urge_waitgroup freelist_done;

/* A few nanoseconds in which to be preempted. */
static inline void linger(void)
{
	for (int i = 0; i < 100; i++)
		__asm__ volatile("");
}

static struct node *node_get(void)
{
	struct node *n = freelist;

	linger();
	if (n)
		freelist = n->next;
	else
		n = &nodes[ADD(nodes_given, 1) % NODES];
	return n;
}

static void node_put(struct node *n)
{
	n->next = freelist;
	linger();
	freelist = n;
}

static void use_nodes(void *unused)
{
	(void)unused;
	while (!LOAD(freelist_stop)) {
		struct node *n = node_get();

		if (__atomic_exchange_n(&n->used, 1, __ATOMIC_SEQ_CST))
			ADD(used_twice, 1);
		linger();
		STORE(n->used, 0);
		node_put(n);
		ADD(freelist_turns, 1);
	}
	urge_waitgroup_done(&freelist_done);
}

static int run_freelist(void *unused)
{
	(void)unused;
	urge_gomaxprocs(2);
	for (int i = 0; i < USERS; i++)
		spawn(&freelist_done, use_nodes, NULL);
	urge_waitgroup_wait(&freelist_done);
	return 0;
}

#endif
