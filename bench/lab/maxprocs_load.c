/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bench/lab/maxprocs_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHILDREN = 8, STAGES = 3 };

struct load load;

void start_goroutine(urge_fn fn, void *arg)
{
	int err = urge_go(fn, arg);

	if (err) {
		fprintf(stderr, "urge_go: %s\n", strerror(-err));
		exit(1);
	}
}

/* ---- fork-join ----------------------------------------------------------------------------- */

static void child(void *all)
{
	tight_loop_turns(1000); /* about a microsecond */
	urge_waitgroup_done(all);
}

static void forker(void *arg)
{
	urge_waitgroup all = { 0 };

	while (!stopped()) {
		int64_t since = urge_now();

		urge_waitgroup_add(&all, CHILDREN);
		for (int i = 0; i < CHILDREN; i++)
			start_goroutine(child, &all);
		urge_waitgroup_wait(&all);
		count_operation(arg, (double)(urge_now() - since));
	}
	urge_waitgroup_done(&load.running);
}

static void start_forkjoin(void)
{
	urge_waitgroup_add(&load.running, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		start_goroutine(forker, &load.workers[i]);
}

static void start_mixed(void)
{
	start_forkjoin();
	loops_start(&load.loops, 2);
}

/* ---- pipelines ----------------------------------------------------------------------------- */

struct pipeline {
	struct worker *sink;
	urge_chan *stages[STAGES];
};

struct stage {
	urge_chan *from, *to;
};

static void source(void *arg)
{
	struct pipeline *pipeline = arg;

	while (!stopped()) {
		int64_t since = urge_now();

		urge_send(pipeline->stages[0], &since);
	}
	urge_close_chan(pipeline->stages[0]);
	urge_waitgroup_done(&load.running);
}

static void stage(void *arg)
{
	struct stage *stage = arg;
	int64_t since;

	while (urge_recv(stage->from, &since) == 0) {
		tight_loop_turns(1000);
		urge_send(stage->to, &since);
	}
	urge_close_chan(stage->to);
	free(stage);
	urge_waitgroup_done(&load.running);
}

static void sink(void *arg)
{
	struct pipeline *pipeline = arg;
	int64_t since;

	while (urge_recv(pipeline->stages[STAGES - 1], &since) == 0)
		count_operation(pipeline->sink, (double)(urge_now() - since));
	for (int i = 0; i < STAGES; i++)
		urge_chan_free(pipeline->stages[i]);
	free(pipeline);
	urge_waitgroup_done(&load.running);
}

static void *must(void *memory)
{
	if (!memory) {
		fputs("out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

static void start_pipeline(void)
{
	for (int i = 0; i < WORKERS; i++) {
		struct pipeline *pipeline = must(malloc(sizeof(*pipeline)));

		pipeline->sink = &load.workers[i];
		for (int s = 0; s < STAGES; s++)
			pipeline->stages[s] = must(urge_chan_make(sizeof(int64_t), 16));
		urge_waitgroup_add(&load.running, STAGES + 1);
		for (int s = 0; s + 1 < STAGES; s++) {
			struct stage *between = must(malloc(sizeof(*between)));

			*between = (struct stage){ pipeline->stages[s], pipeline->stages[s + 1] };
			start_goroutine(stage, between);
		}
		start_goroutine(source, pipeline);
		start_goroutine(sink, pipeline);
	}
}

/* ---- all of them --------------------------------------------------------------------------- */

const struct maxprocs_load maxprocs_loads[MAXPROCS_WORKLOADS] = {
	{ "forkjoin", "8 goroutines that start 8 each and wait for them", start_forkjoin },
	{ "pipeline", "8 pipelines of channels with 2 stages in between", start_pipeline },
	{ "mixed", "fork-join beside 2 tight loops", start_mixed },
	{ "echo", "examples/echo with 64 connections, from a thread of its own", start_echo },
	{ "kv", "examples/kv with 64 connections that set and get a value", start_kv },
};

const struct maxprocs_load *maxprocs_load_named(const char *name)
{
	for (int i = 0; i < MAXPROCS_WORKLOADS; i++)
		if (!strcmp(maxprocs_loads[i].name, name))
			return &maxprocs_loads[i];
	return NULL;
}

void end_load(void)
{
	__atomic_store_n(&load.stop, 1, __ATOMIC_RELAXED);
	loops_halt(&load.loops);
	loops_join(&load.loops);
	urge_waitgroup_wait(&load.running);
}
