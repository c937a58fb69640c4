/* SPDX-License-Identifier: MIT */
/* What the process has and may have: descriptors, mappings, limits. */
#ifndef URGE_TESTS_UNIT_RESOURCES_H
#define URGE_TESTS_UNIT_RESOURCES_H

#include <climits>
#include <cstdlib>
#include <dirent.h>
#include <fstream>
#include <string>
#include <sys/resource.h>

/* Descriptors in use, of those with numbers below this: the runtime's own are from FD_HIGH on. */
static inline int open_fds(int below = INT_MAX)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (const struct dirent *entry = readdir(dir))
		n += entry->d_name[0] != '.' && atoi(entry->d_name) < below;
	closedir(dir);
	return n;
}

static inline int mappings()
{
	std::ifstream maps("/proc/self/maps");
	int lines = 0;

	for (std::string line; std::getline(maps, line);)
		lines++;
	return lines;
}

/* Sets the soft limit, to no more than the hard one. */
static inline void limit(int what, rlim_t to)
{
	struct rlimit both;

	getrlimit((__rlimit_resource)what, &both);
	both.rlim_cur = to < both.rlim_max ? to : both.rlim_max;
	setrlimit((__rlimit_resource)what, &both);
}

#endif
