/* SPDX-License-Identifier: MIT */
/*
 * chan, elements of 8 bytes, N = 1,000,000:
 *	pingpong	A: send on a, receive from b; B: receive from a, send on b. Both unbuffered.
 *		ns/op = wall / N round trips; one is two messages and two switches.
 *	pingpong_select2	the same, but every receive is a select with two cases, of which
 *		the second one never comes.
 *	prodcons128	a producer sends 4 N elements through a channel of capacity 128 and closes it,
 *		a consumer takes them. ns/op = wall / 4 N.
 *	mpmc4x4_128	four producers and four consumers on one channel of capacity 128, 2 N elements.
 *
 * The twin is w03_chan; all four run in one process, in its order.
 */
#include "bench/workloads.h"
#include "urge.h"

#include <stdio.h>
#include <stdlib.h>

enum { N = 1000000, CAPACITY = 128, PAIRS = 4 };

static urge_chan *make_chan(size_t capacity)
{
	urge_chan *c = urge_chan_make(sizeof(int64_t), capacity);

	if (!c)
		bench_check(-errno, "urge_chan_make");
	return c;
}

static void must(int err)
{
	if (err)
		bench_check(err, "channel");
}

struct table {
	urge_chan *a, *b, *quit;
	urge_waitgroup over;
};

static struct table table_make(size_t capacity)
{
	return (struct table){ make_chan(capacity), make_chan(0), make_chan(0), { 0 } };
}

static void table_free(struct table *t)
{
	urge_chan_free(t->a);
	urge_chan_free(t->b);
	urge_chan_free(t->quit);
}

/* ---- ping-pong ----------------------------------------------------------------------------- */

static void pong(void *arg)
{
	struct table *t = arg;

	for (unsigned i = 0; i < N; i++) {
		int64_t v;

		must(urge_recv(t->a, &v));
		must(urge_send(t->b, &v));
	}
	urge_waitgroup_done(&t->over);
}

static void pingpong(const struct bench_run *run)
{
	struct table t = table_make(0);

	urge_waitgroup_add(&t.over, 1);
	bench_check(urge_go(pong, &t), "urge_go");

	struct bench_section section = bench_start();
	for (int64_t i = 0; i < N; i++) {
		must(urge_send(t.a, &i));
		must(urge_recv(t.b, NULL));
	}
	bench_end(run, section, "chan.pingpong", N, "ns/op");
	urge_waitgroup_wait(&t.over);
	table_free(&t);
}

static int64_t select_recv(const struct table *t, urge_chan *c)
{
	int64_t v = 0;
	struct urge_case cases[] = {
		{ c, URGE_RECV, &v, 0 },
		{ t->quit, URGE_RECV, NULL, 0 },
	};

	must(urge_select(cases, 2));
	return v;
}

static void select_pong(void *arg)
{
	struct table *t = arg;

	for (unsigned i = 0; i < N; i++) {
		int64_t v = select_recv(t, t->a);

		must(urge_send(t->b, &v));
	}
	urge_waitgroup_done(&t->over);
}

static void pingpong_select2(const struct bench_run *run)
{
	struct table t = table_make(0);

	urge_waitgroup_add(&t.over, 1);
	bench_check(urge_go(select_pong, &t), "urge_go");

	struct bench_section section = bench_start();
	for (int64_t i = 0; i < N; i++) {
		must(urge_send(t.a, &i));
		select_recv(&t, t.b);
	}
	bench_end(run, section, "chan.pingpong_select2", N, "ns/op");
	urge_waitgroup_wait(&t.over);
	table_free(&t);
}

/* ---- producers and consumers --------------------------------------------------------------- */

static void consume_all(void *arg)
{
	struct table *t = arg;
	int64_t v, sum = 0;

	while (urge_recv(t->a, &v) == 0)
		sum += v;
	must(urge_send(t->b, &sum));
}

static void produce_and_close(void *arg)
{
	struct table *t = arg;

	for (int64_t i = 0; i < 4 * N; i++)
		must(urge_send(t->a, &i));
	urge_close_chan(t->a);
}

static void prodcons(const struct bench_run *run)
{
	struct table t = table_make(CAPACITY);
	int64_t sum;

	struct bench_section section = bench_start();
	bench_check(urge_go(consume_all, &t), "urge_go");
	bench_check(urge_go(produce_and_close, &t), "urge_go");
	must(urge_recv(t.b, &sum));
	bench_end(run, section, "chan.prodcons128", 4 * N, "ns/op");
	if (sum != INT64_C(4) * N * (INT64_C(4) * N - 1) / 2) {
		fprintf(stderr, "prodcons: sum %lld\n", (long long)sum);
		exit(1);
	}
	table_free(&t);
}

static void consume(void *arg)
{
	struct table *t = arg;

	while (urge_recv(t->a, NULL) == 0)
		;
	must(urge_send(t->b, NULL));
}

static void produce(void *arg)
{
	struct table *t = arg;

	for (int64_t i = 0; i < N / 2; i++)
		must(urge_send(t->a, &i));
	urge_waitgroup_done(&t->over);
}

static void mpmc(const struct bench_run *run)
{
	struct table t = table_make(CAPACITY);

	struct bench_section section = bench_start();
	urge_waitgroup_add(&t.over, PAIRS);
	for (unsigned i = 0; i < PAIRS; i++) {
		bench_check(urge_go(consume, &t), "urge_go");
		bench_check(urge_go(produce, &t), "urge_go");
	}
	urge_waitgroup_wait(&t.over);
	urge_close_chan(t.a);
	for (unsigned i = 0; i < PAIRS; i++)
		must(urge_recv(t.b, NULL));
	bench_end(run, section, "chan.mpmc4x4_128", 2 * N, "ns/op");
	table_free(&t);
}

static int chan(const struct bench_run *run)
{
	for (unsigned i = 0; i < run->reps; i++)
		pingpong(run);
	for (unsigned i = 0; i < run->reps; i++)
		pingpong_select2(run);
	for (unsigned i = 0; i < run->reps; i++)
		prodcons(run);
	for (unsigned i = 0; i < run->reps; i++)
		mpmc(run);
	return 0;
}

static const char *const figures[] = {
	BENCH_SECTION("chan.pingpong"),
	BENCH_SECTION("chan.pingpong_select2"),
	BENCH_SECTION("chan.prodcons128"),
	BENCH_SECTION("chan.mpmc4x4_128"),
	NULL,
};

const struct workload chan_workload = {
	.name = "chan",
	.what = "channels: ping-pong, ping-pong with select, producers and consumers",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 60,
	.goroutine = chan,
};
