/* SPDX-License-Identifier: MIT */
/*
 * The empty asm statement pins the definition: without it clang may unroll the recurrence and fold
 * two turns into one multiplication by the squared constant, and a loop whose result is not used
 * would be removed. It makes no code.
 *
 * The load of the flag is the builtin itself rather than kernelshim's load_rlx, which a build
 * without optimisation would call.
 */
#include "bench/loops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN(x) ((x)*UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407))

/* Each on a line of its own, as in the twins: they finish at the same moment. */
struct loop {
	struct loops *all;
	uint64_t turns;
} cacheline_aligned;

noinline uint64_t tight_loop(const uint32_t *stop)
{
	uint64_t x = 1, turns = 0;

	while (__atomic_load_n(stop, __ATOMIC_RELAXED) == 0) {
		x = TURN(x);
		__asm__ volatile("" : "+r"(x));
		turns++;
	}
	return turns;
}

noinline uint64_t tight_loop_turns(uint64_t turns)
{
	uint64_t x = 1;

	for (uint64_t i = 0; i < turns; i++) {
		x = TURN(x);
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

static void libc_turn(uint64_t n)
{
	char text[64];
	char *volatile copy = malloc(n % 1000 + sizeof(text));

	snprintf(text, sizeof(text), "%llu %g", (unsigned long long)n, (double)n / 3);
	if (copy)
		memcpy(copy, text, sizeof(text));
	free(copy);
}

static void malloc_turn(uint64_t n)
{
	char *volatile block = malloc(n % 4000 + 2000);

	free(block);
}

void loop_turns(enum loop_kind kind, uint64_t turns)
{
	if (kind == LOOP_TIGHT)
		tight_loop_turns(turns);
	else
		for (uint64_t n = 0; n < turns; n++)
			kind == LOOP_LIBC ? libc_turn(n) : malloc_turn(n);
}

static uint64_t loop_until(enum loop_kind kind, const uint32_t *stop)
{
	uint64_t turns = 0;

	if (kind == LOOP_TIGHT)
		return tight_loop(stop);
	while (__atomic_load_n(stop, __ATOMIC_RELAXED) == 0)
		kind == LOOP_LIBC ? libc_turn(turns++) : malloc_turn(turns++);
	return turns;
}

static void loop(void *arg)
{
	struct loop *own = arg;

	own->turns = loop_until(own->all->kind, &own->all->stop);
	urge_waitgroup_done(&own->all->running);
}

void loops_start(struct loops *loops, unsigned count)
{
	loops->count = count;
	if (count == 0)
		return;
	loops->each = aligned_alloc(CACHE_LINE, count * sizeof(*loops->each));
	if (!loops->each) {
		fprintf(stderr, "out of memory for %u loops\n", count);
		exit(1);
	}
	urge_waitgroup_add(&loops->running, (int)count);
	for (unsigned i = 0; i < count; i++) {
		loops->each[i] = (struct loop){ .all = loops };
		int err = urge_go(loop, &loops->each[i]);
		if (err < 0) {
			fprintf(stderr, "urge_go, loop %u of %u: %s\n", i + 1, count,
				strerror(-err));
			exit(1);
		}
	}
}

void loops_halt(struct loops *loops)
{
	/* pairs with the load in loops_halted; the loops themselves need no order */
	__atomic_store_n(&loops->stop, 1, __ATOMIC_RELEASE);
}

bool loops_halted(const struct loops *loops)
{
	/* pairs with the store in loops_halt */
	return __atomic_load_n(&loops->stop, __ATOMIC_ACQUIRE) != 0;
}

uint64_t loops_join(struct loops *loops)
{
	uint64_t turns = 0;

	urge_waitgroup_wait(&loops->running);
	for (unsigned i = 0; i < loops->count; i++)
		turns += loops->each[i].turns;
	free(loops->each);
	return turns;
}
