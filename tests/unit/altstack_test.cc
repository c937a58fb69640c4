/* SPDX-License-Identifier: MIT */
#include "kernelshim/altstack.h"
#include "kernelshim/vm.h"
#include "tests/unit/errno_kept.h"
#include <csignal>
#include <cstdlib>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

static stack_t current_altstack()
{
	stack_t now = {};

	sigaltstack(nullptr, &now);
	return now;
}

static uintptr_t handler_sp;

static void record_sp(int)
{
	handler_sp = (uintptr_t)__builtin_frame_address(0);
}

static void on_altstack(int sig, void (*handler)(int))
{
	struct sigaction act = {};

	act.sa_handler = handler;
	act.sa_flags = SA_ONSTACK;
	sigaction(sig, &act, nullptr);
}

TEST(Altstack, HandlersRunOnIt)
{
	struct altstack stack;

	{
		ErrnoKept kept;
		ASSERT_EQ(0, altstack_install(&stack));
	}
	on_altstack(SIGUSR1, record_sp);
	raise(SIGUSR1);
	EXPECT_GE(handler_sp, (uintptr_t)stack.base);
	EXPECT_LT(handler_sp, (uintptr_t)stack.base + stack.size);
	{
		ErrnoKept kept;
		altstack_remove(&stack);
	}
	raise(SIGUSR1);
	EXPECT_FALSE(handler_sp >= (uintptr_t)stack.base &&
		     handler_sp < (uintptr_t)stack.base + stack.size);
	signal(SIGUSR1, SIG_DFL);
}

TEST(Altstack, HasRoomForTwoFrames)
{
	struct altstack stack;

	ASSERT_EQ(0, altstack_install(&stack));
	EXPECT_GE(stack.size, 64u * 1024);
	EXPECT_GE(stack.size, 2u * (size_t)sysconf(_SC_MINSIGSTKSZ) + 16 * 1024);
	EXPECT_EQ(0u, stack.size % vm_page_size());
	altstack_remove(&stack);
}

TEST(Altstack, IsPopulated)
{
	struct altstack stack;

	ASSERT_EQ(0, altstack_install(&stack));
	std::vector<unsigned char> resident(stack.size / vm_page_size());
	ASSERT_EQ(0, mincore(stack.base, stack.size, resident.data()));
	for (unsigned char page : resident)
		EXPECT_TRUE(page & 1);
	altstack_remove(&stack);
}

TEST(Altstack, ThePreviousOneComesBack)
{
	std::vector<char> own(64 * 1024);
	stack_t mine = {}, before = current_altstack();
	struct altstack stack;

	mine.ss_sp = own.data();
	mine.ss_size = own.size();
	ASSERT_EQ(0, sigaltstack(&mine, nullptr));
	ASSERT_EQ(0, altstack_install(&stack));
	EXPECT_EQ(stack.base, current_altstack().ss_sp);
	altstack_remove(&stack);
	EXPECT_EQ(mine.ss_sp, current_altstack().ss_sp);
	EXPECT_EQ(mine.ss_size, current_altstack().ss_size);
	ASSERT_EQ(0, sigaltstack(&before, nullptr));
}

TEST(Altstack, NoneBeforeIsNoneAgain)
{
	std::thread([] {
		stack_t none = {}, before = current_altstack();
		struct altstack stack;

		none.ss_flags = SS_DISABLE;
		ASSERT_EQ(0, sigaltstack(&none, nullptr));
		ASSERT_EQ(0, altstack_install(&stack));
		altstack_remove(&stack);
		EXPECT_TRUE(current_altstack().ss_flags & SS_DISABLE);
		ASSERT_EQ(0, sigaltstack(&before, nullptr));
	}).join();
}

TEST(Altstack, OneSetSinceStays)
{
	std::vector<char> own(64 * 1024);
	stack_t mine = {}, before = current_altstack();
	struct altstack stack;

	mine.ss_sp = own.data();
	mine.ss_size = own.size();
	ASSERT_EQ(0, altstack_install(&stack));
	ASSERT_EQ(0, sigaltstack(&mine, nullptr));
	altstack_remove(&stack);
	EXPECT_EQ(mine.ss_sp, current_altstack().ss_sp);
	ASSERT_EQ(0, sigaltstack(&before, nullptr));
}

TEST(Altstack, InstallOnAnAlternateStackIsRefused)
{
	static int err;
	static struct altstack inner;
	struct altstack stack;

	ASSERT_EQ(0, altstack_install(&stack));
	on_altstack(SIGUSR1, [](int) { err = altstack_install(&inner); });
	raise(SIGUSR1);
	EXPECT_EQ(-EPERM, err);
	EXPECT_EQ(stack.base, current_altstack().ss_sp);
	altstack_remove(&stack);
	signal(SIGUSR1, SIG_DFL);
}

TEST(AltstackDeathTest, GuardBelowFaults)
{
	struct altstack stack;

	ASSERT_EQ(0, altstack_install(&stack));
	EXPECT_EXIT(
		{
			signal(SIGSEGV, SIG_DFL);
			((volatile char *)stack.base)[0] = 1;
			((volatile char *)stack.base)[-1] = 1;
		},
		testing::KilledBySignal(SIGSEGV), "");
	altstack_remove(&stack);
}
