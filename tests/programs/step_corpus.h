/* SPDX-License-Identifier: MIT */
/*
 * Small functions as compilers make them, and a few lines of assembly, for preempt_step.c: each is
 * deterministic and says by its result what became of it. What they have in them:
 *
 *	leaves that keep arrays in the red zone, and recursion that does not
 *	carry, overflow and conditions between the instruction that makes them and the one that uses them
 *	DF set, with a string instruction under way
 *	x87, SSE, AVX and AVX-512 values that live over many instructions, and modes other than the usual
 *	an address of thread-local storage: &errno, right after it was asked for
 *	libc's functions, and a callback out of one
 */
#ifndef URGE_TESTS_PROGRAMS_STEP_CORPUS_H
#define URGE_TESTS_PROGRAMS_STEP_CORPUS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPPED __attribute__((__noinline__, unused)) static

/* ---- integers ------------------------------------------------------------------------------ */

STEPPED uint64_t step_leaf(uint64_t seed)
{
	uint64_t a[8], sum = 0;

	for (unsigned i = 0; i < 8; i++)
		a[i] = seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
	for (unsigned i = 1; i < 8; i++)
		a[i] ^= a[i - 1] >> (a[(i + 3) % 8] & 63);
	for (unsigned i = 0; i < 8; i++)
		sum += a[i] % (i + 7);
	return sum;
}

STEPPED uint64_t step_sort(uint64_t seed)
{
	uint16_t a[12];
	uint64_t sum = 0;

	for (unsigned i = 0; i < 12; i++)
		a[i] = (uint16_t)((seed >> i) * 40503);
	for (unsigned i = 1; i < 12; i++)
		for (unsigned j = i; j > 0 && a[j - 1] > a[j]; j--) {
			uint16_t swapped = a[j];

			a[j] = a[j - 1];
			a[j - 1] = swapped;
		}
	for (unsigned i = 0; i < 12; i++)
		sum = sum * 31 + a[i];
	return sum;
}

STEPPED uint64_t step_flags(uint64_t seed)
{
	uint64_t overflows = 0, x = seed;
	int64_t product;
	unsigned __int128 wide = seed;

	for (unsigned i = 0; i < 12; i++) {
		overflows += __builtin_add_overflow(x, x << i, &x);
		overflows += __builtin_mul_overflow((int64_t)x >> 20, (int64_t)seed, &product) * 8U;
		x ^= (uint64_t)product;
		x = x > seed ? x - seed : (int64_t)x < (int64_t)i ? ~x : x + 1;
		wide = wide * seed + x; /* add, adc */
	}
	return x ^ overflows ^ (uint64_t)(wide >> 64) ^ (uint64_t)wide;
}

STEPPED uint64_t step_recursion(uint64_t n)
{
	n = n < 64 ? n : n % 5 + 5;
	return n < 2 ? n : step_recursion(n - 1) + step_recursion(n - 2) * 3;
}

STEPPED uint64_t step_atomics(uint64_t seed)
{
	static uint64_t word;
	uint64_t old = 0, sum = 0;

	__atomic_store_n(&word, seed, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 8; i++) {
		old = __atomic_load_n(&word, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(&word, &old, old * 3 + i, 1, __ATOMIC_ACQ_REL,
						    __ATOMIC_RELAXED))
			;
		sum += __atomic_fetch_add(&word, i, __ATOMIC_SEQ_CST) ^ old;
	}
	return sum;
}

struct four {
	uint64_t w[4];
};

STEPPED struct four step_four(struct four f, unsigned n)
{
	for (unsigned i = 0; i < 4; i++)
		f.w[i] = f.w[(i + 1) % 4] * n + i;
	return f;
}

/* Structs by value, and a jump table. */
STEPPED uint64_t step_switch(uint64_t seed)
{
	struct four f = { { seed, seed >> 3, seed >> 7, 5 } };

	for (unsigned i = 0; i < 10; i++)
		switch ((f.w[0] >> i) % 7) {
		case 0:
			f = step_four(f, i);
			break;
		case 1:
			f.w[1] = (uint64_t)__builtin_popcountll(f.w[0]) + f.w[1] / (i + 1);
			break;
		case 2:
			f.w[2] ^= __builtin_bswap64(f.w[1]);
			break;
		case 3:
			f.w[3] -= f.w[2] % 1000;
			break;
		case 4:
			f.w[0] += (uint64_t)__builtin_ctzll(f.w[3] | 256);
			break;
		default:
			f.w[0] = f.w[0] * 5 + i;
		}
	return f.w[0] ^ f.w[1] ^ f.w[2] ^ f.w[3];
}

