/* SPDX-License-Identifier: MIT */
/*
 * A million goroutines with the default stack, parked at once: all of them run, each takes less
 * than 5 KiB of memory, page tables included, and the process has no more mappings than it may.
 * When they have ended, memory and threads are back within a tenth of what they were.
 *
 * GOROUTINES is another number. Skipped where there are not 8 GiB of memory for a million.
 */
#include "tests/programs/check.h"

enum { BYTES_EACH = 5 * 1024, WARM_UP = 1000 };

static urge_waitgroup gate, ended;
static uint64_t there;

/* The number behind a name in a file of /proc, or 0. */
static int64_t proc_number(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[256];
	int64_t number = 0;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			number = atoll(line + strlen(name));
	if (file)
		fclose(file);
	return number;
}

/* Resident memory and page tables, kB. */
static int64_t memory(void)
{
	return proc_number("/proc/self/status", "VmRSS:") +
	       proc_number("/proc/self/status", "VmPTE:");
}

static int64_t threads(void)
{
	return proc_number("/proc/self/status", "Threads:");
}

static int64_t mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int64_t lines = 0;

	for (int c; maps && (c = getc(maps)) != EOF;)
		lines += c == '\n';
	if (maps)
		fclose(maps);
	return lines;
}

static void guest(void *unused)
{
	(void)unused;
	ADD(there, 1);
	urge_waitgroup_wait(&gate);
	urge_waitgroup_done(&ended);
}

/* n of them are there, and wait. */
static void assemble(uint64_t n)
{
	STORE(there, 0);
	urge_waitgroup_add(&gate, 1);
	for (uint64_t i = 0; i < n; i++)
		spawn(&ended, guest, NULL);
	while (LOAD(there) < n)
		urge_sleep(URGE_MS);
}

static void dismiss(void)
{
	urge_waitgroup_done(&gate);
	urge_waitgroup_wait(&ended);
}

static int start(void *unused)
{
	uint64_t n = env_number("GOROUTINES", 1000000);
	int64_t memory_before, threads_before, memory_there, deadline;

	(void)unused;
	assemble(WARM_UP);
	dismiss();
	memory_before = memory();
	threads_before = threads();

	assemble(n);
	memory_there = memory() - memory_before;
	printf("%lld goroutines: %lld bytes each, %lld mappings\n", (long long)n,
	       (long long)(memory_there * 1024 / (int64_t)n), (long long)mappings());
	CHECK(memory_there * 1024 < (int64_t)n * BYTES_EACH, "%lld kB", (long long)memory_there);
	CHECK(mappings() < proc_number("/proc/sys/vm/max_map_count", ""), "of mappings");
	dismiss();

	deadline = urge_now() + 60 * URGE_S;
	while ((memory() > memory_before * 11 / 10 || threads() > threads_before * 11 / 10) &&
	       urge_now() < deadline)
		urge_sleep(100 * URGE_MS);
	printf("%lld kB and %lld threads before, %lld kB and %lld threads after\n",
	       (long long)memory_before, (long long)threads_before, (long long)memory(),
	       (long long)threads());
	CHECK(urge_now() < deadline, "memory or threads have not come back");
	return 0;
}

int main(void)
{
	int64_t available = proc_number("/proc/meminfo", "MemAvailable:");

	begin(400);
	if (available < 8 << 20) {
		printf("%lld MiB of memory are available, 8192 are needed\n",
		       (long long)(available >> 10));
		return SKIPPED;
	}
	run_both(start, NULL);
	return finish();
}
