/* SPDX-License-Identifier: MIT */
/*
 * The default of GOMAXPROCS: as many as there are CPUs that the process may use, but no more than
 * its quota of CPU time, rounded up, pays for; two of them at least, if there are two CPUs, so that
 * a goroutine that computes does not delay all others. Both change while a program runs (cpuset,
 * taskset -a, an orchestrator that resizes a container), so sysmon looks again: at most once a
 * second, and only while somebody is busy: an idle process is not woken for it.
 *
 *	the first P becomes busy		sysmon, about to sleep
 *	npidle--	(a full barrier)	until = its deadline
 *	until later than the next look?		mb_rare
 *	then arm sysmon's timer			not all idle? then until the next look at most
 *
 * A number named by the program (urge_gomaxprocs) or the environment (GOMAXPROCS) ends this.
 *
 * The CPUs are those of sysmon's own thread: Ms may be bound to nodes.
 */
#include "sched/maxprocs.h"

#include "kernelshim/cgroup.h"
#include "kernelshim/clock.h"
#include "kernelshim/thread.h"
#include "sched/autoprocs.h"
#include "sched/env.h"
#include "sched/lock.h"
#include "sched/procresize.h"
#include "sched/runtime2.h"
#include "sched/sysmon.h"

struct atomic_u32 maxprocs_mode;
int64_t maxprocs_period = INT64_C(1000000000);
int (*maxprocs_cpus)(void) = thread_affinity_count;

static struct cgroup_mount cgroup; /* constant after boot */
static struct atomic_i64 next;     /* sysmon writes: the next look */
static int low;                    /* sysmon: see maxprocs_settle */

int maxprocs_granted(void)
{
	int cpus = maxprocs_cpus(), quota = cgroup_cpus(&cgroup);

	quota = quota < 2 ? 2 : quota;
	cpus = quota < cpus ? quota : cpus;
	cpus = cpus < CONFIG_MAX_PROCS ? cpus : CONFIG_MAX_PROCS;
	return cpus < 1 ? 1 : cpus;
}

int maxprocs_init(void)
{
	int n = env_gomaxprocs();
	bool fixed = n > 0;

	cgroup_find(&cgroup);
	if (!fixed)
		n = maxprocs_granted();
	store_rlx_u32(&maxprocs_mode,
		      fixed || !debugvars.updatemaxprocs ? MAXPROCS_FIXED : MAXPROCS_SYSTEM);
	store_rlx_i64(&next, nanotime() + maxprocs_period);
	low = 0;
	return n;
}

int maxprocs_settle(int current, int granted, int *former)
{
	int before = *former;

	*former = granted < current ? granted : 0;
	if (granted >= current)
		return granted;
	if (before == 0)
		return current;
	return granted > before ? granted : before;
}

static bool all_idle(void)
{
	return load_rlx_u32(&sched.npidle) >= (uint32_t)load_rlx_i32(&sched.gomaxprocs);
}

static void look(void)
{
	int current = load_rlx_i32(&sched.gomaxprocs);
	int n = maxprocs_settle(current, maxprocs_granted(), &low);

	if (n != current) {
		procresize(n, MAXPROCS_SYSTEM);
		low = 0;
	}
}

int64_t maxprocs_tick(int64_t now)
{
	switch (load_rlx_u32(&maxprocs_mode)) {
	case MAXPROCS_SYSTEM:
		if (now >= load_rlx_i64(&next)) {
			look();
			store_rlx_i64(&next, now + maxprocs_period);
		}
		break;
	case MAXPROCS_AUTO:
		if (now >= load_rlx_i64(&next))
			store_rlx_i64(&next, autoprocs_look(now));
		break;
	default:
		break;
	}
	return maxprocs_due();
}

int64_t maxprocs_due(void)
{
	if (load_rlx_u32(&maxprocs_mode) == MAXPROCS_FIXED || all_idle())
		return INT64_MAX;
	return load_rlx_i64(&next);
}

void maxprocs_busy(void)
{
	assert_held(&sched.lock);
	if (load_rlx_u32(&maxprocs_mode) != MAXPROCS_FIXED)
		waitpoint_lower(&sysmon_point, load_rlx_i64(&next));
}
