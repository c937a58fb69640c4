/* SPDX-License-Identifier: MIT */
#include "kernelshim/fault.h"

/* Upper half: how many calls still succeed; lower half: how many then fail. */
static struct atomic_u64 armed[FAULT_POINTS_N];

void fault_arm(enum fault_point point, uint32_t skip, uint32_t times)
{
	xchg_u64(&armed[point], (uint64_t)skip << 32 | times);
}

bool fault_fires(enum fault_point point)
{
	for (;;) {
		uint64_t state = load_rlx_u64(&armed[point]);
		uint64_t skip = state >> 32, times = state & UINT32_MAX;

		if (times == 0)
			return false;
		if (cas_u64(&armed[point], state, skip ? state - (UINT64_C(1) << 32) : state - 1))
			return skip == 0;
	}
}
