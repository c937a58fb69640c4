/* SPDX-License-Identifier: MIT */
/*
 * Goroutines that wait on channels for ever, in random graphs: channels are on the stacks of
 * goroutines that live or wait themselves, in globals, on the heap, in a packed struct, in each
 * other's buffers. What urge_dump says of each goroutine is compared with what follows from the
 * graph.
 *
 * Usage: leaks [graphs, default 100], with URGEDEBUG=leaks=1; SEED
 */
#include "tests/programs/check.h"

#include <sys/mman.h>
#include <urge.h>

enum { CHANS_MAX = 24, HELD = 3, NODES_MAX = 40, TEXT = 1 << 20 };

/* A goroutine, by numbers of channels; -1 is none. */
struct node {
	int on[2];      /* it waits on these; -1, -1: it sleeps */
	bool timed;     /* with a deadline */
	int held[HELD]; /* these are on its stack, too */
};

/* A channel whose number is odd is full, and goroutines wait to send; others are empty. */
static struct {
	int nchans, nnodes;
	struct node node[NODES_MAX];
	bool in_global[CHANS_MAX], on_heap[CHANS_MAX], packed[CHANS_MAX];
	int inside[CHANS_MAX]; /* the buffer of an odd channel has this one */
	bool live[NODES_MAX], reached[CHANS_MAX];
} graph;

/* Where goroutines find channels: inverted, so that these are no pointers. */
static uintptr_t secret[CHANS_MAX];

/* Volatile: they are written only. */
static urge_chan *volatile global[CHANS_MAX];
static urge_chan *volatile *heap;
static volatile struct __attribute__((packed)) {
	char odd;
	urge_chan *chan[CHANS_MAX];
} packed;

static urge_waitgroup ready;
static uint64_t seed, goid[NODES_MAX];
static uint32_t wrong, missed, found;
static char text[TEXT];

static int below(int n)
{
	return (int)(random_next(&seed) % (uint64_t)n);
}

static urge_chan *chan_of(int i)
{
	return i < 0 ? NULL : (urge_chan *)~secret[i];
}

/* ---- the graph ----------------------------------------------------------------------------- */

/*
 * With many edges and roots few are leaked; the numbers are drawn too, so there is some of
 * everything.
 */
static void draw(void)
{
	int edges = below(60), roots = below(30);

	memset(&graph, 0, sizeof(graph));
	graph.nchans = 2 + below(CHANS_MAX - 1);
	graph.nnodes = 1 + below(NODES_MAX);
	for (int i = 0; i < graph.nnodes; i++) {
		struct node *n = &graph.node[i];
		bool sleeps = below(100) < roots;

		n->on[0] = sleeps ? -1 : below(graph.nchans);
		n->on[1] = sleeps || below(3) ? -1 : below(graph.nchans);
		n->timed = below(100) < roots;
		for (int h = 0; h < HELD; h++)
			n->held[h] = below(100) < edges ? below(graph.nchans) : -1;
	}
	for (int i = 0; i < graph.nchans; i++) {
		graph.in_global[i] = below(300) < roots;
		graph.on_heap[i] = below(300) < roots;
		graph.packed[i] = below(300) < roots;
		graph.inside[i] = i % 2 && below(100) < edges ? below(graph.nchans) : -1;
	}
}

static bool reach(int chan)
{
	if (chan < 0 || graph.reached[chan])
		return false;
	graph.reached[chan] = true;
	return true;
}

static bool is_live(const struct node *n)
{
	return n->timed || n->on[0] < 0 || graph.reached[n->on[0]] ||
	       (n->on[1] >= 0 && graph.reached[n->on[1]]);
}

/* Whether anybody waits there without a deadline: others are memory like any. */
static bool is_suspect(int chan)
{
	for (int i = 0; i < graph.nnodes; i++)
		if (!graph.node[i].timed &&
		    (graph.node[i].on[0] == chan || graph.node[i].on[1] == chan))
			return true;
	return false;
}

/* What follows: reached, live. */
static void solve(void)
{
	bool news = true;

	for (int i = 0; i < graph.nchans; i++)
		graph.reached[i] =
			graph.in_global[i] || graph.on_heap[i] || graph.packed[i] || !is_suspect(i);
	while (news) {
		news = false;
		for (int i = 0; i < graph.nnodes; i++) {
			const struct node *n = &graph.node[i];

			graph.live[i] = is_live(n);
			for (int h = 0; h < HELD && graph.live[i]; h++)
				news |= reach(n->held[h]);
			for (int k = 0; k < 2 && graph.live[i]; k++)
				news |= reach(n->on[k]);
		}
		for (int i = 0; i < graph.nchans; i++)
			if (graph.reached[i])
				news |= reach(graph.inside[i]);
	}
}

/* ---- goroutines ---------------------------------------------------------------------------- */

