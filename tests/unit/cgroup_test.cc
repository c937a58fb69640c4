/* SPDX-License-Identifier: MIT */
/* CPU quotas of control groups, on trees made for it; and on the machine's, where it may be changed. */
#include "tests/unit/child.h"
#include "tests/unit/tree.h"
#include <climits>

extern "C" {
#include "kernelshim/cgroup.h"
#include "kernelshim/procfs.h"
}

/* Lines that are in every mountinfo, and must not confuse anybody. */
static const std::string other_mounts =
	"21 26 0:20 / /proc rw,nosuid - proc proc rw\n"
	"26 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	"30 21 0:26 / /sys/fs/cgroup/memory rw shared:5 - cgroup cgroup rw,memory\n";

class Cgroup : public testing::Test
{
protected:
	void SetUp() override { procfs_set_root(tree.path.c_str()); }
	void TearDown() override { procfs_set_root(nullptr); }

	/* What the process finds, with this mountinfo and this /proc/self/cgroup. */
	int cpus(const std::string &mounts, const std::string &groups)
	{
		struct cgroup_mount mount;

		tree.write("/proc/self/mountinfo", other_mounts + mounts);
		tree.write("/proc/self/cgroup", groups);
		cgroup_find(&mount);
		return cgroup_cpus(&mount);
	}

	Tree tree;
	const std::string v2 =
		"40 26 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
	const std::string v1 =
		"41 26 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:8 - cgroup cgroup "
		"rw,cpu,cpuacct\n";
};

TEST_F(Cgroup, Version2)
{
	EXPECT_EQ(INT_MAX, cpus(v2, "0::/app\n")); /* no such file */
	tree.write("/sys/fs/cgroup/app/cpu.max", "max 100000\n");
	EXPECT_EQ(INT_MAX, cpus(v2, "0::/app\n"));
	tree.write("/sys/fs/cgroup/app/cpu.max", "150000 100000\n");
	EXPECT_EQ(2, cpus(v2, "0::/app\n"));
	tree.write("/sys/fs/cgroup/app/cpu.max", "400000 100000\n");
	EXPECT_EQ(4, cpus(v2, "0::/app\n"));
	tree.write("/sys/fs/cgroup/app/cpu.max", "400001 100000\n");
	EXPECT_EQ(5, cpus(v2, "0::/app\n"));
	tree.write("/sys/fs/cgroup/app/cpu.max", "1000 100000\n");
	EXPECT_EQ(1, cpus(v2, "0::/app\n"));
}

