/* SPDX-License-Identifier: MIT */
/*
 * Loops inside libc, one kind in each goroutine, as kinds.h says: they hold malloc's locks,
 * stdio's, the loader's and a recursive one while they are preempted, and call back out of libc.
 */
#include "tests/programs/kinds.h"

#include <dlfcn.h>
#include <locale.h>
#include <pwd.h>
#include <stdint.h>

/* ---- kinds: each turn gives the same sum for the same number ------------------------------ */

static uint64_t turn_malloc(uint64_t n)
{
	uint64_t random = n * 2 + 1, sum = n;
	char *held[16] = { NULL };

	for (int i = 0; i < 64; i++) {
		char **at = &held[random_next(&random) % 16];
		size_t size = random_next(&random) % 3000 + 1;

		free(*at);
		*at = malloc(size);
		memset(*at, (int)n, size);
		sum = mix(sum, (unsigned char)(*at)[size - 1] + size);
	}
	for (int i = 0; i < 16; i++)
		free(held[i]);
	return sum;
}

static uint64_t turn_printf(uint64_t n)
{
	char text[256];
	uint64_t sum = n;

	for (int i = 0; i < 16; i++) {
		int length = snprintf(text, sizeof(text), "%llu %.17g %-20s|%08x",
				      (unsigned long long)n, (double)n / 3.0 + i, "urge", i);

		sum = mix_bytes(sum, text, (size_t)length);
	}
	return sum;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t turn_qsort(uint64_t n)
{
	uint64_t random = n * 2 + 1, sum = n;
	uint32_t numbers[300];

	for (int i = 0; i < 300; i++)
		numbers[i] = (uint32_t)random_next(&random);
	qsort(numbers, 300, sizeof(numbers[0]), compare);
	for (int i = 1; i < 300; i++)
		CHECK(numbers[i - 1] <= numbers[i], "%d", i);
	return mix_bytes(sum, numbers, sizeof(numbers));
}

static uint64_t turn_stdio(uint64_t n)
{
	static FILE *null;
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);
	uint64_t sum;

	if (!LOAD(null))
		STORE(null, fopen("/dev/null", "w"));
	fprintf(null, "%llu %s\n", (unsigned long long)n, "a line for everybody");
	fprintf(memory, "%llu %g", (unsigned long long)n, (double)n / 7);
	fclose(memory);
	sum = mix_bytes(n, text, size);
	free(text);
	return sum;
}

static uint64_t turn_passwd(uint64_t n)
{
	struct passwd entry, *found = NULL;
	char buffer[4096];

	getpwnam_r("root", &entry, buffer, sizeof(buffer), &found);
	CHECK(found && found->pw_uid == 0, "");
	return mix(n, found ? found->pw_uid : 1);
}

static uint64_t turn_locale(uint64_t n)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", NULL);
	uint64_t sum = mix(n, (uint64_t)strtod_l("1.25", NULL, c) * 100);

	freelocale(c);
	return sum;
}

static uint64_t turn_dlopen(uint64_t n)
{
	void *handle = dlopen("libm.so.6", RTLD_NOW);
	double (*sine)(double) = handle ? (double (*)(double))dlsym(handle, "sin") : NULL;
	double value = sine ? sine((double)n) : 2;
	uint64_t sum = mix_bytes(n, &value, sizeof(value));

	CHECK(handle, "%s", dlerror());
	if (handle)
		dlclose(handle);
	return sum;
}

static uint64_t turn_mutex(uint64_t n)
{
	static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	static uint64_t inside;

	pthread_mutex_lock(&recursive);
	for (int i = 0; i < 40; i++) {
		pthread_mutex_lock(&recursive);
		CHECK(++inside == (uint64_t)i + 1, "%d", (int)inside);
	}
	for (int i = 0; i < 40; i++) {
		inside--;
		pthread_mutex_unlock(&recursive);
	}
	pthread_mutex_unlock(&recursive);
	return mix(n, 40);
}

int main(void)
{
	static struct kind table[] = {
		{ "malloc", turn_malloc, 0 }, { "printf", turn_printf, 0 },
		{ "qsort", turn_qsort, 0 },   { "stdio", turn_stdio, 0 },
		{ "passwd", turn_passwd, 0 }, { "locale", turn_locale, 0 },
		{ "dlopen", turn_dlopen, 0 }, { "mutex", turn_mutex, 0 },
	};

	return run_kinds(table, sizeof(table) / sizeof(table[0]));
}
