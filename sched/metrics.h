/* SPDX-License-Identifier: MIT */
/*
 * Metrics by Go's names (runtime/metrics): one table, from which urge_metrics_read answers and the
 * manual page is checked. What Go has and C has not (its heap, its collector) is not here.
 *
 * Go knows no memory nodes, and its names have no parameters. Here a * in the table stands for the
 * kernel's number of a node, and as it is it means all nodes together: so the list of names is the
 * same on all machines, and each of them can be read.
 *
 *	X(name, kind, function that reads it)
 */
#ifndef URGE_SCHED_METRICS_H
#define URGE_SCHED_METRICS_H

#define METRICS(X)                                                                                 \
	X("/sched/gomaxprocs:threads", URGE_METRIC_UINT64, read_gomaxprocs)                        \
	X("/sched/goroutines:goroutines", URGE_METRIC_UINT64, read_goroutines)                     \
	X("/sched/goroutines-created:goroutines", URGE_METRIC_UINT64, read_created)                \
	X("/sched/goroutines/running:goroutines", URGE_METRIC_UINT64, read_running)                \
	X("/sched/goroutines/runnable:goroutines", URGE_METRIC_UINT64, read_runnable)              \
	X("/sched/goroutines/waiting:goroutines", URGE_METRIC_UINT64, read_waiting)                \
	X("/sched/goroutines/not-in-go:goroutines", URGE_METRIC_UINT64, read_not_in_go)            \
	X("/sched/latencies:seconds", URGE_METRIC_HISTOGRAM, read_latencies)                       \
	X("/sched/nodes/*/gomaxprocs:threads", URGE_METRIC_UINT64, read_node_gomaxprocs)           \
	X("/sched/nodes/*/goroutines/runnable:goroutines", URGE_METRIC_UINT64, read_node_runnable) \
	X("/sched/nodes/*/migrations:threads", URGE_METRIC_UINT64, read_node_migrations)           \
	X("/sched/nodes/*/stacks/local:pages", URGE_METRIC_UINT64, read_node_stacks_local)         \
	X("/sched/nodes/*/stacks/sampled:pages", URGE_METRIC_UINT64, read_node_stacks)             \
	X("/sched/nodes/*/steals/local:goroutines", URGE_METRIC_UINT64, read_node_steals_local)    \
	X("/sched/nodes/*/steals/remote:goroutines", URGE_METRIC_UINT64, read_node_steals_remote)  \
	X("/sched/pauses/stopping/other:seconds", URGE_METRIC_HISTOGRAM, read_stopping)            \
	X("/sched/pauses/total/other:seconds", URGE_METRIC_HISTOGRAM, read_pauses)                 \
	X("/sched/preempt/deferred:seconds", URGE_METRIC_HISTOGRAM, read_preempt_deferred)         \
	X("/sched/preempt/injected:seconds", URGE_METRIC_HISTOGRAM, read_preempt_injected)         \
	X("/sched/preempt/parked:seconds", URGE_METRIC_HISTOGRAM, read_preempt_parked)             \
	X("/sched/threads/total:threads", URGE_METRIC_UINT64, read_threads)

#endif
