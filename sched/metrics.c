/* SPDX-License-Identifier: MIT */
#include "sched/metrics.h"

#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/g.h"
#include "sched/lockedm.h"
#include "sched/m.h"
#include "sched/nodestats.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/stats.h"
#include "sched/urge.h"

#include <errno.h>
#include <math.h>
#include <string.h>

_Static_assert((int)TIMEHIST_BUCKETS == (int)URGE_HISTOGRAM_BUCKETS, "urge.h says how many");

/* ---- goroutines by state ------------------------------------------------------------------- */

static void count_in_call(struct m *mp, void *n)
{
	if (__atomic_load_n(&mp->incall, __ATOMIC_RELAXED))
		++*(uint64_t *)n;
}

static uint64_t not_in_go(void)
{
	uint64_t n = 0;

	forEachM(count_in_call, &n);
	return n;
}

static uint64_t running(void)
{
	uint64_t n = 0;

	for_each_p(pp) {
		const struct m *mp = load_rlx_ptr(&pp->m);

		if (load_rlx_u32(&pp->status) == Prunning && mp &&
		    __atomic_load_n(&mp->curg, __ATOMIC_RELAXED))
			n++;
	}
	return n;
}

static uint64_t runnable(void)
{
	uint64_t n = globrunqsize() + parkedsize();

	for_each_p(pp)
		n += runqlen(pp);
	return n;
}

/* What is in no other state; the parts are not read at one instant. */
static uint64_t waiting(void)
{
	uint64_t others = running() + runnable() + not_in_go();
	uint64_t all = gcount();

	return all > others ? all - others : 0;
}

static uint64_t created(void)
{
	uint64_t n = load_rlx_u64(&sched.spawned_outside);

	for_each_p(pp)
		n += load_rlx_u64(&pp->count.spawned);
	return n;
}

/* ---- one function for each metric ---------------------------------------------------------- */

static void add_histogram(struct urge_histogram *to, const struct timehist *h)
{
	for (unsigned i = 0; to && i < TIMEHIST_BUCKETS; i++)
		to->counts[i] += load_rlx_u64(&h->count[i]);
}

static void read_latencies(struct urge_metric *metric)
{
	for_each_p(pp)
		add_histogram(metric->value.h, &pp->latency);
}

static void read_stopping(struct urge_metric *metric)
{
	add_histogram(metric->value.h, &stw_times.stopping);
}

static void read_pauses(struct urge_metric *metric)
{
	add_histogram(metric->value.h, &stw_times.total);
}

static void read_preempt_deferred(struct urge_metric *metric)
{
	add_histogram(metric->value.h, &preempt_latency[WAY_DEFERRED]);
}

static void read_preempt_injected(struct urge_metric *metric)
{
	add_histogram(metric->value.h, &preempt_latency[WAY_INJECTED]);
}

static void read_preempt_parked(struct urge_metric *metric)
{
	add_histogram(metric->value.h, &preempt_latency[WAY_PARKED]);
}

#define READ(name, expression)                                                                     \
	static void read_##name(struct urge_metric *metric)                                        \
	{                                                                                          \
		metric->value.u = (expression);                                                    \
	}
READ(gomaxprocs, (uint64_t)load_rlx_i32(&sched.gomaxprocs))
READ(goroutines, gcount())
READ(created, created())
READ(running, running())
READ(runnable, runnable())
READ(waiting, waiting())
READ(not_in_go, not_in_go())
READ(threads, mthreads())

/* ---- by memory node ------------------------------------------------------------------------ */

static const char node_prefix[] = "/sched/nodes/";

/*
 * What stands for the * of a name in the table: a number or a *. Returns where the name goes on,
 * NULL if it is neither.
 */
static const char *parse_node(const char *at, int *number)
{
	const char *digits = at;

	*number = NODES_ALL;
	if (*at == '*')
		return at + 1;
	for (*number = 0; *at >= '0' && *at <= '9' && at - digits < 6; at++)
		*number = *number * 10 + (*at - '0');
	return at > digits ? at : NULL;
}

static void read_node(struct urge_metric *metric, enum node_figures figures,
		      struct urge_node_stats *stats)
{
	int number;

	parse_node(metric->name + strlen(node_prefix), &number);
	if (!node_total(number, figures, stats) && number != NODES_ALL)
		metric->kind = URGE_METRIC_BAD;
}

#define READ_NODE(name, figures, field)                                                            \
	static void read_node_##name(struct urge_metric *metric)                                   \
	{                                                                                          \
		struct urge_node_stats stats;                                                      \
                                                                                                   \
		read_node(metric, figures, &stats);                                                \
		if (metric->kind != URGE_METRIC_BAD)                                               \
			metric->value.u = stats.field;                                             \
	}
READ_NODE(gomaxprocs, NODE_COUNTERS, procs)
READ_NODE(runnable, NODE_COUNTERS, queued)
READ_NODE(migrations, NODE_COUNTERS, migrations)
READ_NODE(stacks, NODE_PAGES, stack_pages)
READ_NODE(stacks_local, NODE_PAGES, stack_pages_local)
READ_NODE(steals_local, NODE_COUNTERS, steals_local)
READ_NODE(steals_remote, NODE_COUNTERS, steals_remote)

/* ---- reading ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int kind;
	void (*read)(struct urge_metric *metric);
} metrics[] = {
#define X(name, kind, read) { name, kind, read },
	METRICS(X)
#undef X
};

static bool is_named(const char *in_table, const char *name)
{
	size_t same = strlen(node_prefix);
	int number;

	if (strncmp(in_table, node_prefix, same) != 0 || strncmp(name, node_prefix, same) != 0)
		return strcmp(in_table, name) == 0;
	name = parse_node(name + same, &number);
	return name && strcmp(in_table + same + 1, name) == 0;
}

static void histogram_init(struct urge_histogram *h)
{
	memset(h->counts, 0, sizeof(h->counts));
	h->bounds[0] = 0;
	for (unsigned i = 1; i < TIMEHIST_BUCKETS; i++)
		h->bounds[i] = (double)timehist_lower(i) / 1e9;
	h->bounds[TIMEHIST_BUCKETS] = HUGE_VAL;
}

static bool read_one(struct urge_metric *metric)
{
	metric->kind = URGE_METRIC_BAD;
	for (unsigned i = 0; metric->name && i < ARRAY_SIZE(metrics); i++) {
		if (!is_named(metrics[i].name, metric->name))
			continue;
		metric->kind = metrics[i].kind;
		if (metric->kind == URGE_METRIC_HISTOGRAM && metric->value.h)
			histogram_init(metric->value.h);
		metrics[i].read(metric);
		break;
	}
	return metric->kind != URGE_METRIC_BAD;
}

int urge_metrics_read(struct urge_metric *metric, size_t n)
{
	int known = 0;

	if (!metric && n > 0)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		known += read_one(&metric[i]);
	return known;
}

const char *urge_metric_name(unsigned i)
{
	return i < ARRAY_SIZE(metrics) ? metrics[i].name : NULL;
}
