/* SPDX-License-Identifier: MIT */
#include "kernelshim/thread.h"
#include "kernelshim/procfs.h"
#include "kernelshim/sys.h"
#include <errno.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

/* The bounds that the kernel's scheduler puts on a slice. */
#define SLICE_MIN_NS 100000
#define SLICE_MAX_NS 100000000

/* The system calls and RLIMIT_NICE count nice values from 40, the lowest, down to 1. */
enum { NICE_LOWEST = -20, NICE_BASE = 20, NICE_LOWEST_LIMIT = 40 };

/* More CPUs than any kernel is built for (8192 on x86-64): the mask is large enough at once. */
#define CPU_MASK_BITS 32768

/* Bytes of the kernel's signal set, which has no room for libc's 1024 signals. */
#define KERNEL_SIGSET_SIZE sizeof(uint64_t)

int thread_gettid(void)
{
	return (int)sys_call0(SYS_gettid);
}

int thread_set_timer_slack(uint64_t ns)
{
	/* 0 would mean "back to the inherited slack", which is the opposite of the wish */
	return (int)sys_call2(SYS_prctl, PR_SET_TIMERSLACK, ns ? (long)ns : 1);
}

static long get_sched_attr(struct sched_attr *attr)
{
	return sys_call4(SYS_sched_getattr, 0, sys_ptr(attr), sizeof(*attr), 0);
}

/*
 * Everything but the slice is handed back as it was read. Older kernels accept a runtime for
 * SCHED_OTHER and forget it, hence the second look.
 */
int thread_set_short_slice(uint64_t ns)
{
	struct sched_attr attr = { 0 };
	long err = get_sched_attr(&attr);

	if (err)
		return (int)err;
	if (attr.sched_policy != SCHED_NORMAL && attr.sched_policy != SCHED_BATCH)
		return -EOPNOTSUPP;
	if (ns < SLICE_MIN_NS)
		ns = SLICE_MIN_NS;
	if (ns > SLICE_MAX_NS)
		ns = SLICE_MAX_NS;
	attr.sched_runtime = ns;
	err = sys_call3(SYS_sched_setattr, 0, sys_ptr(&attr), 0);
	if (!err)
		err = get_sched_attr(&attr);
	if (err)
		return (int)err;
	return attr.sched_runtime == ns ? 0 : -EOPNOTSUPP;
}

/* The lowest nice value that the process may set without a privilege. */
static int nice_limit(void)
{
	struct rlimit limit = { 0 };

	sys_call4(SYS_prlimit64, 0, RLIMIT_NICE, 0, sys_ptr(&limit));
	return limit.rlim_cur < NICE_LOWEST_LIMIT ? NICE_BASE - (int)limit.rlim_cur : NICE_LOWEST;
}

int thread_lower_nice(int by)
{
	int nice = NICE_BASE - (int)sys_call2(SYS_getpriority, PRIO_PROCESS, 0);
	int lower = nice - by > NICE_LOWEST ? nice - by : NICE_LOWEST;
	int err = (int)sys_call3(SYS_setpriority, PRIO_PROCESS, 0, lower);

	if (err && nice_limit() < nice)
		err = (int)sys_call3(SYS_setpriority, PRIO_PROCESS, 0, nice_limit());
	return err;
}

void thread_set_name(const char *name)
{
	sys_call2(SYS_prctl, PR_SET_NAME, sys_ptr(name));
}

uint32_t thread_cpu(void)
{
	uint32_t cpu = 0;

	sys_call3(SYS_getcpu, sys_ptr(&cpu), 0, 0);
	return cpu;
}

int thread_affinity_count(void)
{
	uint64_t mask[CPU_MASK_BITS / 64];
	long bytes = sys_call3(SYS_sched_getaffinity, 0, sizeof(mask), sys_ptr(mask));
	int cpus = 0;

	if (bytes < 0)
		return (int)bytes;
	for (long i = 0; i < bytes / 8; i++)
		cpus += __builtin_popcountll(mask[i]);
	return cpus;
}

int thread_affinity(uint64_t *mask, size_t size)
{
	long bytes = sys_call3(SYS_sched_getaffinity, 0, (long)size, sys_ptr(mask));

	return bytes < 0 ? (int)bytes : 0;
}

int thread_set_affinity(const uint64_t *mask, size_t size)
{
	return (int)sys_call3(SYS_sched_setaffinity, 0, (long)size, sys_ptr(mask));
}

int thread_tgkill(int tid, int sig)
{
	return (int)sys_call3(SYS_tgkill, sys_call0(SYS_getpid), tid, sig);
}

/*
 * SI_QUEUE it has to be: for another thread the kernel refuses every si_code that is not negative,
 * and SI_TKILL, as a forgery.
 */
int thread_sigqueue(int tid, int sig, uint64_t value)
{
	siginfo_t info = { 0 };
	long pid = sys_call0(SYS_getpid);

	info.si_signo = sig;
	info.si_code = SI_QUEUE;
	info.si_pid = (pid_t)pid;
	info.si_uid = (uid_t)sys_call0(SYS_getuid);
	info.si_value.sival_ptr = (void *)(uintptr_t)value;
	return (int)sys_call4(SYS_rt_tgsigqueueinfo, pid, tid, sig, sys_ptr(&info));
}

int thread_sigmask(int how, const uint64_t *set, uint64_t *old)
{
	return (int)sys_call4(SYS_rt_sigprocmask, how, sys_ptr(set), sys_ptr(old),
			      KERNEL_SIGSET_SIZE);
}

/*
 * Not the entries of /proc/self/task: the kernel ends that listing early when the thread that it
 * stands at ends. The number in stat is exact.
 */
int thread_count(void)
{
	enum { NAME_FIELD = 2, THREADS_FIELD = 20 };
	char buf[1024];
	ssize_t len = procfs_read("/proc/self/stat", buf, sizeof(buf));
	const char *s;
	int threads = 0;

	if (len < 0)
		return (int)len;
	s = strrchr(buf, ')'); /* the name may hold blanks and brackets */
	for (int field = NAME_FIELD; s && field < THREADS_FIELD; field++)
		s = strchr(s + 1, ' ');
	if (!s)
		return -EINVAL;
	while (*++s >= '0' && *s <= '9')
		threads = threads * 10 + (*s - '0');
	return threads;
}

bool thread_runnable(int tid)
{
	static const char before[] = "/proc/self/task/", after[] = "/stat";
	char path[sizeof(before) + 10 + sizeof(after)], buf[1024];
	char digits[10];
	char *to = path;
	const char *s;
	int n = 0;

	do
		digits[n++] = (char)('0' + tid % 10);
	while ((tid /= 10) > 0);
	for (s = before; *s; s++)
		*to++ = *s;
	while (n > 0)
		*to++ = digits[--n];
	for (s = after; *s; s++)
		*to++ = *s;
	*to = '\0';
	if (procfs_read(path, buf, sizeof(buf)) < 0)
		return false;
	s = strrchr(buf, ')');
	return s && s[1] == ' ' && s[2] == 'R';
}