/* ---- assembly ------------------------------------------------------------------------------ */

/* Each instruction uses flags of the one before; lea and mov in between leave them alone. */
STEPPED uint64_t step_carry(uint64_t seed)
{
	uint64_t a = seed, b = seed >> 1, c = 0;

	__asm__ volatile(".rept 12\n\t"
			 "adcq %[a], %[b]\n\t"
			 "leaq 1(%[a]), %[a]\n\t"
			 "adcq %[b], %[a]\n\t"
			 "movq %[a], -8(%%rsp)\n\t"
			 "seto %%r8b\n\t"
			 "rcrq $3, %[b]\n\t"
			 "movzbl %%r8b, %%r8d\n\t"
			 "movq -8(%%rsp), %%r9\n\t"
			 "sbbq %%r9, %[c]\n\t"
			 "setp %%r10b\n\t"
			 "cmovoq %%r8, %[b]\n\t"
			 "lahf\n\t"
			 "movzbl %%ah, %%ecx\n\t"
			 "movzbl %%r10b, %%r10d\n\t"
			 "xorl %%ecx, %%r10d\n\t"
			 "leaq (%[c], %%r10), %[c]\n\t"
			 "sahf\n\t"
			 ".endr"
			 : [a] "+&r"(a), [b] "+&r"(b), [c] "+&r"(c)
			 :
			 : "rax", "rcx", "r8", "r9", "r10", "cc", "memory");
	return a ^ b ^ c;
}

/* A copy from the end, as an overlapping memmove does it: DF is set over many instructions. */
STEPPED uint64_t step_backwards(uint64_t seed)
{
	unsigned char from[24], to[24];
	uint64_t sum = 0;
	unsigned char *last_from = from + 23, *last_to = to + 23;
	uint64_t n = 24;

	for (unsigned i = 0; i < 24; i++)
		from[i] = (unsigned char)(seed >> i);
	__asm__ volatile("std\n\t"
			 "rep movsb\n\t"
			 "cld"
			 : "+S"(last_from), "+D"(last_to), "+c"(n)
			 :
			 : "cc", "memory");
	for (unsigned i = 0; i < 24; i++)
		sum = sum * 131 + to[i];
	return sum + (uint64_t)(from - last_from);
}

/* ---- floating point ------------------------------------------------------------------------ */

STEPPED uint64_t step_double(uint64_t seed)
{
	double x = (double)(seed % 1000) + 0.5, y = 1;
	uint64_t bits;

	for (unsigned i = 1; i < 10; i++) {
		y = y * x / (i + 0.25) - (x > y ? 0.125 : x);
		x = y < 0 ? -y : y;
	}
	memcpy(&bits, &y, sizeof(bits));
	return bits;
}

/* Several values of the x87 stack live at once, and rounding that is not the usual one. */
STEPPED uint64_t step_x87(uint64_t seed)
{
	long double x = (long double)seed / 3, y = 2, z = 0.1L;
	uint16_t usual, upwards;
	uint64_t sum = 0;

	__asm__ volatile("fnstcw %0" : "=m"(usual));
	upwards = usual | 0x800;
	__asm__ volatile("fldcw %0" : : "m"(upwards));
	for (unsigned i = 0; i < 8; i++) {
		long double swapped = x * z + y;

		y = x / (y + 1) - z;
		x = z * z - y;
		z = swapped > 1e12L ? swapped / 1e9L : swapped;
		sum = sum * 33 + (uint64_t)(int64_t)(z * 1000);
	}
	__asm__ volatile("fldcw %0" : : "m"(usual));
	return sum;
}

STEPPED uint64_t step_vectors(uint64_t seed)
{
	uint32_t a[32], b[32], sum = 0;

	for (unsigned i = 0; i < 32; i++)
		a[i] = (uint32_t)seed * (i + 1);
	for (unsigned i = 0; i < 32; i++)
		b[i] = (a[i] >> 3 ^ a[31 - i]) + i;
	for (unsigned i = 0; i < 32; i++)
		sum += a[i] > b[i] ? a[i] : b[i];
	return sum;
}

typedef uint64_t step_v4 __attribute__((vector_size(32)));
typedef uint64_t step_v8 __attribute__((vector_size(64)));

