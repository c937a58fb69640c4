/* SPDX-License-Identifier: MIT */
#include "kernelshim/procfs.h"
#include "kernelshim/vm.h"
#include "tests/unit/errno_kept.h"
#include "tests/unit/resources.h"
#include <algorithm>
#include <climits>
#include <csignal>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

static const size_t MiB = 1024 * 1024;

static size_t resident_pages(void *addr, size_t len)
{
	std::vector<unsigned char> pages(len / vm_page_size());

	EXPECT_EQ(0, mincore(addr, len, pages.data()));
	return (size_t)std::count_if(pages.begin(), pages.end(),
				     [](unsigned char page) { return page & 1; });
}

/* Whether a system call may write one byte there: a guard must give EFAULT, not a signal. */
static bool kernel_can_write(void *addr)
{
	int zero = open("/dev/zero", O_RDONLY);
	ssize_t got = read(zero, addr, 1);

	close(zero);
	return got == 1;
}

/* The second page is not a process's to map; elsewhere a sanitizer may have its shadow. */
static void *never_mapped()
{
	return (void *)vm_page_size();
}

TEST(Vm, PageSizeIsTheKernels)
{
	EXPECT_EQ((size_t)sysconf(_SC_PAGESIZE), vm_page_size());
}

TEST(Vm, ReserveIsAlignedWritableAndTrimmed)
{
	for (size_t align : { vm_page_size(), 64 * vm_page_size(), 2 * MiB, 64 * MiB }) {
		size_t len = 2 * MiB;
		int64_t before = procfs_status_kb("VmSize");
		char *p;
		{
			ErrnoKept kept;
			p = (char *)vm_reserve(len, align);
		}
		ASSERT_NE(nullptr, p);
		EXPECT_EQ(0u, (uintptr_t)p % align);
		EXPECT_EQ(before + (int64_t)len / 1024, procfs_status_kb("VmSize"));
		EXPECT_EQ(0, p[0]);
		p[0] = p[len - 1] = 1;
		{
			ErrnoKept kept;
			EXPECT_EQ(0, vm_release(p, len));
		}
		EXPECT_EQ(before, procfs_status_kb("VmSize"));
	}
}

TEST(Vm, ReserveCommitsNothing)
{
	char *p = (char *)vm_reserve(64 * MiB, 2 * MiB);

	ASSERT_NE(nullptr, p);
	EXPECT_EQ(0u, resident_pages(p, 64 * MiB));
	vm_release(p, 64 * MiB);
}

TEST(Vm, ReserveBeyondTheAddressSpaceIsNull)
{
	ErrnoKept kept;

	EXPECT_EQ(nullptr, vm_reserve((size_t)1 << 60, vm_page_size()));
}

TEST(Vm, ReserveCommitsNothingUnderMlockall)
{
	pid_t child = fork();

	if (child == 0) {
		if (mlockall(MCL_FUTURE) != 0)
			_exit(77);
		char *p = (char *)vm_reserve(4 * MiB, 2 * MiB);
		if (!p)
			_exit(77); /* RLIMIT_MEMLOCK */
		vm_nohugepage(p, 4 * MiB);
		if (resident_pages(p, 4 * MiB) != 0)
			_exit(1);
		p[0] = 1;
		if (resident_pages(p, 4 * MiB) != 1)
			_exit(2);
		if (vm_dontneed(p, vm_page_size()) != 0 || p[0] != 0)
			_exit(3);
		/* a probe made before the mlockall does not hold here: ask like a new program */
		if (vm_guard_probe() == VM_GUARD_MADVISE)
			vm_guard_force(VM_GUARD_MPROTECT);
		if (vm_guard(p, vm_page_size()) != 0 || kernel_can_write(p))
			_exit(4);
		_exit(0);
	}
	int status;
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		GTEST_SKIP() << "mlockall is not allowed";
	EXPECT_EQ(0, WEXITSTATUS(status));
}

