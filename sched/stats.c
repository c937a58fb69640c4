/* SPDX-License-Identifier: MIT */
#include "sched/stats.h"

#include "preempt/preempt.h"
#include "sched/allp.h"
#include "sched/g.h"
#include "sched/m.h"
#include "sched/urge.h"

#include <string.h>

_Static_assert((int)LEFT_N <= (int)URGE_PREEMPT_REASONS_MAX, "room in struct urge_stats");

void urge_stats_read(struct urge_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->goroutines = gcount();
	stats->threads = mthreads();
	stats->spawned = load_rlx_u64(&sched.spawned_outside);
	for_each_p(pp) {
		const struct counters *c = &pp->count;

		stats->spawned += load_rlx_u64(&c->spawned);
		stats->switches += load_rlx_u64(&pp->schedtick) + load_rlx_u64(&pp->inherits);
		stats->steals += load_rlx_u64(&c->steals);
		stats->parks += load_rlx_u64(&c->parks);
		stats->preempt_deferred += load_rlx_u64(&c->deferred);
	}
	stats->preempt_requests = load_rlx_u64(&preempt_counters.requests);
	stats->preempt_injected = load_rlx_u64(&preempt_counters.injected);
	stats->preempt_parked = load_rlx_u64(&preempt_counters.parked);
	stats->preempt_revoked = load_rlx_u64(&preempt_counters.revoked);
	stats->preempt_eintr = load_rlx_u64(&preempt_counters.interrupted);
	for (int i = 0; i < LEFT_N; i++)
		stats->preempt_left[i] = load_rlx_u64(&preempt_counters.left[i]);
}

const char *urge_preempt_reason(unsigned i)
{
	static const char *const words[] = {
#define X(name, words) words,
		PREEMPT_REASONS(X)
#undef X
	};

	return i < LEFT_N ? words[i] : NULL;
}
