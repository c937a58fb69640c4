/* SPDX-License-Identifier: MIT */
/*
 * FUTEX_WAIT_BITSET rather than FUTEX_WAIT: its time-out is absolute, so that a wait that is
 * interrupted and begun again does not grow, and no clock is read to begin one.
 */
#include "kernelshim/futex.h"
#include "kernelshim/sys.h"
#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <time.h>

int futex_wait(const uint32_t *addr, uint32_t val, int64_t deadline_ns)
{
	struct timespec ts = {
		.tv_sec = deadline_ns / 1000000000,
		.tv_nsec = deadline_ns % 1000000000,
	};
	const struct timespec *until = deadline_ns < 0 || deadline_ns == INT64_MAX ? NULL : &ts;
	long err = sys_call6(SYS_futex, sys_ptr(addr), FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, val,
			     sys_ptr(until), 0, FUTEX_BITSET_MATCH_ANY);

	return err == -EAGAIN ? 0 : (int)err;
}

int futex_wake(const uint32_t *addr, int n)
{
	return (int)sys_call3(SYS_futex, sys_ptr(addr), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n);
}
