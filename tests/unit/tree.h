/* SPDX-License-Identifier: MIT */
/* A folder that stands for "/", made by a test and gone with it. */
#ifndef URGE_TESTS_UNIT_TREE_H
#define URGE_TESTS_UNIT_TREE_H

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <ftw.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

/* Into a file, which is made, with one write; false when that fails. */
static inline bool write_text(const std::string &path, const std::string &text)
{
	int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	bool ok = fd >= 0 && write(fd, text.data(), text.size()) == (ssize_t)text.size();

	if (fd >= 0)
		close(fd);
	return ok;
}

class Tree
{
public:
	Tree()
	{
		char name[] = "/tmp/urge-tree-XXXXXX";

		if (!mkdtemp(name))
			abort();
		path = name;
	}
	~Tree()
	{
		nftw(
			path.c_str(),
			[](const char *name, const struct stat *, int, struct FTW *) {
				return remove(name);
			},
			16, FTW_DEPTH | FTW_PHYS);
	}

	/* A file below the root, with its folders; replaced at once, as a reader sees it. */
	void write(const std::string &name, const std::string &text)
	{
		std::string full = path + name, half = full + ".new";

		for (size_t slash = path.size(); (slash = full.find('/', slash + 1)) != full.npos;)
			mkdir(full.substr(0, slash).c_str(), 0777);
		if (!write_text(half, text) || rename(half.c_str(), full.c_str()) != 0)
			abort();
	}

	std::string path;
};

#endif
