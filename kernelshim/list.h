/* SPDX-License-Identifier: MIT */
/*
 * A circular, doubly linked, intrusive list, for what must be removed from the middle (parked
 * goroutines of a dump, slabs with free stacks). Singly linked queues of goroutines have their own
 * types in sched/gqueue.h. Not thread-safe: the owner's lock is named where a list is declared.
 */
#ifndef URGE_KERNELSHIM_LIST_H
#define URGE_KERNELSHIM_LIST_H

#include "kernelshim/compiler.h"
#include <stdbool.h>

struct list_node {
	struct list_node *next, *prev;
};

#define list_entry(node, type, member) container_of(node, type, member)

static inline void list_init(struct list_node *head)
{
	head->next = head->prev = head;
}

static inline bool list_empty(const struct list_node *head)
{
	return head->next == head;
}

static inline void list_add(struct list_node *head, struct list_node *node)
{
	node->next = head->next;
	node->prev = head;
	head->next->prev = node;
	head->next = node;
}

static inline void list_del(struct list_node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = node->prev = node;
}

#endif
