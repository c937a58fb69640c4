/* SPDX-License-Identifier: MIT */
/*
 * ring: 1000 goroutines; the i-th receives a number from channel i, unbuffered, and sends that
 * number less one to channel i + 1. One token makes N = 2,000,000 hops; then a wave of numbers
 * below zero ends them all. ns/hop = wall / N.
 *
 * skynet: skynet(number, size): with size 1 sends its number to its parent's channel; else makes an
 * unbuffered channel, starts ten children of a tenth of the size, receives their ten numbers, and
 * sends the sum. Size 1,000,000, so 1,111,111 goroutines and the sum 499,999,500,000. ns per
 * goroutine.
 *
 * The twin is w04_ring; both run in one process, in its order.
 */
#include "bench/workloads.h"
#include "urge.h"

#include <stdio.h>
#include <stdlib.h>

enum { RING = 1000, HOPS = 2000000, LEAVES = 1000000, CHILDREN = 10 };

static urge_chan *make_chan(void)
{
	urge_chan *c = urge_chan_make(sizeof(int64_t), 0);

	if (!c)
		bench_check(-errno, "urge_chan_make");
	return c;
}

static void send_number(urge_chan *c, int64_t number)
{
	bench_check(urge_send(c, &number), "urge_send");
}

static int64_t receive_number(urge_chan *c)
{
	int64_t number;

	bench_check(urge_recv(c, &number), "urge_recv");
	return number;
}

/* ---- ring ---------------------------------------------------------------------------------- */

struct link {
	urge_chan *in, *out, *done;
	urge_waitgroup *over;
};

static void pass_on(void *arg)
{
	const struct link *link = arg;
	int64_t number;

	while ((number = receive_number(link->in)) > 0)
		send_number(link->out, number - 1);
	if (number == 0) {
		send_number(link->done, 0);
		send_number(link->out, -1);
	} else if (number > -RING + 1) {
		send_number(link->out, number - 1);
	}
	urge_waitgroup_done(link->over);
}

static void ring(const struct bench_run *run)
{
	static struct link links[RING];
	urge_chan *done = make_chan(), *chans[RING];
	urge_waitgroup over = { 0 };

	urge_waitgroup_add(&over, RING);
	for (unsigned i = 0; i < RING; i++)
		chans[i] = make_chan();
	for (unsigned i = 0; i < RING; i++) {
		links[i] = (struct link){ chans[i], chans[(i + 1) % RING], done, &over };
		bench_check(urge_go(pass_on, &links[i]), "urge_go");
	}

	struct bench_section section = bench_start();
	send_number(chans[0], HOPS);
	receive_number(done);
	bench_end(run, section, "ring.1000", HOPS, "ns/hop");
	urge_waitgroup_wait(&over);
	for (unsigned i = 0; i < RING; i++)
		urge_chan_free(chans[i]);
	urge_chan_free(done);
}

/* ---- skynet -------------------------------------------------------------------------------- */

struct node {
	urge_chan *up;
	int64_t number, size;
};

static void skynet_node(void *arg)
{
	const struct node *node = arg;
	urge_chan *up = node->up;
	int64_t sum = node->number;

	if (node->size > 1) {
		urge_chan *down = make_chan();
		int64_t size = node->size / CHILDREN;
		struct node children[CHILDREN];

		for (int i = 0; i < CHILDREN; i++) {
			children[i] = (struct node){ down, node->number + i * size, size };
			bench_check(urge_go(skynet_node, &children[i]), "urge_go");
		}
		sum = 0;
		for (int i = 0; i < CHILDREN; i++)
			sum += receive_number(down);
		urge_chan_free(down);
	}
	send_number(up, sum);
}

static void skynet(const struct bench_run *run)
{
	struct node root = { make_chan(), 0, LEAVES };

	struct bench_section section = bench_start();
	bench_check(urge_go(skynet_node, &root), "urge_go");
	int64_t sum = receive_number(root.up);
	bench_end(run, section, "skynet.1e6", LEAVES / 9.0 * 10, "ns/goroutine");
	if (sum != INT64_C(499999500000)) {
		fprintf(stderr, "skynet: sum %lld\n", (long long)sum);
		exit(1);
	}
	urge_chan_free(root.up);
}

static int ring_and_skynet(const struct bench_run *run)
{
	for (unsigned i = 0; i < run->reps; i++)
		ring(run);
	for (unsigned i = 0; i < run->reps; i++)
		skynet(run);
	return 0;
}

static const char *const figures[] = {
	BENCH_SECTION("ring.1000"),
	BENCH_SECTION("skynet.1e6"),
	NULL,
};

const struct workload ring_workload = {
	.name = "ring",
	.what = "a ring of 1000 goroutines, and skynet, a tree of 1,111,111",
	.procs = bench_procs_1_2,
	.figures = figures,
	.seconds = 60,
	.goroutine = ring_and_skynet,
};
