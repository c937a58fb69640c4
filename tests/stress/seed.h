/* SPDX-License-Identifier: MIT */
/* Random numbers of a stress test: another seed each time, printed; URGE_TEST_SEED repeats one. */
#ifndef URGE_TESTS_STRESS_SEED_H
#define URGE_TESTS_STRESS_SEED_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

static inline uint64_t test_seed()
{
	const char *text = getenv("URGE_TEST_SEED");
	uint64_t seed = text ? strtoull(text, nullptr, 0) : std::random_device()();

	printf("URGE_TEST_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

/* xorshift64*: small enough for every goroutine to have one. */
struct Random {
	explicit Random(uint64_t seed) : x(seed * 0x9e3779b97f4a7c15 | 1) {}

	/* From 0 to n - 1. */
	uint32_t below(uint32_t n)
	{
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		return (uint32_t)((x * 0x2545f4914f6cdd1d >> 33) % n);
	}

	uint64_t x;
};

#endif
