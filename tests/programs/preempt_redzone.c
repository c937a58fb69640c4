/* SPDX-License-Identifier: MIT */
/*
 * Compiled code, rather than hand-written loops: leaf functions whose locals are in the red zone,
 * with integers, floating point and vectors, give the same results on goroutines that are preempted
 * INJECTIONS (10,000) times and that migrate between two threads. The script compiles it for
 * several compilers and levels.
 */
#include "tests/programs/check.h"

#include <sys/syscall.h>

enum { GOROUTINES = 6, FUNCTIONS = 4, ROUNDS = 60 };

typedef uint64_t (*leaf_fn)(uint64_t seed);

/* Indexed by data, so that the array is in memory. */
static __attribute__((noinline)) uint64_t leaf_array(uint64_t seed)
{
	uint64_t a[14];
	uint64_t x = seed | 1;

	for (int i = 0; i < 14; i++)
		a[i] = seed * (unsigned)(i + 1);
	for (int i = 0; i < ROUNDS * 8; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		a[(x >> 33) % 14] ^= a[(x >> 45) % 14] + x;
	}
	for (int i = 0; i < 14; i++)
		x = (x << 5 | x >> 59) ^ a[i];
	return x;
}

static __attribute__((noinline)) uint64_t leaf_bytes(uint64_t seed)
{
	unsigned char a[112];
	uint64_t sum = 0;

	for (unsigned i = 0; i < sizeof(a); i++)
		a[i] = (unsigned char)(seed >> i % 57);
	for (int round = 0; round < ROUNDS; round++)
		for (unsigned i = 0; i < sizeof(a); i++) {
			unsigned char *other = &a[(a[i] + i) % sizeof(a)];

			*other = (unsigned char)(*other * 5 + a[i] + round);
		}
	for (unsigned i = 0; i < sizeof(a); i++)
		sum = sum * 31 + a[i];
	return sum;
}

static __attribute__((noinline)) uint64_t leaf_double(uint64_t seed)
{
	double a[14];
	double sum = 1;
	uint64_t bits;

	for (int i = 0; i < 14; i++)
		a[i] = 1.0 + (double)((seed >> i) & 0xff) / 512;
	for (int i = 0; i < ROUNDS * 6; i++) {
		a[i % 14] = a[(i + 5) % 14] * 0.75 + 1 / (a[(i + 9) % 14] + 0.5);
		sum = sum * 0.5 + a[i * 7 % 14];
	}
	memcpy(&bits, &sum, sizeof(bits));
	return bits;
}

static __attribute__((noinline)) uint64_t leaf_vector(uint64_t seed)
{
	uint32_t a[28];
	uint32_t sum = (uint32_t)seed;

	for (unsigned i = 0; i < 28; i++)
		a[i] = (uint32_t)(seed >> 8) + i * 2654435761u;
	for (int round = 0; round < ROUNDS * 4; round++) {
		for (int i = 0; i < 28; i++)
			a[i] = a[i] * 1664525u + (sum ^ (uint32_t)i);
		sum += a[(sum >> 3) % 28];
	}
	return sum;
}

static const leaf_fn leaves[FUNCTIONS] = { leaf_array, leaf_bytes, leaf_double, leaf_vector };

static uint32_t stop;
static urge_waitgroup done;
static struct worker {
	uint64_t seed[FUNCTIONS], want[FUNCTIONS];
	uint64_t turns, moves;
} workers[GOROUTINES];

static void work(void *arg)
{
	struct worker *w = arg;
	long thread = 0;

	while (!LOAD(stop)) {
		long now;

		for (int f = 0; f < FUNCTIONS; f++) {
			uint64_t got = leaves[f](w->seed[f]);

			CHECK(got == w->want[f], "function %d, turn %llu", f,
			      (unsigned long long)w->turns);
		}
		now = syscall(SYS_gettid);
		if (now != thread)
			ADD(w->moves, 1);
		thread = now;
		w->turns++;
	}
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	(void)unused;
	urge_gomaxprocs(2);
	for (int i = 0; i < GOROUTINES; i++)
		spawn(&done, work, &workers[i]);
	urge_waitgroup_wait(&done);
	return 0;
}

static uint64_t changes_of_thread(void)
{
	uint64_t n = 0;

	for (int i = 0; i < GOROUTINES; i++)
		n += LOAD(workers[i].moves);
	return n;
}

static uint64_t want_injections;

/* Where nobody changes his thread this does not end. */
static void direct(void)
{
	uint64_t seed = random_seed();

	while (injected() < want_injections || changes_of_thread() < 20 * GOROUTINES) {
		urge_set_time_slice(50 * URGE_US + (int64_t)(random_next(&seed) % 200000));
		doze(2 * URGE_MS);
	}
	STORE(stop, 1);
}

int main(void)
{
	uint64_t seed = random_seed();
	struct urge_stats before;

	begin((int64_t)env_number("SECONDS", 120));
	for (int i = 0; i < GOROUTINES; i++)
		for (int f = 0; f < FUNCTIONS; f++) {
			workers[i].seed[f] = random_next(&seed);
			workers[i].want[f] = leaves[f](workers[i].seed[f]);
		}
	urge_stats_read(&before);
	want_injections = before.preempt_injected + env_number("INJECTIONS", 10000);
	run_both(start, direct);
	for (int i = 0; i < GOROUTINES; i++)
		CHECK(workers[i].turns > 0, "goroutine %d", i);
	printf("%llu changes of thread\n", (unsigned long long)changes_of_thread());
	print_outcomes(&before);
	return finish();
}
