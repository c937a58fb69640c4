/* SPDX-License-Identifier: MIT */
/*
 * From a process to its quota:
 *
 *	/proc/self/mountinfo	36 25 0:31 /pod /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw
 *				the mount shows group /pod as its top
 *	/proc/self/cgroup	0::/pod/app
 *				so the group is /sys/fs/cgroup/app
 *	cpu.max			in app, then in the mount's top: "150000 100000" is one and a half CPUs
 *
 * With a cgroup namespace the kernel writes both paths as seen from its root. A group that is not
 * below what the mount shows ("/../other") is taken for the mount's top: more can't be seen.
 *
 * Rejected: to read the quota of the process's own group only, as Go does. systemd sets it on a
 * slice, Kubernetes on the pod: above.
 */
#include "kernelshim/cgroup.h"

#include "kernelshim/procfs.h"
#include "kernelshim/sys.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

enum { LINE_SIZE = 4096, FILE_SIZE = 128 };

/* ---- lines and words ----------------------------------------------------------------------- */

/* Lines of a file; those that do not fit are left out. */
struct lines {
	int fd;
	size_t have, at; /* bytes in buf, and where the next line begins */
	char buf[LINE_SIZE];
};

/* The next line, without its end; NULL after the last one. */
static char *next_line(struct lines *lines)
{
	bool skip = false;

	for (;;) {
		char *line = lines->buf + lines->at;
		char *end = memchr(line, '\n', lines->have - lines->at);
		long got;

		if (end) {
			*end = '\0';
			lines->at = (size_t)(end + 1 - lines->buf);
			if (!skip)
				return line;
			skip = false;
			continue;
		}
		lines->have -= lines->at;
		memmove(lines->buf, line, lines->have);
		lines->at = 0;
		if (lines->have == LINE_SIZE) {
			lines->have = 0;
			skip = true;
		}
		do
			got = sys_call3(SYS_read, lines->fd, sys_ptr(lines->buf + lines->have),
					(long)(LINE_SIZE - lines->have));
		while (got == -EINTR);
		if (got <= 0)
			return NULL;
		lines->have += (size_t)got;
	}
}

/* The next word of *s, ended by a blank or the line's end, which becomes a NUL. */
static char *next_word(char **s)
{
	char *word = *s;
	size_t n = strcspn(word, " ");

	*s = word + n + (word[n] != '\0');
	word[n] = '\0';
	return word;
}

/* Whether a list like "rw,cpu,cpuacct" has the word. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (; *list; list += strcspn(list, ","), list += *list == ',')
		if (strcspn(list, ",") == len && memcmp(list, word, len) == 0)
			return true;
	return false;
}

/* mountinfo writes blank, tab, newline and backslash as \040 and so on. False: it does not fit. */
static bool unescape(char to[CGROUP_PATH_MAX], const char *from)
{
	size_t n = 0;

	for (; *from; n++) {
		if (n == CGROUP_PATH_MAX - 1)
			return false;
		if (from[0] == '\\' && from[1] && from[2] && from[3]) {
			to[n] = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
				       (from[3] - '0'));
			from += 4;
		} else {
			to[n] = *from++;
		}
	}
	to[n] = '\0';
	return true;
}

/* ---- the mount ----------------------------------------------------------------------------- */

/* One line of mountinfo; false: it is not a mount of the version asked for. */
static bool parse_mount(char *line, bool v1, struct cgroup_mount *mount)
{
	char *root, *point, *type;

	next_word(&line); /* id, parent, device */
	next_word(&line);
	next_word(&line);
	root = next_word(&line);
	point = next_word(&line);
	while (*line && strcmp(next_word(&line), "-") != 0) /* options, and optional fields */
		;
	type = next_word(&line);
	next_word(&line); /* source */
	if (strcmp(type, v1 ? "cgroup" : "cgroup2") != 0 || (v1 && !has_word(line, "cpu")))
		return false;
	mount->v1 = v1;
	return unescape(mount->root, root) && unescape(mount->point, point);
}

/*
 * The process's group in the hierarchy of this version: "4:cpu,cpuacct:/path" or "0::/path". False:
 * there is none.
 */
