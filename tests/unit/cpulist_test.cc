/* SPDX-License-Identifier: MIT */
#include "kernelshim/cpulist.h"
#include "tests/unit/errno_kept.h"
#include <string>
#include <vector>

typedef std::vector<unsigned> Cpus;

static int parse(const std::string &text, Cpus *cpus)
{
	ErrnoKept kept;

	return cpulist_parse(
		text.c_str(),
		[](unsigned cpu, void *arg) { static_cast<Cpus *>(arg)->push_back(cpu); }, cpus);
}

TEST(Cpulist, RangesAndSingleNumbersInOrder)
{
	Cpus cpus;

	EXPECT_EQ(0, parse("0-3,8,10-11", &cpus));
	EXPECT_EQ((Cpus{ 0, 1, 2, 3, 8, 10, 11 }), cpus);
}

TEST(Cpulist, NewlineOfTheKernelEndsIt)
{
	Cpus cpus;

	EXPECT_EQ(0, parse("5\n", &cpus));
	EXPECT_EQ((Cpus{ 5 }), cpus);
}

TEST(Cpulist, EmptyListIsNone)
{
	Cpus cpus;

	EXPECT_EQ(0, parse("", &cpus));
	EXPECT_EQ(0, parse("\n", &cpus));
	EXPECT_EQ(Cpus{}, cpus);
}

TEST(Cpulist, LargestNumber)
{
	Cpus cpus;

	EXPECT_EQ(0, parse("65535", &cpus));
	EXPECT_EQ((Cpus{ CPULIST_MAX }), cpus);
}

TEST(Cpulist, BadTextIsRefusedBeforeAnyCall)
{
	for (const char *text :
	     { "x", "1,x", "1-", "-1", "1--2", "3-1", "1,,2", ",1", "1,", "1 2", " 1", "1-2-3",
	       "0-3:2/4", "65536", "99999999999999999999", "0-4294967295", "1\n2", "1\n\n" }) {
		Cpus cpus;

		EXPECT_EQ(-EINVAL, parse(text, &cpus)) << text;
		EXPECT_EQ(Cpus{}, cpus) << text;
	}
}
