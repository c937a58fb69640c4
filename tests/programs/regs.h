/* SPDX-License-Identifier: MIT */
/*
 * Goroutines that keep patterns of their own in everything a processor remembers, and look whether
 * they are still there (regs_amd64.S has the loops). Patterns differ between goroutines, so a value
 * of another's is found as well. One more goroutine, the witness, is switched to and from by calls
 * only: what the others do to the flags and modes must not reach it.
 *
 * Left out: the x87 instruction and data pointers. AMD's processors save them only while an x87
 * exception is pending.
 */
#ifndef URGE_TESTS_PROGRAMS_REGS_H
#define URGE_TESTS_PROGRAMS_REGS_H

#include "tests/programs/check.h"

#if defined(__x86_64__)

enum { REGS_WORDS = 272 };

struct regs {
	uint64_t want[REGS_WORDS];
	volatile uint64_t seen[REGS_WORDS];
	const struct regs_kind *kind;
	uint64_t turns;
} __attribute__((aligned(64)));

_Static_assert(offsetof(struct regs, seen) == 2176, "SEEN in regs_amd64.S");

void regs_general(struct regs *regs);
void regs_carry(struct regs *regs);
void regs_x87(struct regs *regs);
void regs_xmm(struct regs *regs);
void regs_ymm(struct regs *regs);
void regs_zmm(struct regs *regs);
void regs_modes(uint32_t modes[3]);

struct regs_kind {
	const char *name;
	void (*hold)(struct regs *regs);
	void (*prepare)(struct regs *regs); /* want[] has random words */
	unsigned first, words;              /* those of seen[] that must be like want[] */
};

/* Status flags, ID, and in the first one DF; the others as a program has them. */
static void prepare_general(struct regs *regs)
{
	static uint32_t prepared;

	regs->want[15] = (regs->want[15] & 0x2008d5) | 0x202;
	if (ADD(prepared, 1) == 1)
		regs->want[15] |= 0x400;
}

/* What comes out without any preemption. */
static void prepare_carry(struct regs *regs)
{
	urge_nopreempt_begin();
	regs_carry(regs);
	urge_nopreempt_end();
	for (int i = 4; i < 8; i++)
		regs->want[i] = regs->seen[i];
}

/* Normal numbers; any rounding, all exceptions masked; two precisions; sticky bits of MXCSR. */
static void prepare_x87(struct regs *regs)
{
	for (int i = 0; i < 8; i++) {
		regs->want[2 * i] |= UINT64_C(1) << 63;
		regs->want[2 * i + 1] = (regs->want[2 * i + 1] & 0xbfff) | 0x1000;
	}
	regs->want[16] = 0x027f | (regs->want[16] & 0x0d00);
	regs->want[17] = 0;
	regs->want[18] = 0x1f80 | (regs->want[18] & 0xe07f);
}

static void prepare_nothing(struct regs *regs)
{
	(void)regs;
}

/* The part of each 64 bytes that a narrower register has. */
static void prepare_xmm(struct regs *regs)
{
	for (unsigned i = 0; i < 16 * 8; i++)
		if (i % 8 >= 2)
			regs->want[i] = 0;
}

static void prepare_ymm(struct regs *regs)
{
	for (unsigned i = 0; i < 16 * 8; i++)
		if (i % 8 >= 4)
			regs->want[i] = 0;
}

static const struct regs_kind *vector_kind(void)
{
	static const struct regs_kind zmm = { "zmm, k", regs_zmm, prepare_nothing, 0, 264 };
	static const struct regs_kind ymm = { "ymm", regs_ymm, prepare_ymm, 0, 128 };
	static const struct regs_kind xmm = { "xmm", regs_xmm, prepare_xmm, 0, 128 };

	if (__builtin_cpu_supports("avx512bw"))
		return &zmm;
	return __builtin_cpu_supports("avx2") ? &ymm : &xmm;
}

/* ---- goroutines ---------------------------------------------------------------------------- */

enum { REGS_HOLDERS = 7 };

static struct regs holders[REGS_HOLDERS];
static uint64_t witness_turns;
static uint32_t regs_stop;
static urge_waitgroup regs_done;

/* Called by each holder after a turn; set before goroutine 1 runs, or NULL. */
static void (*between_turns)(uint64_t turns);

static void compare(struct regs *regs)
{
	const struct regs_kind *kind = regs->kind;

	for (unsigned i = kind->first; i < kind->first + kind->words; i++) {
		uint64_t seen = regs->seen[i];

		regs->seen[i] = 0;
		if (seen != regs->want[i])
			fail("%s: word %u is %016llx, not %016llx, in turn %llu", kind->name, i,
			     (unsigned long long)seen, (unsigned long long)regs->want[i],
			     (unsigned long long)regs->turns);
	}
}

static void holder(void *arg)
{
	struct regs *regs = arg;

	regs->kind->prepare(regs);
	while (!LOAD(regs_stop)) {
		regs->kind->hold(regs);
		compare(regs);
		STORE(regs->turns, regs->turns + 1);
		if (between_turns)
			between_turns(regs->turns);
	}
	urge_waitgroup_done(&regs_done);
}

static void witness(void *unused)
{
	(void)unused;
	while (!LOAD(regs_stop)) {
		uint32_t modes[3];

		urge_yield();
		regs_modes(modes);
		CHECK(!(modes[0] & 0x400), "DF is set after a yield");
		CHECK(modes[1] == 0x37f, "the x87 control word is %x after a yield", modes[1]);
		CHECK((modes[2] & 0xffc0) == 0x1f80, "MXCSR is %x after a yield", modes[2]);
		STORE(witness_turns, witness_turns + 1);
	}
	urge_waitgroup_done(&regs_done);
}

/* Goroutine 1. */
static int run_regs(void *unused)
{
	static const struct regs_kind general = { "general", regs_general, prepare_general, 0, 32 };
	static const struct regs_kind carry = { "carry", regs_carry, prepare_carry, 4, 4 };
	static const struct regs_kind x87 = { "x87, mxcsr", regs_x87, prepare_x87, 0, 19 };
	const struct regs_kind *vector = vector_kind();
	const struct regs_kind *kinds[REGS_HOLDERS] = { &general, &x87, vector, &carry,
							&general, &x87, vector };
	uint64_t seed = random_seed();

	(void)unused;
	urge_gomaxprocs(2);
	for (int i = 0; i < REGS_HOLDERS; i++) {
		holders[i].kind = kinds[i];
		for (int w = 0; w < REGS_WORDS; w++)
			holders[i].want[w] = random_next(&seed);
		spawn(&regs_done, holder, &holders[i]);
	}
	spawn(&regs_done, witness, NULL);
	urge_waitgroup_wait(&regs_done);
	return 0;
}

/* Every goroutine has had its turns. */
static void check_turns(void)
{
	for (int i = 0; i < REGS_HOLDERS; i++) {
		printf("%s: %llu turns\n", holders[i].kind->name,
		       (unsigned long long)holders[i].turns);
		CHECK(holders[i].turns > 0, "%s", holders[i].kind->name);
	}
	printf("witness: %llu turns\n", (unsigned long long)witness_turns);
	CHECK(witness_turns > 0, "");
}

#endif
#endif