static void node_main(void *arg)
{
	const struct node *n = &graph.node[(intptr_t)arg];
	int64_t deadline = n->timed ? urge_now() + 3600 * URGE_S : URGE_FOREVER;
	urge_chan *volatile held[HELD];
	struct urge_case cases[2];
	urge_chan *elem = NULL;

	goid[n - graph.node] = urge_goid();
	for (int i = 0; i < HELD; i++)
		held[i] = chan_of(n->held[i]);
	for (int i = 0; i < 2; i++)
		cases[i] = (struct urge_case){ .chan = chan_of(n->on[i]),
					       .op = n->on[i] % 2 ? URGE_SEND : URGE_RECV,
					       .elem = &elem };
	urge_waitgroup_done(&ready);
	if (n->on[0] < 0)
		urge_sleep(3600 * URGE_S);
	else if (n->on[1] >= 0)
		urge_select_until(cases, 2, deadline);
	else if (cases[0].op == URGE_SEND)
		urge_send_until(cases[0].chan, &elem, deadline);
	else
		urge_recv_until(cases[0].chan, &elem, deadline);
	for (int i = 0; i < HELD; i++)
		(void)held[i]; /* to here they are on the stack */
}

/* A goroutine, so that the pointers on its stack end with it. */
static void build(void *unused)
{
	(void)unused;
	for (int i = 0; i < graph.nchans; i++)
		secret[i] = ~(uintptr_t)urge_chan_make(sizeof(urge_chan *), i % 2);
	for (int i = 0; i < graph.nchans; i++) {
		urge_chan *inside = chan_of(graph.inside[i]);

		if (i % 2)
			CHECK(urge_try_send(chan_of(i), &inside) == 0, "a full channel");
	}
	for (int i = 0; i < CHANS_MAX; i++) {
		global[i] = graph.in_global[i] ? chan_of(i) : NULL;
		heap[i] = graph.on_heap[i] ? chan_of(i) : NULL;
		packed.chan[i] = graph.packed[i] ? chan_of(i) : NULL;
	}
	for (intptr_t i = 0; i < graph.nnodes; i++)
		CHECK(urge_go(node_main, (void *)i) == 0, "urge_go");
	urge_waitgroup_done(&ready);
}

static uint64_t runnable(void)
{
	struct urge_metric metric = { .name = "/sched/goroutines/runnable:goroutines" };

	CHECK(urge_metrics_read(&metric, 1) == 1, "the metric");
	return metric.value.u;
}

/* ---- the dump ------------------------------------------------------------------------------ */

static void dump(void)
{
	int fd = memfd_create("dump", 0);
	ssize_t n;

	urge_dump(fd);
	n = pread(fd, text, TEXT - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

static bool said_leaked(uint64_t id)
{
	char head[40];
	const char *at, *end;

	snprintf(head, sizeof(head), "\ngoroutine %llu [", (unsigned long long)id);
	at = strstr(text, head);
	if (!at) {
		fail("goroutine %llu is not in the dump", (unsigned long long)id);
		return false;
	}
	end = strchr(at + 1, '\n');
	at = strstr(at, "(leaked)");
	return at && at < end;
}

static int one_graph(void *unused)
{
	(void)unused;
	urge_gomaxprocs(1);
	draw();
	solve();
	urge_waitgroup_add(&ready, graph.nnodes + 1);
	urge_go(build, NULL);
	urge_waitgroup_wait(&ready);
	while (runnable() > 0)
		urge_yield();
	dump();
	CHECK(strstr(text, " leaked\n"), "no word of leaks: %.80s", text);
	for (int i = 0; i < graph.nnodes; i++) {
		bool leaked = said_leaked(goid[i]);

		found += leaked;
		wrong += leaked && graph.live[i];
		missed += !leaked && !graph.live[i];
		CHECK(!leaked || !graph.live[i], "goroutine %llu is not leaked",
		      (unsigned long long)goid[i]);
	}
	return 0;
}

/* In the freed memory are no pointers: the next graph's channels are where this one's were. */
static __attribute__((noinline)) void free_all(void)
{
	for (int i = 0; i < graph.nchans; i++) {
		urge_chan *c = chan_of(i);

		if (i % 2) {
			CHECK(urge_try_recv(c, NULL) == 0, "it was full");
			CHECK(urge_try_send(c, NULL) == 0, "it is empty");
		}
		urge_chan_free(c);
	}
}

/* Nor are there any left on the stack, where urge_main's frame will be. */
static __attribute__((noinline)) void wipe_stack(void)
{
	volatile char stack[4096];

	for (size_t i = 0; i < sizeof(stack); i++)
		stack[i] = 0;
}

int main(int argc, char **argv)
{
	int graphs = argc > 1 ? atoi(argv[1]) : 100;

	alarm(120); /* no watchdog: a thread of the program's own could reach everything */
	setvbuf(stdout, NULL, _IOLBF, 0);
	seed = random_seed();
	heap = calloc(CHANS_MAX, sizeof(urge_chan *));
	for (int i = 0; i < graphs; i++) {
		CHECK(urge_main(one_graph, NULL) == 0, "urge_main");
		free_all();
		wipe_stack();
		if (failures)
			break;
	}
	printf("%d graphs: %u goroutines leaked and listed, %u leaked and not listed, %u listed "
	       "wrongly\n",
	       graphs, found, missed, wrong);
	CHECK(found > (uint32_t)graphs, "there were hardly any");
	CHECK(missed * 4 <= found, "more than a quarter was not seen");
	free((void *)heap);
	if (failures)
		fputs(text, stdout);
	return finish();
}
