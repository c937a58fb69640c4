/* SPDX-License-Identifier: MIT */
#include "bench/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t process_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (n < 0) {
		perror(path);
		exit(1);
	}
	close(fd);
	text[n] = '\0';
}

size_t process_resident_bytes(void)
{
	char text[256];
	unsigned long pages = 0;

	read_file("/proc/self/statm", text, sizeof(text));
	sscanf(text, "%*u %lu", &pages);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A number of /proc/self/status; key includes the colon. */
static unsigned long status_field(const char *key)
{
	char text[4096];

	read_file("/proc/self/status", text, sizeof(text));
	const char *line = strstr(text, key);
	return line ? strtoul(line + strlen(key), NULL, 10) : 0;
}

size_t process_page_table_bytes(void)
{
	return status_field("\nVmPTE:") * 1024;
}

unsigned process_threads(void)
{
	return (unsigned)status_field("\nThreads:");
}