static bool read_group(bool v1, char group[CGROUP_PATH_MAX])
{
	struct lines lines = { .fd = procfs_open("/proc/self/cgroup") };
	bool found = false;
	char *line;

	if (lines.fd < 0)
		return false;
	while (!found && (line = next_line(&lines)) != NULL) {
		char *controllers = strchr(line, ':'), *path;

		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		controllers++;
		found = (v1 ? has_word(controllers, "cpu") : !*controllers) &&
			strlen(path) < CGROUP_PATH_MAX;
		if (found)
			strcpy(group, path);
	}
	sys_call1(SYS_close, lines.fd);
	return found;
}

static bool find_version(bool v1, struct cgroup_mount *mount)
{
	struct lines lines = { .fd = -1 };
	char group[CGROUP_PATH_MAX], *line;
	bool found = false;

	if (!read_group(v1, group))
		return false;
	lines.fd = procfs_open("/proc/self/mountinfo");
	if (lines.fd < 0)
		return false;
	while (!found && (line = next_line(&lines)) != NULL)
		found = parse_mount(line, v1, mount);
	sys_call1(SYS_close, lines.fd);
	return found;
}

int cgroup_find(struct cgroup_mount *mount)
{
	if (find_version(true, mount) || find_version(false, mount))
		return 0;
	mount->point[0] = '\0';
	return -ENOENT;
}

/* ---- the quota ----------------------------------------------------------------------------- */

/* A number at *s, which moves behind it; -1 when there is none, or it is negative. */
static int64_t parse_number(const char **s)
{
	int64_t n = 0;

	if (**s < '0' || **s > '9')
		return -1;
	for (; **s >= '0' && **s <= '9'; ++*s)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, **s - '0', &n))
			return -1;
	return n;
}

/* A file of the folder, which ends at dir[len]; -1 when it holds no number. */
static int64_t read_numbers(char *dir, size_t len, const char *file, int64_t *second)
{
	char text[FILE_SIZE];
	const char *s = text;
	int64_t first;
	ssize_t got;

	strcpy(dir + len, file);
	got = procfs_read(dir, text, sizeof(text));
	dir[len] = '\0';
	if (got < 0)
		return -1;
	first = parse_number(&s);
	if (second) {
		s += *s == ' ';
		*second = parse_number(&s);
	}
	return first;
}

/* The quota of one group, in CPUs, rounded up. */
static int group_cpus(bool v1, char *dir, size_t len)
{
	int64_t quota, period, cpus;

	if (v1) {
		quota = read_numbers(dir, len, "/cpu.cfs_quota_us", NULL);
		period = read_numbers(dir, len, "/cpu.cfs_period_us", NULL);
	} else {
		quota = read_numbers(dir, len, "/cpu.max", &period);
	}
	if (quota <= 0 || period <= 0) /* "max", -1, or no such file: the root group has none */
		return INT_MAX;
	cpus = quota / period + (quota % period != 0);
	return cpus < INT_MAX ? (int)cpus : INT_MAX;
}

/* What of the group's path lies below the mount's top; "" when the group is not below it. */
static const char *below(const char *root, const char *group)
{
	size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(group, root, len) != 0 || group[len] != '/' || strncmp(group, "/..", 3) == 0)
		return "";
	return strcmp(group + len, "/") == 0 ? "" : group + len;
}

int cgroup_cpus(const struct cgroup_mount *mount)
{
	char group[CGROUP_PATH_MAX], dir[2 * CGROUP_PATH_MAX + 32];
	size_t top = strlen(mount->point), len;
	int least = INT_MAX;

	if (!top || !read_group(mount->v1, group))
		return INT_MAX;
	strcpy(dir, mount->point);
	strcpy(dir + top, below(mount->root, group));
	for (len = strlen(dir);; len--) {
		int cpus;

		while (len > top && dir[len] != '/' && dir[len] != '\0')
			len--;
		dir[len] = '\0';
		cpus = group_cpus(mount->v1, dir, len);
		least = cpus < least ? cpus : least;
		if (len <= top)
			return least;
	}
}
