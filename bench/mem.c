/* SPDX-License-Identifier: MIT */
/*
 * mem, N = 100,000 and 1,000,000; a fresh process per repetition. Baseline r0; start N goroutines,
 * each of which counts itself and parks; creation time = first urge_go until the starter, which
 * yields in a loop, sees all N counted; sleep 20 ms; r1; bytes/goroutine = (r1 - r0) / N. Then
 * release all and wait: release time. Then the same once more in the same process: create_again.
 *
 *	rss		from the resident memory, as in the twin
 *	rss_pte		resident memory plus page tables (VmPTE): what the goroutines really cost,
 *			as each C stack takes a page table entry even where it is not resident
 *	rss_after	after the second wave has gone: the share of the first wave's growth
 *			(resident + page tables) that is still there. Looked at four times a
 *			second until it is within 10 % and the threads are back, 15 s at most.
 *	threads_before, threads_after	the threads at the baseline and at that moment
 *	rss_pte.s64k	rss_pte with stacks of a 64 KiB reserve instead of the default
 *	create.floor	in a process without goroutines: what the kernel takes for N stacks of the
 *			default reserve, a guard page and one page of contents each, asked for by as
 *			few system calls as it allows; the twin's stacks are half a page, unguarded
 *
 * The twin is w07_mem. Its goroutines park on a channel, these in a waitgroup.
 */
#include "bench/process.h"
#include "bench/workloads.h"
#include "kernelshim/atomic.h"
#include "kernelshim/kconfig.h"
#include "kernelshim/vm.h"
#include "urge.h"

#include <errno.h>
#include <stdio.h>

struct memory {
	size_t resident, total; /* bytes; total: with the page tables */
};

struct wave {
	/* constant */
	struct urge_attr attr;
	unsigned count;
	/* the goroutines */
	struct atomic_u32 parked;
	urge_waitgroup block, done;
	/* the starter: results, per goroutine where that makes sense */
	double create, create_cpu, release; /* ns */
	struct memory memory;               /* all parked */
};

static struct memory memory_now(void)
{
	size_t resident = process_resident_bytes();

	return (struct memory){ .resident = resident,
				.total = resident + process_page_table_bytes() };
}

static void park(void *arg)
{
	struct wave *wave = arg;

	add_u32(&wave->parked, 1);
	urge_waitgroup_wait(&wave->block);
	urge_waitgroup_done(&wave->done);
}

static void run_wave(struct wave *wave)
{
	urge_waitgroup_add(&wave->block, 1);
	urge_waitgroup_add(&wave->done, (int)wave->count);

	int64_t cpu = process_cpu_ns();
	int64_t start = urge_now();
	for (unsigned i = 0; i < wave->count; i++)
		bench_check(urge_go_attr(&wave->attr, park, wave), "urge_go_attr");
	while (load_rlx_u32(&wave->parked) < wave->count)
		urge_yield();
	wave->create = (double)(urge_now() - start);
	wave->create_cpu = (double)(process_cpu_ns() - cpu);

	urge_sleep(20 * URGE_MS);
	wave->memory = memory_now();

	start = urge_now();
	urge_waitgroup_done(&wave->block);
	urge_waitgroup_wait(&wave->done);
	wave->release = (double)(urge_now() - start);
}

static double growth(size_t before, size_t after)
{
	return (double)after - (double)before;
}

static void report(const struct bench_run *run, const char *figure, const char *tail, double value,
		   const char *unit)
{
	char stem[64];

	snprintf(stem, sizeof(stem), "mem.%ld.%s", run->workload->parameter, figure);
	bench_sample(run, stem, tail, value, unit);
}

static void report_after(const struct bench_run *run, size_t before, size_t peak,
			 unsigned threads_before)
{
	int64_t deadline = urge_now() + 15 * URGE_S;
	unsigned threads;
	double left;

	for (;;) {
		left = 100 * growth(before, memory_now().total) / growth(before, peak);
		threads = process_threads();
		if ((left <= 10 && threads <= threads_before) || urge_now() > deadline)
			break;
		urge_sleep(250 * URGE_MS);
	}
	report(run, "rss_after", "", left, "%");
	report(run, "threads_before", "", threads_before, "threads");
	report(run, "threads_after", "", threads, "threads");
}

