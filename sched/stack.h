/* SPDX-License-Identifier: MIT */
/*
 * Memory of goroutines: headers and stacks, in slabs. See stack.c.
 */
#ifndef URGE_SCHED_STACK_H
#define URGE_SCHED_STACK_H

#include "sched/runtime2.h"

enum {
	STACK_MIN_SHIFT = 16, /* the smallest stride, 64 KiB */
	STACK_CLASSES = 16,   /* strides of 64 KiB .. 2 GiB, powers of two */
	SLAB_STACKS = 32,     /* at most; their headers fill a page */
};

/* Once per process: reserves the address space of the headers. 0 or -ENOMEM. */
int stackinit(void);

/* The class of the default stack: its reserve rounded up to a power of two. */
#define STACK_CLASS_DEFAULT (32 - __builtin_clz(CONFIG_DEFAULT_STACK_SIZE - 1) - STACK_MIN_SHIFT)

/* The class of a stack with so many usable bytes. */
unsigned stack_class(size_t usable);

/* The usable bytes of a default stack of its class. */
size_t stack_usable(unsigned class_);

/*
 * Takes up to max fresh goroutines (status Gdead, default usable size of their class) of a node,
 * linked by schedlink, their number in *n. NULL when there is no memory. May block on the kernel's
 * mmap lock.
 */
struct g *stack_alloc(unsigned class_, uint32_t node, uint32_t max, uint32_t *n);

/* Moves the guard of a dead goroutine's stack so that usable bytes are left. 0 or -errno. */
int stack_resize(struct g *gp, size_t usable);

/*
 * Gives dead goroutines back to their slabs; an empty slab is unmapped, with its page tables. The
 * list is linked by schedlink.
 */
void stack_release(struct g *list);

/*
 * Gives the pages of stacks back that have been in their slabs since the last call. True: there are
 * others, to be looked at later.
 */
bool stack_scrub_idle(void);

/*
 * Addresses in the first pages of goroutines' stacks of a node, at most max, from all over its
 * slabs. How many.
 */
size_t stack_sample(uint32_t node, void **pages, size_t max);

/* Unmaps every slab in which no goroutine is kept (see urge_main's return). */
void stack_release_all(bool (*keep)(const struct g *gp));

/*
 * In a fork's child: all goroutines but gp (NULL: all) are dead. Their stacks are never used again
 * and never unmapped: gp may have pointers into them.
 */
void stack_after_fork(const struct g *gp);

/* Calls each for every goroutine header in use, Gdead ones included, while it returns true. */
void forEachG(bool (*each)(struct g *gp, void *arg), void *arg);

/* Calls each for every range of memory that holds goroutines' stacks, and for their headers'. */
void stack_ranges(void (*each)(uintptr_t lo, uintptr_t hi, void *arg), void *arg);

/*
 * The goroutine whose stack reserve, guard included, holds addr; NULL if none. Takes no lock:
 * signal-safe; an answer about a stack that is being unmapped meanwhile is stale.
 */
struct g *stack_owner_sig(uintptr_t addr);

/* Fatal when a goroutine without a guard has run over the end of its stack. */
void stack_check_canary(const struct g *gp);

/* Prints the words of an overflow of gp's stack on stderr. Signal-safe. */
void stack_overflow_words(const struct g *gp);

#endif
