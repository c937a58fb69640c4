/* SPDX-License-Identifier: MIT */
#define URGE_KEEP_ERRNO
#include "sched/tls.h"

#include <errno.h>

__thread struct m *urge_tls_m;

noinline void setm(struct m *mp)
{
	urge_tls_m = mp;
}

noinline const void *urge_tls_address(void)
{
	return &urge_tls_m;
}

size_t urge_tls_size(void)
{
	return sizeof(urge_tls_m);
}

noinline int errno_load(void)
{
	return errno;
}
