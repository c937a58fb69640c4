/* SPDX-License-Identifier: MIT */
/*
 * urge-bench: the workloads that are measured against Go. A new workload is one file, one line in
 * the table below, and, when it has a twin in Go, one line in bench/compare.
 */
#include "bench/harness.h"
#include "bench/options.h"
#include "bench/workloads.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct workload *const workloads[] = {
	&yield_workload,
	&spawn_workload,
	&chan_workload,
	&select_workload,
	&ring_workload,
	&mutex_workload,
	&sema_workload,
	&mem_100k_workload,
	&mem_100k_s64k_workload,
	&mem_1m_workload,
	&mem_1m_s64k_workload,
	&mem_1m_floor_workload,
	&timer_workload,
	&timer_1s_workload,
	&preempt_sleep_workload,
	&preempt_poll_workload,
	&preempt_lat_workload,
	&preempt_thr_workload,
	&preempt_sleep_libc_workload,
	&preempt_poll_libc_workload,
	&preempt_thr_libc_workload,
	&preempt_malloc_workload,
	&idle_park_workload,
	&idle_one_workload,
	&idle_tick_workload,
	&syscall_workload,
	&syscall_threads_workload,
	&stw_workload,
	&resize_1_2_workload,
	&resize_2_8_workload,
	&file_workload,
	&echo_epoll_workload,
	&echo_core0_workload,
	&echo_core0_loops2_workload,
	&echo_both_workload,
	&echo_both_loops2_workload,
	&echo_core0_loops2_libc_workload,
	&echo_both_loops2_libc_workload,
	NULL,
};

static const char usage[] =
	"usage: urge-bench [--reps N] [--server PROGRAM] [NAME...]\n"
	"       urge-bench --list\n"
	"\n"
	"Runs workloads and prints their figures: median, unit, smallest, largest, repetitions.\n"
	"NAME is a figure (yield.g2.p1), a workload (spawn, spawn.p2), or the beginning of either;\n"
	"wildcards work: 'yield.*.p2'. Figures of CPU time end in .cpu. Without NAME: all, in about\n"
	"fifteen minutes.\n"
	"\n"
	"  --reps N          repetitions (default 5)\n"
	"  --server PROGRAM  put the load of echo on PROGRAM -addr HOST:PORT -loops N instead\n"
	"  --list            print all workloads and figures\n"
	"  --help            print this\n"
	"\n"
	"bench/compare runs the same beside Go.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "reps", required_argument, NULL, 'r' },
		{ "server", required_argument, NULL, 's' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned reps = 5;
	int option;

	if (argc > 1 && !strcmp(argv[1], BENCH_CHILD_OPTION))
		return bench_run_child(workloads, argv + 2);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			reps = (unsigned)option_integer("--reps", optarg, 1, 1000);
			break;
		case 's':
			setenv(BENCH_SERVER_VARIABLE, optarg, 1);
			break;
		case 'l':
			bench_list(workloads);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs("urge-bench --help shows the options\n", stderr);
			return EXIT_USAGE;
		}
	}
	char *all[] = { "*", NULL };
	return bench_run_named(workloads, optind < argc ? argv + optind : all, reps);
}
