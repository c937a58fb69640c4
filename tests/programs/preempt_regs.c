/* SPDX-License-Identifier: MIT */
/*
 * Registers, flags, modes and the red zone are kept over INJECTIONS (60,000) preemptions, at slices
 * that change at random between 50 and 1,000 us. internal/preempt_storm.c is for volume.
 */
#include "tests/programs/regs.h"

#if defined(__x86_64__)

static void direct(void)
{
	uint64_t want = injected() + env_number("INJECTIONS", 60000);
	uint64_t seed = random_seed();

	while (injected() < want) {
		/* short ones come more often: most of the preemptions are theirs */
		urge_set_time_slice(50 * URGE_US + (int64_t)(950000 >> random_next(&seed) % 16));
		doze(2 * URGE_MS);
	}
	STORE(regs_stop, 1);
}

int main(void)
{
	struct urge_stats before;

	begin((int64_t)env_number("SECONDS", 120));
	urge_stats_read(&before);
	run_both(run_regs, direct);
	check_turns();
	print_outcomes(&before);
	return finish();
}

#else

int main(void)
{
	puts("the loops are written for x86-64");
	return SKIPPED;
}

#endif
