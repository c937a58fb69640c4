/* SPDX-License-Identifier: MIT */
#include "sched/latency.h"

#include "kernelshim/clock.h"
#include "sched/m.h"

void latency_mark(struct m *mp, struct g *gp, enum trace_kind kind)
{
	bool traced = tracing();

	mp->unmeasured = 0;
	if (!traced || mrand(mp) % LATENCY_PERIOD == 0) {
		gp->waitreason |= LATENCY_MARK;
		gp->waitsince = nanotime();
		if (!traced)
			mp->unmeasured =
				LATENCY_PERIOD / 2 + (uint32_t)gp->waitsince % LATENCY_PERIOD;
	}
	if (mp->p)
		trace_runnable(mp, gp, kind);
}
