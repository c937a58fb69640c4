/* SPDX-License-Identifier: MIT */
/*
 * nanotime goes through libc, which knows the vDSO; a clock that exists can't fail, so errno stays.
 * The CPU clocks are system calls anyway, and may fail: they are made without libc.
 */
#include "kernelshim/clock.h"
#include "kernelshim/sys.h"
#include <errno.h>
#include <time.h>

/* The clock id of a thread: its tid inverted, above "of one thread" (4) and "time run" (2). */
#define THREAD_CPUCLOCK(tid) ((clockid_t)((~(uint32_t)(tid) << 3) | 4 | 2))

static int64_t timespec_ns(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

static int64_t cpu_clock(clockid_t id)
{
	struct timespec ts;
	long err = sys_call2(SYS_clock_gettime, id, sys_ptr(&ts));

	return err ? err : timespec_ns(&ts);
}

int64_t nanotime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return timespec_ns(&ts);
}

int64_t thread_cputime(int tid)
{
	/* tid 0 would be the calling thread; a negative one would name the clock of something else */
	int64_t ns = tid > 0 ? cpu_clock(THREAD_CPUCLOCK(tid)) : -EINVAL;

	return ns == -EINVAL ? -ESRCH : ns;
}

int64_t process_cputime(void)
{
	return cpu_clock(CLOCK_PROCESS_CPUTIME_ID);
}