TEST(Vm, NohugepageCommitsSmallPages)
{
	char *p = (char *)vm_reserve(8 * MiB, 2 * MiB);

	ASSERT_NE(nullptr, p);
	{
		ErrnoKept kept;
		ASSERT_EQ(0, vm_nohugepage(p, 8 * MiB));
	}
	for (size_t at = 0; at < 8 * MiB; at += 2 * MiB)
		p[at] = 1;
	EXPECT_EQ(4u, resident_pages(p, 8 * MiB));
	vm_release(p, 8 * MiB);
}

TEST(Vm, DontneedGivesBackAndZeroes)
{
	size_t page = vm_page_size();
	char *p = (char *)vm_reserve(4 * page, page);

	ASSERT_NE(nullptr, p);
	std::fill(p, p + 4 * page, 7);
	EXPECT_EQ(4u, resident_pages(p, 4 * page));
	{
		ErrnoKept kept;
		EXPECT_EQ(0, vm_dontneed(p, 2 * page));
	}
	EXPECT_EQ(2u, resident_pages(p, 4 * page));
	EXPECT_EQ(0, p[0]);
	EXPECT_EQ(7, p[2 * page]);
	vm_release(p, 4 * page);
}

TEST(Vm, ErrorsAreReturned)
{
	void *nowhere = never_mapped();
	ErrnoKept kept;

	EXPECT_EQ(-ENOMEM, vm_dontneed(nowhere, vm_page_size()));
	EXPECT_EQ(-EINVAL, vm_release((char *)nowhere + 1, vm_page_size()));
	int err = vm_populate_write_batch(&nowhere, 1, vm_page_size());
	EXPECT_TRUE(err == -ENOMEM || err == -EOPNOTSUPP) << err;
}

/* The same promises for each way that guards can be made. */
class VmGuard : public testing::TestWithParam<vm_guard_kind>
{
protected:
	void SetUp() override
	{
		probed = vm_guard_probe();
		if (GetParam() == VM_GUARD_MADVISE && probed != VM_GUARD_MADVISE)
			GTEST_SKIP() << "before Linux 6.13";
		vm_guard_force(GetParam());
		page = vm_page_size();
	}
	void TearDown() override { vm_guard_force(probed); }
	bool splits() const { return GetParam() == VM_GUARD_MPROTECT; }

	vm_guard_kind probed;
	size_t page;
};

TEST_P(VmGuard, FaultsInTheRangeOnly)
{
	char *p = (char *)vm_reserve(4 * page, page);

	ASSERT_NE(nullptr, p);
	std::fill(p, p + 4 * page, 7);
	{
		ErrnoKept kept;
		ASSERT_EQ(0, vm_guard(p + page, page));
	}
	for (size_t at : { page, 2 * page - 1 }) {
		EXPECT_EXIT(
			{
				signal(SIGSEGV, SIG_DFL);
				((volatile char *)p)[at] = 1;
			},
			testing::KilledBySignal(SIGSEGV), "");
		EXPECT_EXIT(
			{
				signal(SIGSEGV, SIG_DFL);
				exit(((volatile char *)p)[at]);
			},
			testing::KilledBySignal(SIGSEGV), "");
		EXPECT_FALSE(kernel_can_write(p + at));
	}
	EXPECT_EQ(7, p[page - 1]);
	EXPECT_EQ(7, p[2 * page]);
	EXPECT_EQ(0, vm_unguard(p + page, page));
	vm_release(p, 4 * page);
}

TEST_P(VmGuard, SurvivesDontneed)
{
	char *p = (char *)vm_reserve(2 * page, page);

	ASSERT_NE(nullptr, p);
	ASSERT_EQ(0, vm_guard(p, page));
	EXPECT_EQ(0, vm_dontneed(p, 2 * page));
	EXPECT_FALSE(kernel_can_write(p));
	EXPECT_TRUE(kernel_can_write(p + page));
	EXPECT_EQ(0, vm_unguard(p, page));
	vm_release(p, 2 * page);
}

TEST_P(VmGuard, UnguardGivesAZeroPage)
{
	char *p = (char *)vm_reserve(page, page);

	ASSERT_NE(nullptr, p);
	p[0] = 7;
	ASSERT_EQ(0, vm_guard(p, page));
	{
		ErrnoKept kept;
		ASSERT_EQ(0, vm_unguard(p, page));
	}
	EXPECT_EQ(0, p[0]);
	EXPECT_TRUE(kernel_can_write(p));
	vm_release(p, page);
}