__attribute__((target("avx2"))) STEPPED uint64_t step_avx(uint64_t seed)
{
	step_v4 x = { seed, seed + 1, seed * 3, ~seed }, y = x + 7;

	for (unsigned i = 0; i < 6; i++) {
		step_v4 larger = (step_v4)(x > y);

		x = (x ^ (y << 3)) + (larger & y);
		y = y - (x >> 5);
	}
	return x[0] ^ x[1] ^ y[2] ^ y[3];
}

/* Masks (k registers) as well, and registers above the 16th. */
__attribute__((target("avx512f,avx512bw"))) STEPPED uint64_t step_avx512(uint64_t seed)
{
	step_v8 x = { seed, seed + 1, seed * 3, ~seed, 5, seed >> 9, 7, 8 }, y = x + 7, z;
	uint64_t mask;

	for (unsigned i = 0; i < 4; i++) {
		step_v8 larger = (step_v8)(x > y);

		x = (x ^ (y << 3)) + (larger & y);
		y = y - (x >> 5);
	}
	__asm__ volatile("vpcmpuq $1, %[y], %[x], %%k3\n\t"
			 "vmovdqa64 %[x], %%zmm29\n\t"
			 "vpaddq %[y], %%zmm29, %%zmm30%{%%k3%}%{z%}\n\t"
			 "knotw %%k3, %%k5\n\t"
			 "vpsubq %%zmm29, %[y], %%zmm30%{%%k5%}\n\t"
			 "kmovw %%k5, %k[mask]\n\t"
			 "vmovdqa64 %%zmm30, %[z]"
			 : [z] "=v"(z), [mask] "=r"(mask)
			 : [x] "v"(x), [y] "v"(y)
			 : "xmm29", "xmm30", "k3", "k5");
	return z[0] ^ z[5] ^ z[7] ^ x[1] ^ y[2] ^ mask;
}

/* ---- libc and thread-local storage --------------------------------------------------------- */

/* glibc's own errno: its address lies in a register, and in a frame, for a while. */
STEPPED uint64_t step_errno(uint64_t seed)
{
	int *address = __errno_location();
	int before = *address, after;

	*address = (int)(seed & 0xff);
	close(-1);
	after = *__errno_location();
	*address = before;
	return (uint64_t)after;
}

STEPPED uint64_t step_libc(uint64_t seed)
{
	char text[64], copy[64];
	uint64_t sum = 0;

	snprintf(text, sizeof(text), "%llu-%x", (unsigned long long)seed, (unsigned)seed);
	memcpy(copy, text, sizeof(text));
	for (const char *p = copy; *p; p++)
		sum = sum * 31 + (unsigned char)*p;
	return sum + strlen(copy) + strtoull(copy, NULL, 10);
}

static int step_compare(const void *a, const void *b)
{
	return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

STEPPED uint64_t step_callback(uint64_t seed)
{
	uint64_t sum = 0;
	int a[6];

	for (unsigned i = 0; i < 6; i++)
		a[i] = (int)(seed >> i & 0xff);
	qsort(a, 6, sizeof(a[0]), step_compare);
	for (unsigned i = 0; i < 6; i++)
		sum = sum * 31 + (unsigned)a[i];
	return sum;
}

static bool step_always(void)
{
	return true;
}

static bool step_have_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

static bool step_have_avx512(void)
{
	return __builtin_cpu_supports("avx512bw");
}

static const struct step_function {
	const char *name;
	uint64_t (*fn)(uint64_t seed);
	bool (*possible)(void);
	bool leaves_alone; /* calls libc, or has an address that keeps it from being moved */
} step_corpus[] = {
	{ "leaf", step_leaf, step_always, false },
	{ "sort", step_sort, step_always, false },
	{ "flags", step_flags, step_always, false },
	{ "recursion", step_recursion, step_always, false },
	{ "atomics", step_atomics, step_always, false },
	{ "switch", step_switch, step_always, false },
	{ "carry", step_carry, step_always, false },
	{ "backwards", step_backwards, step_always, false },
	{ "double", step_double, step_always, true }, /* memcpy, where nothing is optimised */
	{ "x87", step_x87, step_always, false },
	{ "vectors", step_vectors, step_always, false },
	{ "avx", step_avx, step_have_avx2, false },
	{ "avx512", step_avx512, step_have_avx512, false },
	{ "errno", step_errno, step_always, true },
	{ "libc", step_libc, step_always, true },
	{ "callback", step_callback, step_always, true },
};

enum { STEP_FUNCTIONS = sizeof(step_corpus) / sizeof(step_corpus[0]) };

#endif
