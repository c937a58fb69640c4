/* SPDX-License-Identifier: MIT */
/*
 * The tight loops of every workload: x = x * 6364136223846793005 + 1442695040888963407, without a
 * call, in the executable's own text, where nothing but a signal can stop them. And loops that are
 * inside libc nearly all the time, where the signal finds no place to move a goroutine.
 */
#ifndef URGE_BENCH_LOOPS_H
#define URGE_BENCH_LOOPS_H

#include "kernelshim/compiler.h"
#include "urge.h"

#include <stdint.h>

/* Turns until *stop is not 0, with one plain load of it per turn; returns the number of turns. */
uint64_t tight_loop(const uint32_t *stop);

/* `turns` turns without a flag; returns x, which nobody needs to use. */
uint64_t tight_loop_turns(uint64_t turns);

enum loop_kind {
	LOOP_TIGHT,
	LOOP_LIBC,   /* malloc, snprintf, memcpy, free */
	LOOP_MALLOC, /* malloc and free, of sizes that take an arena's lock */
};

/* `turns` turns of a loop of any kind. */
void loop_turns(enum loop_kind kind, uint64_t turns);

/*
 * K goroutines in loops of one kind. Zero-initialised; start, then join once; the struct must stay
 * where it is meanwhile. Loops that are told to halt before they start end at once.
 */
struct loops {
	/* constant */
	enum loop_kind kind;
	/* any thread writes once; on a line of its own: every turn of every loop reads it */
	uint32_t stop cacheline_aligned;
	/* constant after loops_start */
	unsigned count cacheline_aligned;
	struct loop *each;
	/* the loops count themselves down */
	urge_waitgroup running;
};

/* Starts count goroutines; 0 is allowed. Ends the process when one cannot be had. Goroutine. */
void loops_start(struct loops *loops, unsigned count);

/* Tells the loops to end. Any thread; what it wrote before is seen by who saw loops_halted. */
void loops_halt(struct loops *loops);

/* Whether loops_halt was called. Any thread. */
bool loops_halted(const struct loops *loops);

/* Waits until all have ended, and returns how many turns they made together. Goroutine. */
uint64_t loops_join(struct loops *loops);

#endif
