/* SPDX-License-Identifier: MIT */
#include "kernelshim/procfs.h"
#include "kernelshim/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* /proc/self/status of a process with a thousand groups, which come before the Vm lines. */
#define STATUS_SIZE 8192

static const char *procfs_root = "";

void procfs_set_root(const char *root)
{
	procfs_root = root ? root : "";
}

int procfs_open(const char *path)
{
	char full[1024];
	size_t root_len = strlen(procfs_root);
	size_t path_len = strlen(path);

	if (root_len + path_len >= sizeof(full))
		return -ENAMETOOLONG;
	memcpy(full, procfs_root, root_len + 1);
	memcpy(full + root_len, path, path_len + 1);
	return (int)sys_call4(SYS_openat, AT_FDCWD, sys_ptr(full), O_RDONLY | O_CLOEXEC, 0);
}

ssize_t procfs_read(const char *path, char *buf, size_t n)
{
	size_t have = 0;
	long got;
	int fd = procfs_open(path);

	if (fd < 0)
		return fd;
	do {
		got = sys_call3(SYS_read, fd, sys_ptr(buf + have), (long)(n - 1 - have));
		if (got > 0)
			have += (size_t)got;
	} while (got == -EINTR || (got > 0 && have < n - 1));
	sys_call1(SYS_close, fd);
	if (got < 0)
		return got;
	buf[have] = '\0';
	return (ssize_t)have;
}

/* Reads the digits at *s and moves *s behind them; -EINVAL when there are none. */
static int parse_u64(const char **s, uint64_t *value)
{
	const char *p = *s;
	uint64_t sum = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(*p - '0'), &sum))
			return -ERANGE;
	}
	*s = p;
	*value = sum;
	return 0;
}

int procfs_read_u64(const char *path, uint64_t *value)
{
	char buf[64];
	const char *s = buf;
	uint64_t parsed;
	ssize_t len = procfs_read(path, buf, sizeof(buf));
	int err;

	if (len < 0)
		return (int)len;
	err = parse_u64(&s, &parsed);
	if (err)
		return err;
	if (strcmp(s, "\n") != 0 && *s != '\0')
		return -EINVAL;
	*value = parsed;
	return 0;
}

int64_t procfs_status_kb(const char *key)
{
	char buf[STATUS_SIZE];
	size_t key_len = strlen(key);
	uint64_t kb;
	ssize_t len = procfs_read("/proc/self/status", buf, sizeof(buf));

	if (len < 0)
		return len;
	for (const char *line = buf; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, key_len) != 0 || line[key_len] != ':')
			continue;
		line += key_len + 1;
		line += strspn(line, " \t");
		if (parse_u64(&line, &kb) != 0 || strncmp(line, " kB", 3) != 0)
			return -EINVAL;
		return (int64_t)kb;
	}
	return -ENOENT;
}