TEST_P(VmGuard, ThousandsAtOnce)
{
	static const size_t guards = 1500;
	static const size_t stride = 4;
	size_t len = guards * stride * page;
	char *p = (char *)vm_reserve(len, 2 * MiB);
	int before = mappings();

	ASSERT_NE(nullptr, p);
	for (size_t i = 0; i < guards; i++)
		ASSERT_EQ(0, vm_guard(p + i * stride * page, page)) << i;
	for (size_t i = 0; i < guards; i++) {
		ASSERT_FALSE(kernel_can_write(p + i * stride * page)) << i;
		ASSERT_TRUE(kernel_can_write(p + (i * stride + 1) * page)) << i;
	}
	if (splits())
		EXPECT_GE(mappings(), before + (int)guards);
	else
		EXPECT_LE(mappings(), before + 2);
	for (size_t i = 0; i < guards; i++)
		ASSERT_EQ(0, vm_unguard(p + i * stride * page, page)) << i;
	vm_release(p, len);
}

TEST_P(VmGuard, BatchGuardsAllOfIt)
{
	static const size_t guards = VM_BATCH * 2 + 100;
	size_t len = guards * 2 * page;
	char *p = (char *)vm_reserve(len, 2 * MiB);
	std::vector<void *> addrs;

	ASSERT_NE(nullptr, p);
	for (size_t i = 0; i < guards; i++)
		addrs.push_back(p + i * 2 * page);
	{
		ErrnoKept kept;
		ASSERT_EQ((ssize_t)guards, vm_guard_batch(addrs.data(), guards, page));
	}
	for (size_t i = 0; i < guards; i++) {
		ASSERT_FALSE(kernel_can_write(addrs[i])) << i;
		ASSERT_TRUE(kernel_can_write((char *)addrs[i] + page)) << i;
	}
	for (void *addr : addrs)
		ASSERT_EQ(0, vm_unguard(addr, page));
	vm_release(p, len);
}

TEST_P(VmGuard, BatchStopsAtTheFirstThatFails)
{
	char *p = (char *)vm_reserve(4 * page, page);
	void *nowhere = never_mapped();
	void *addrs[] = { p, p + 2 * page, nowhere, p + 3 * page };

	ASSERT_NE(nullptr, p);
	EXPECT_EQ(2, vm_guard_batch(addrs, 4, page));
	EXPECT_FALSE(kernel_can_write(p));
	EXPECT_FALSE(kernel_can_write(p + 2 * page));
	EXPECT_TRUE(kernel_can_write(p + 3 * page));
	EXPECT_LT(vm_guard_batch(&addrs[2], 2, page), 0);
	EXPECT_EQ(0, vm_guard_batch(addrs, 0, page));
	EXPECT_EQ(0, vm_unguard(p, page));
	EXPECT_EQ(0, vm_unguard(p + 2 * page, page));
	vm_release(p, 4 * page);
}

static std::string guard_kind_name(const testing::TestParamInfo<vm_guard_kind> &info)
{
	return info.param == VM_GUARD_MADVISE ? "madvise" : "mprotect";
}

INSTANTIATE_TEST_SUITE_P(Kinds, VmGuard, testing::Values(VM_GUARD_MADVISE, VM_GUARD_MPROTECT),
			 guard_kind_name);

TEST(VmGuardLimit, NoneIsEnospc)
{
	vm_guard_kind probed = vm_guard_probe();
	size_t page = vm_page_size();
	void *p = vm_reserve(page, page);

	vm_guard_force(VM_GUARD_NONE);
	EXPECT_EQ(VM_GUARD_NONE, vm_guard_probe());
	EXPECT_EQ(-ENOSPC, vm_guard(p, page));
	EXPECT_EQ(-ENOSPC, vm_guard_batch(&p, 1, page));
	EXPECT_TRUE(kernel_can_write(p));
	vm_guard_force(probed);
	vm_release(p, page);
}

