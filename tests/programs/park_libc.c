/* SPDX-License-Identifier: MIT */
/*
 * Loops inside libc, one kind in each goroutine, beside a goroutine that sleeps: they hold malloc's
 * locks, stdio's, the loader's and a recursive one while they are preempted, and call back out of libc.
 * Their results are those of a plain run; the sleeper keeps being woken; each kind makes progress.
 */
#include "tests/programs/check.h"

#include <dlfcn.h>
#include <locale.h>
#include <pwd.h>
#include <stdint.h>

static uint32_t stop;
static urge_waitgroup done;

static uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * UINT64_C(0x100000001b3);
}

static uint64_t mix_bytes(uint64_t sum, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	while (n-- > 0)
		sum = mix(sum, *p++);
	return sum;
}

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

static struct kind {
	const char *name;
	uint64_t (*turn)(uint64_t n);
	uint32_t turns;
} kinds[] = {
	{ "malloc", turn_malloc, 0 }, { "printf", turn_printf, 0 }, { "qsort", turn_qsort, 0 },
	{ "stdio", turn_stdio, 0 },   { "passwd", turn_passwd, 0 }, { "locale", turn_locale, 0 },
	{ "dlopen", turn_dlopen, 0 }, { "mutex", turn_mutex, 0 },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), EACH = 2, KNOWN = 64 };

static uint64_t known[KINDS][KNOWN]; /* sums of a plain run */
static uint32_t ticks;
static int64_t worst;

static void worker(void *arg)
{
	struct kind *kind = arg;
	size_t k = (size_t)(kind - kinds);

	for (uint64_t n = 0; !LOAD(stop); n++) {
		uint64_t sum = kind->turn(n % KNOWN);

		if (sum != known[k][n % KNOWN])
			fail("%s, turn %d: another sum", kind->name, (int)n);
		ADD(kind->turns, 1);
	}
	urge_waitgroup_done(&done);
}

static void sleeper(void *unused)
{
	(void)unused;
	while (!LOAD(stop)) {
		int64_t start = urge_now(), late;

		urge_sleep(URGE_MS);
		late = urge_now() - start - URGE_MS;
		if (late > worst)
			worst = late;
		ADD(ticks, 1);
	}
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	(void)unused;
	urge_gomaxprocs((int)env_number("PROCS", 2));
	spawn(&done, sleeper, NULL);
	for (int i = 0; i < KINDS * EACH; i++)
		spawn(&done, worker, &kinds[i % KINDS]);
	urge_waitgroup_wait(&done);
	return 0;
}

static bool enough(void)
{
	struct urge_stats stats;
	bool all = LOAD(ticks) >= 200;

	for (int i = 0; i < KINDS; i++)
		all = all && LOAD(kinds[i].turns) >= 200;
	urge_stats_read(&stats);
	return all && stats.preempt_parked >= env_number("PARKED", 2000);
}

static void direct(void)
{
	WAIT_UNTIL(enough());
	STORE(stop, 1);
}

int main(void)
{
	struct urge_stats before;

	begin((int64_t)env_number("SECONDS", 120));
	for (size_t i = 0; i < KINDS; i++)
		for (uint64_t n = 0; n < KNOWN; n++)
			known[i][n] = kinds[i].turn(n);
	urge_set_time_slice((int64_t)env_number("SLICE", 100) * URGE_US);
	urge_stats_read(&before);
	run_both(start, direct);
	for (int i = 0; i < KINDS; i++)
		printf("%s: %u turns\n", kinds[i].name, kinds[i].turns);
	printf("%u ticks, the latest %lld us late\n", ticks, (long long)(worst / URGE_US));
	print_outcomes(&before);
	return finish();
}