static int mem(const struct bench_run *run)
{
	unsigned count = (unsigned)run->workload->parameter;
	struct wave first = { .count = count, .attr = URGE_ATTR_INIT }, again = first;
	double n = count;

	struct memory before = memory_now();
	unsigned threads = process_threads();
	run_wave(&first);
	run_wave(&again);

	report(run, "rss", "", growth(before.resident, first.memory.resident) / n,
	       "bytes/goroutine");
	report(run, "rss_pte", "", growth(before.total, first.memory.total) / n, "bytes/goroutine");
	report(run, "create", "", first.create / n, "ns/goroutine");
	report(run, "create_total", "", first.create / 1e6, "ms");
	report(run, "create_again", "", again.create / n, "ns/goroutine");
	report(run, "create", ".cpu", first.create_cpu / n, "cpu-ns/goroutine");
	report(run, "create_again", ".cpu", again.create_cpu / n, "cpu-ns/goroutine");
	report(run, "release", "", first.release / n, "ns/goroutine");
	report_after(run, before.total, first.memory.total, threads);
	return 0;
}

static int mem_s64k(const struct bench_run *run)
{
	unsigned count = (unsigned)run->workload->parameter;
	struct wave wave = { .count = count, .attr = URGE_ATTR_INIT };

	wave.attr.stack_size = 64 << 10;
	struct memory before = memory_now();
	run_wave(&wave);
	report(run, "rss_pte.s64k", "", growth(before.total, wave.memory.total) / count,
	       "bytes/goroutine");
	return 0;
}

static int mem_floor(const struct bench_run *run)
{
	enum { SLAB = 32, STRIDE = CONFIG_DEFAULT_STACK_SIZE, SLAB_ALIGN = 2 << 20, PAGE = 4096 };
	long count = run->workload->parameter;
	int64_t start = urge_now();

	for (long made = 0; made < count; made += SLAB) {
		char *slab = vm_reserve((size_t)SLAB * STRIDE, SLAB_ALIGN);
		void *guards[SLAB], *tops[SLAB];

		if (!slab)
			bench_check(-ENOMEM, "vm_reserve");
		vm_nohugepage(slab, (size_t)SLAB * STRIDE);
		for (int i = 0; i < SLAB; i++) {
			guards[i] = slab + (size_t)i * STRIDE;
			tops[i] = slab + (size_t)(i + 1) * STRIDE - PAGE;
		}
		vm_guard_batch(guards, SLAB, PAGE);
		if (vm_populate_write_batch(tops, SLAB, PAGE))
			for (int i = 0; i < SLAB; i++)
				*(volatile char *)tops[i] = 1;
	}
	report(run, "create.floor", "", (double)(urge_now() - start) / (double)count,
	       "ns/goroutine");
	return 0;
}

#define FIGURES(n)                                                                                 \
	n ".rss.*", n ".rss_pte.*", n ".create.*", n ".create_total.*", n ".create_again.*",       \
		n ".create.*.cpu", n ".create_again.*.cpu", n ".release.*", n ".rss_after.*",      \
		n ".threads_before.*", n ".threads_after.*", NULL

static const char *const figures_100k[] = { FIGURES("mem.100000") };
static const char *const figures_100k_s64k[] = { "mem.100000.rss_pte.s64k.*", NULL };
static const char *const figures_1m[] = { FIGURES("mem.1000000") };
static const char *const figures_1m_floor[] = { "mem.1000000.create.floor.*", NULL };
static const char *const figures_1m_s64k[] = { "mem.1000000.rss_pte.s64k.*", NULL };

#define WORKLOAD(n, text, list, function, variant)                                                 \
	{                                                                                          \
		.name = "mem." #n variant, .what = text, .procs = bench_procs_1_2,                 \
		.figures = list, .process_per_repetition = true, .seconds = 120, .parameter = n,   \
		.goroutine = function,                                                             \
	}

const struct workload mem_100k_workload =
	WORKLOAD(100000, "memory and time of 100,000 parked goroutines", figures_100k, mem, "");
const struct workload mem_100k_s64k_workload =
	WORKLOAD(100000, "the same with 64 KiB stacks", figures_100k_s64k, mem_s64k, ".s64k");
const struct workload mem_1m_workload =
	WORKLOAD(1000000, "memory and time of 1,000,000 parked goroutines", figures_1m, mem, "");
const struct workload mem_1m_s64k_workload =
	WORKLOAD(1000000, "the same with 64 KiB stacks", figures_1m_s64k, mem_s64k, ".s64k");
const struct workload mem_1m_floor_workload =
	WORKLOAD(1000000, "what the kernel takes for the stacks alone", figures_1m_floor, mem_floor,
		 ".floor");