TEST_F(Cgroup, EveryAncestorCounts)
{
	tree.write("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
	tree.write("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	tree.write("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
	EXPECT_EQ(3, cpus(v2, "0::/a/b/c\n"));
	EXPECT_EQ(3, cpus(v2, "0::/a/b\n"));
	tree.write("/sys/fs/cgroup/cpu.max", "200000 100000\n"); /* a container's own top */
	EXPECT_EQ(2, cpus(v2, "0::/a/b/c\n"));
	EXPECT_EQ(2, cpus(v2, "0::/\n"));
}

TEST_F(Cgroup, Version1)
{
	tree.write("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
	tree.write("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
	EXPECT_EQ(INT_MAX, cpus(v1, "3:memory:/other\n4:cpu,cpuacct:/x\n0::/\n"));
	tree.write("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "250000\n");
	EXPECT_EQ(3, cpus(v1, "3:memory:/other\n4:cpu,cpuacct:/x\n0::/\n"));
	tree.write("/sys/fs/cgroup/cpu,cpuacct/x/y/cpu.cfs_quota_us", "50000\n");
	tree.write("/sys/fs/cgroup/cpu,cpuacct/x/y/cpu.cfs_period_us", "10000\n");
	EXPECT_EQ(3, cpus(v1, "4:cpuacct,cpu:/x/y\n"));
}

TEST_F(Cgroup, TheVersionThatHasTheController)
{
	tree.write("/sys/fs/cgroup/unified/g/cpu.max", "700000 100000\n");
	tree.write("/sys/fs/cgroup/cpu,cpuacct/g/cpu.cfs_quota_us", "600000\n");
	tree.write("/sys/fs/cgroup/cpu,cpuacct/g/cpu.cfs_period_us", "100000\n");
	std::string unified = "42 26 0:33 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n";

	EXPECT_EQ(6, cpus(v1 + unified, "4:cpu,cpuacct:/g\n0::/g\n"));
	EXPECT_EQ(6, cpus(unified + v1, "0::/g\n4:cpu,cpuacct:/g\n"));
	EXPECT_EQ(7, cpus(unified, "5:cpuset:/g\n0::/g\n"));
}

TEST_F(Cgroup, AMountThatShowsAPart)
{
	std::string part = "40 26 0:30 /pod/app /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

	tree.write("/sys/fs/cgroup/cpu.max", "300000 100000\n");
	tree.write("/sys/fs/cgroup/in/cpu.max", "200000 100000\n");
	EXPECT_EQ(2, cpus(part, "0::/pod/app/in\n"));
	EXPECT_EQ(3, cpus(part, "0::/pod/app\n"));
	EXPECT_EQ(3, cpus(part, "0::/pod/apple/in\n")); /* another group, not below it */
	EXPECT_EQ(3, cpus(v2, "0::/../elsewhere\n"));   /* outside of the namespace's root */
}

TEST_F(Cgroup, NamesWithBlanks)
{
	tree.write("/sys/fs/c group/a b/cpu.max", "300000 100000\n");
	EXPECT_EQ(3,
		  cpus("40 26 0:30 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n", "0::/a b\n"));
}

TEST_F(Cgroup, NonsenseIsNoQuota)
{
	for (const char *text : { "", "\n", "x 100000\n", "100000\n", "100000 0\n", "-5 100000\n",
				  "99999999999999999999 100000\n", "100000 -1\n" }) {
		tree.write("/sys/fs/cgroup/app/cpu.max", text);
		EXPECT_EQ(INT_MAX, cpus(v2, "0::/app\n")) << text;
	}
	EXPECT_EQ(INT_MAX, cpus(v2, ""));
	EXPECT_EQ(INT_MAX, cpus(v2, "nonsense\n0:\n"));
	EXPECT_EQ(INT_MAX, cpus("", "0::/app\n"));
	EXPECT_EQ(INT_MAX, cpus(v2, "0::/" + std::string(2000, 'x') + "\n"));
	EXPECT_EQ(INT_MAX, cpus(std::string(9000, 'y') + "\n40 26\n\n", "0::/app\n"));
}

TEST_F(Cgroup, LongLinesAreLeftOut)
{
	tree.write("/sys/fs/cgroup/app/cpu.max", "300000 100000\n");
	EXPECT_EQ(3, cpus(std::string(9000, 'y') + "\n" + v2, "0::/app\n"));
}

/* A group of our own under the machine's cpu controller, if this process may make one. */
TEST(CgroupOfThisMachine, AQuotaIsSeen)
{
	struct cgroup_mount mount;

	if (cgroup_find(&mount) != 0)
		GTEST_SKIP() << "no cpu controller is mounted";
	std::string group = std::string(mount.point) + "/urge-test-" + std::to_string(getpid());
	if (mkdir(group.c_str(), 0755) != 0)
		GTEST_SKIP() << "no group can be made in " << mount.point << ": "
			     << strerror(errno);
	int before = cgroup_cpus(&mount);
	bool set = mount.v1 ? write_text(group + "/cpu.cfs_quota_us", "50000")
			    : write_text(group + "/cpu.max", "50000 100000");
	Outcome outcome = in_child([&] {
		if (!write_text(group + "/cgroup.procs", std::to_string(getpid())))
			_exit(77);
		EXPECT_EQ(1, cgroup_cpus(&mount));
	});
	rmdir(group.c_str());
	if (!set || outcome.exited(77))
		GTEST_SKIP() << "the group takes no quota, or no process";
	EXPECT_EXITED(0, outcome);
	EXPECT_EQ(before, cgroup_cpus(&mount));
}