TEST(VmGuardLimit, MprotectGuardsLeaveHalfOfTheMappings)
{
	vm_guard_kind probed = vm_guard_probe();
	size_t page = vm_page_size();
	uint64_t limit;

	ASSERT_EQ(0, procfs_read_u64("/proc/sys/vm/max_map_count", &limit));
	if (limit > 200000)
		GTEST_SKIP() << "vm.max_map_count is too large to fill";
	size_t len = (limit + 2) * page;
	char *p = (char *)vm_reserve(len, page);
	ASSERT_NE(nullptr, p);
	std::vector<void *> addrs;
	for (size_t at = 0; at < len; at += 2 * page)
		addrs.push_back(p + at);
	vm_guard_force(VM_GUARD_MPROTECT);
	ssize_t made = vm_guard_batch(addrs.data(), addrs.size(), page);
	EXPECT_EQ((ssize_t)limit / 4, made);
	EXPECT_EQ(-ENOSPC, vm_guard(addrs[(size_t)made], page));
	EXPECT_TRUE(kernel_can_write(addrs[(size_t)made]));
	/* one given back is one that can be made again */
	EXPECT_EQ(0, vm_unguard(p, page));
	EXPECT_EQ(0, vm_guard(p, page));
	for (ssize_t i = 0; i < made; i++)
		ASSERT_EQ(0, vm_unguard(addrs[(size_t)i], page));
	vm_guard_force(probed);
	vm_release(p, len);
}

class VmPopulate : public testing::Test
{
protected:
	void reserve(size_t count, size_t pages_each)
	{
		page = vm_page_size();
		len = count * stride * page;
		base = (char *)vm_reserve(len, 2 * MiB);
		ASSERT_NE(nullptr, base);
		vm_nohugepage(base, len);
		for (size_t i = 0; i < count; i++)
			addrs.push_back(base + i * stride * page);
		each = pages_each * page;
	}
	int populate()
	{
		ErrnoKept kept;

		return vm_populate_write_batch(addrs.data(), addrs.size(), each);
	}
	void TearDown() override { vm_release(base, len); }

	static const size_t stride = 4;
	size_t page, len, each;
	char *base;
	std::vector<void *> addrs;
};

TEST_F(VmPopulate, CommitsEveryRangeAndNothingElse)
{
	reserve(VM_BATCH * 2 + 100, 2);
	int64_t before = procfs_status_kb("RssAnon");
	int err = populate();

	if (err == -EOPNOTSUPP)
		GTEST_SKIP() << "before Linux 6.13";
	ASSERT_EQ(0, err);
	EXPECT_EQ(2 * addrs.size(), resident_pages(base, len));
	for (void *addr : addrs)
		ASSERT_EQ(2u, resident_pages(addr, 2 * page));
	/* written, not mapped to the zero page: the memory is really ours */
	EXPECT_GE(procfs_status_kb("RssAnon") - before,
		  (int64_t)(2 * addrs.size() * page / 1024 * 9 / 10));
}

TEST_F(VmPopulate, KeepsWhatIsThere)
{
	reserve(1, 2);
	base[5] = 7;
	int err = populate();

	if (err == -EOPNOTSUPP)
		GTEST_SKIP() << "before Linux 6.13";
	ASSERT_EQ(0, err);
	EXPECT_EQ(7, base[5]);
}

TEST_F(VmPopulate, StopsAtAGuard)
{
	reserve(3, 1);
	ASSERT_EQ(0, vm_guard(addrs[1], page));
	int err = populate();

	if (err == -EOPNOTSUPP)
		GTEST_SKIP() << "before Linux 6.13";
	EXPECT_EQ(-EFAULT, err);
	EXPECT_EQ(0u, resident_pages(addrs[2], page));
	EXPECT_EQ(0, vm_unguard(addrs[1], page));
}

TEST_F(VmPopulate, AfterAForkItIsTheChildsMemory)
{
	reserve(8, 1);
	if (populate() == -EOPNOTSUPP)
		GTEST_SKIP() << "before Linux 6.13";
	ASSERT_EQ(0, vm_dontneed(base, len));
	pid_t child = fork();

	if (child == 0)
		_exit(populate() == 0 && resident_pages(base, len) == addrs.size() ? 0 : 1);
	int status;
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0u, resident_pages(base, len));
}
