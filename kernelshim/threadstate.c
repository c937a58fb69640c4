/* SPDX-License-Identifier: MIT */
/*
 * A file that is kept open costs one system call a look instead of three. A program may close
 * descriptors that it does not know (closefrom), and open others that get the same numbers: so ours
 * are high ones, nothing is believed that does not look like this file, and after a failure or
 * before it is closed a descriptor's identity is compared.
 */
#include "kernelshim/threadstate.h"
#include "kernelshim/procfs.h"
#include "kernelshim/sys.h"
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES = 32, LOWEST_FD = 512 };

static struct file {
	int tid; /* 0: unused */
	int fd;
	uint64_t dev, ino;
} files[FILES];
static unsigned next_victim;

static bool identity(int fd, uint64_t *dev, uint64_t *ino)
{
	struct stat st;

	if (sys_call2(SYS_fstat, fd, sys_ptr(&st)) != 0)
		return false;
	*dev = st.st_dev;
	*ino = st.st_ino;
	return true;
}

static void forget(struct file *f)
{
	uint64_t dev, ino;

	if (f->tid && identity(f->fd, &dev, &ino) && dev == f->dev && ino == f->ino)
		sys_call1(SYS_close, f->fd);
	f->tid = 0;
}

/* /proc/self/task/TID/syscall, at a number that programs rarely use. */
static int open_of(int tid)
{
	static const char before[] = "/proc/self/task/", after[] = "/syscall";
	char path[sizeof(before) + 10 + sizeof(after)], digits[10];
	char *to = path;
	int n = 0, fd;
	long high;

	do
		digits[n++] = (char)('0' + tid % 10);
	while ((tid /= 10) > 0);
	memcpy(to, before, sizeof(before) - 1);
	to += sizeof(before) - 1;
	while (n > 0)
		*to++ = digits[--n];
	memcpy(to, after, sizeof(after));
	fd = procfs_open(path);
	if (fd < 0 || fd >= LOWEST_FD)
		return fd;
	high = sys_call3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, LOWEST_FD);
	if (high < 0) /* RLIMIT_NOFILE */
		return fd;
	sys_call1(SYS_close, fd);
	return (int)high;
}

static struct file *file_of(int tid)
{
	struct file *f;

	for (f = files; f < files + FILES; f++)
		if (f->tid == tid)
			return f;
	for (f = files; f < files + FILES && f->tid; f++)
		;
	if (f == files + FILES) {
		f = &files[next_victim++ % FILES];
		forget(f);
	}
	f->fd = open_of(tid);
	if (f->fd < 0)
		return NULL;
	if (!identity(f->fd, &f->dev, &f->ino)) {
		sys_call1(SYS_close, f->fd);
		return NULL;
	}
	f->tid = tid;
	return f;
}

/* "running", or the number of a call and more: "35 0x7f... 0x...", "-1 0x... 0x...". */
static enum thread_state parse(const char *text, long n, long *call)
{
	long sign = 1, value = 0;
	const char *s = text;

	if (n >= 7 && !memcmp(text, "running", 7))
		return THREAD_RUNS;
	if (n > 0 && *s == '-') {
		sign = -1;
		s++;
	}
	if (s >= text + n || *s < '0' || *s > '9')
		return THREAD_UNKNOWN;
	while (s < text + n && *s >= '0' && *s <= '9')
		value = value * 10 + (*s++ - '0');
	if (n - (s - text) < 3 || memcmp(s, " 0x", 3) != 0)
		return THREAD_UNKNOWN;
	*call = sign * value;
	return THREAD_BLOCKED;
}

enum thread_state thread_state(int tid, long *call)
{
	*call = -1;
	for (int attempt = 0; attempt < 2; attempt++) {
		struct file *f = file_of(tid);
		enum thread_state state = THREAD_UNKNOWN;
		char text[192];
		long n;

		if (!f)
			return THREAD_UNKNOWN;
		n = sys_call4(SYS_pread64, f->fd, sys_ptr(text), sizeof(text), 0);
		if (n > 0)
			state = parse(text, n, call);
		if (state != THREAD_UNKNOWN)
			return state;
		forget(f); /* another thread had this number, or the descriptor is not ours */
	}
	return THREAD_UNKNOWN;
}

void thread_state_close(void)
{
	for (int i = 0; i < FILES; i++)
		forget(&files[i]);
}
