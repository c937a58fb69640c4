/* SPDX-License-Identifier: MIT */
/*
 * A goroutine that yields goes on once, from where it has yielded, although a thief may take it
 * from the queue at once. It yields by turns in a small frame and in one so large that the small
 * one's remains stay below it untouched: who is resumed while he is still being left goes on from
 * the turn before, and finds that it has been made. All go on until thieves have come often enough.
 */
#include "tests/programs/check.h"

#include <sys/syscall.h>

enum { GOROUTINES = 3, PROCS = 4, MOVES = 1000, LARGE = 2048 }; /* more Ps: there are thieves */

static uint64_t made[GOROUTINES], moves;
static urge_waitgroup done;

static inline void make_turn(uint64_t *mine, volatile uint64_t turn)
{
	static const char words[] = "FAILED: a turn was made twice\n";

	STORE(*mine, turn);
	urge_yield();
	/* at once, and without the library, whose state is beyond repair */
	if (LOAD(*mine) != turn && write(1, words, sizeof(words) - 1) > 0)
		_exit(1);
}

__attribute__((noinline)) static void in_small_frame(uint64_t *mine, uint64_t turn)
{
	make_turn(mine, turn);
}

__attribute__((noinline)) static void in_large_frame(uint64_t *mine, uint64_t turn)
{
	char room[LARGE];

	__asm__ volatile("" ::"r"(room) : "memory");
	make_turn(mine, turn);
	__asm__ volatile("" ::"r"(room) : "memory");
}

static void yields(void *arg)
{
	uint64_t *mine = &made[(uintptr_t)arg];

	for (uint64_t turn = 1; LOAD(moves) < MOVES; turn += 2) {
		long thread = syscall(SYS_gettid);

		in_small_frame(mine, turn);
		in_large_frame(mine, turn + 1);
		if (syscall(SYS_gettid) != thread)
			ADD(moves, 1);
		if (turn % 32 == 1)
			urge_sleep(20 * URGE_US);
	}
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	(void)unused;
	urge_gomaxprocs(PROCS);
	for (uintptr_t i = 0; i < GOROUTINES; i++)
		spawn(&done, yields, (void *)i);
	urge_waitgroup_wait(&done);
	return 0;
}

int main(void)
{
	unsigned long long turns = 0;

	begin((int64_t)env_number("SECONDS", 120));
	CHECK(urge_main(start, NULL) == 0, "urge_main");
	for (int i = 0; i < GOROUTINES; i++)
		turns += made[i];
	printf("%llu turns, after %llu on another thread\n", turns, (unsigned long long)moves);
	return finish();
}
