/* SPDX-License-Identifier: MIT */
/* The calls of kernelshim run on goroutines' threads: they must not write errno, whatever happens. */
#ifndef URGE_TESTS_UNIT_ERRNO_KEPT_H
#define URGE_TESTS_UNIT_ERRNO_KEPT_H

#include <cerrno>
#include <gtest/gtest.h>

/* Fails the test when errno changes while one of these is in scope. */
class ErrnoKept
{
public:
	ErrnoKept() { errno = marker; }
	~ErrnoKept() { EXPECT_EQ(marker, errno); }

private:
	static constexpr int marker = 4242;
};

#endif
