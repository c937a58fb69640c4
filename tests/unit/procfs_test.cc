/* SPDX-License-Identifier: MIT */
#include "kernelshim/procfs.h"
#include "tests/unit/errno_kept.h"
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace fs = std::filesystem;

/* A root of its own for each test; the real one again afterwards. */
class Procfs : public testing::Test
{
protected:
	void SetUp() override
	{
		root = fs::path(testing::TempDir()) / ("urge_procfs_" + std::to_string(getpid()));
		fs::create_directories(root);
		root_string = root.string();
		procfs_set_root(root_string.c_str());
	}
	void TearDown() override
	{
		procfs_set_root(nullptr);
		fs::remove_all(root);
	}
	void put(const std::string &path, const std::string &text)
	{
		fs::path file = root / path;

		fs::create_directories(file.parent_path());
		std::ofstream(file) << text;
	}

	fs::path root;
	std::string root_string;
};

TEST_F(Procfs, ReadsUnderTheRoot)
{
	char buf[64];

	put("sys/kernel/words", "hello\n");
	ErrnoKept kept;
	EXPECT_EQ(6, procfs_read("/sys/kernel/words", buf, sizeof(buf)));
	EXPECT_STREQ("hello\n", buf);
}

TEST_F(Procfs, LongFileIsCutAndTerminated)
{
	char buf[5] = "zzzz";

	put("long", "0123456789");
	EXPECT_EQ(4, procfs_read("/long", buf, sizeof(buf)));
	EXPECT_STREQ("0123", buf);
	EXPECT_EQ(0, procfs_read("/long", buf, 1));
	EXPECT_STREQ("", buf);
}

TEST_F(Procfs, ErrorsAreReturned)
{
	char buf[16];
	uint64_t value;
	std::string too_long = "/" + std::string(2000, 'a');

	ErrnoKept kept;
	EXPECT_EQ(-ENOENT, procfs_read("/missing", buf, sizeof(buf)));
	EXPECT_EQ(-EISDIR, procfs_read("/", buf, sizeof(buf)));
	EXPECT_EQ(-ENAMETOOLONG, procfs_read(too_long.c_str(), buf, sizeof(buf)));
	EXPECT_EQ(-ENOENT, procfs_read_u64("/missing", &value));
	EXPECT_EQ(-ENOENT, procfs_status_kb("VmRSS"));
}

TEST_F(Procfs, OpenedFilesDoNotSurviveExec)
{
	put("file", "");
	int fd = procfs_open("/file");

	ASSERT_GE(fd, 0);
	EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

TEST_F(Procfs, ReadsLeaveNoDescriptorOpen)
{
	char buf[16];
	uint64_t value;
	int before = dup(0);

	close(before);
	put("file", "1\n");
	procfs_read("/file", buf, sizeof(buf));
	procfs_read("/", buf, sizeof(buf));
	procfs_read_u64("/file", &value);
	procfs_status_kb("VmRSS");
	int after = dup(0);
	close(after);
	EXPECT_EQ(before, after);
}

TEST_F(Procfs, NumbersAreWholeFiles)
{
	uint64_t value = 0;

	put("n", "18446744073709551615\n");
	EXPECT_EQ(0, procfs_read_u64("/n", &value));
	EXPECT_EQ(UINT64_MAX, value);
	put("n", "0");
	EXPECT_EQ(0, procfs_read_u64("/n", &value));
	EXPECT_EQ(0u, value);
}

TEST_F(Procfs, OtherTextIsNoNumber)
{
	for (const char *text : { "", "\n", "max\n", "-1\n", "12x\n", "1 2\n", " 1\n" }) {
		uint64_t value = 77;

		put("n", text);
		EXPECT_EQ(-EINVAL, procfs_read_u64("/n", &value)) << text;
		EXPECT_EQ(77u, value);
	}
	for (const char *text : { "18446744073709551616\n", "99999999999999999999999\n" }) {
		uint64_t value = 77;

		put("n", text);
		EXPECT_EQ(-ERANGE, procfs_read_u64("/n", &value)) << text;
		EXPECT_EQ(77u, value);
	}
}

TEST_F(Procfs, StatusLineIsFoundByItsWholeName)
{
	put("proc/self/status", "Name:\tVmRSS: 9 kB\nVmRSSx:\t       1 kB\n"
				"VmRSS:\t     420 kB\nThreads:\t7\nVmPTE:\t  44 kB\n");
	ErrnoKept kept;
	EXPECT_EQ(420, procfs_status_kb("VmRSS"));
	EXPECT_EQ(44, procfs_status_kb("VmPTE"));
	EXPECT_EQ(-ENOENT, procfs_status_kb("VmSwap"));
	EXPECT_EQ(-ENOENT, procfs_status_kb("Vm"));
	EXPECT_EQ(-EINVAL, procfs_status_kb("Threads"));
}

TEST(ProcfsReal, StatusOfThisProcess)
{
	uint64_t mappings = 0;

	EXPECT_GT(procfs_status_kb("VmRSS"), 0);
	EXPECT_GT(procfs_status_kb("VmPTE"), 0);
	EXPECT_EQ(0, procfs_read_u64("/proc/sys/vm/max_map_count", &mappings));
	EXPECT_GT(mappings, 0u);
}
