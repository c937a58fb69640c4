/* SPDX-License-Identifier: MIT */
/* Which system calls that a signal has ended with EINTR are made again, and how they are told. */
#include "kernelshim/sigframe.h"
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <ucontext.h>

#if defined(__x86_64__)

/* A frame of a thread that has just come out of a system call, and the code that made it. */
class Repeat : public testing::Test
{
protected:
	/* The instruction before the call says the number: mov $nr, %eax. */
	void called_by_libc(long nr)
	{
		const unsigned char at[] = { 0xb8, (unsigned char)nr, (unsigned char)(nr >> 8),
					     (unsigned char)(nr >> 16), (unsigned char)(nr >> 24) };

		called_behind(at);
	}

	/* It has put the number below the stack pointer: mov %rax, -8(%rsp). */
	void called_by_our_syscall(long nr)
	{
		called_behind({ 0x48, 0x89, 0x44, 0x24, 0xf8 });
		memcpy(stack + sizeof(stack) - 8, &nr, sizeof(nr));
	}

	void called_behind(const unsigned char (&five)[5])
	{
		memcpy(code + 64, five, 5);
		code[69] = 0x0f; /* syscall */
		code[70] = 0x05;
		gregs[REG_RIP] = (greg_t)(code + 71);
		gregs[REG_RSP] = (greg_t)(stack + sizeof(stack));
		gregs[REG_RAX] = -EINTR;
	}

	bool is_repeated() { return sigframe_repeat_syscall_sig(&frame); }

	void expect_made_again(long nr)
	{
		EXPECT_TRUE(is_repeated()) << nr;
		EXPECT_EQ(nr, gregs[REG_RAX]);
		EXPECT_EQ((greg_t)(code + 69), gregs[REG_RIP]) << nr;
	}

	void expect_left_alone()
	{
		ucontext_t before = frame;

		EXPECT_FALSE(is_repeated());
		EXPECT_EQ(0, memcmp(&before.uc_mcontext.gregs, &gregs, sizeof(gregs)));
	}

	alignas(4096) unsigned char code[4096] = {};
	alignas(16) unsigned char stack[64] = {};
	ucontext_t frame = {};
	greg_t (&gregs)[NGREG] = frame.uc_mcontext.gregs;
};

/* All that return EINTR whatever SA_RESTART says, and have done nothing then: signal(7). */
TEST_F(Repeat, CallsThatHaveDoneNothing)
{
	for (long nr :
	     { SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_epoll_wait, SYS_epoll_pwait,
	       SYS_nanosleep, SYS_clock_nanosleep, SYS_pause, SYS_rt_sigsuspend,
	       SYS_rt_sigtimedwait, SYS_futex, SYS_semop, SYS_semtimedop, SYS_msgsnd, SYS_msgrcv,
	       SYS_io_getevents, SYS_io_uring_enter }) {
		called_by_libc(nr);
		expect_made_again(nr);
		called_by_our_syscall(nr);
		expect_made_again(nr);
	}
}

/* Those on a socket with a time-out: a part that was sent or received would have been returned. */
TEST_F(Repeat, CallsOnSocketsWithATimeOut)
{
	for (long nr :
	     { SYS_read, SYS_readv, SYS_write, SYS_writev, SYS_accept, SYS_accept4, SYS_recvfrom,
	       SYS_recvmsg, SYS_recvmmsg, SYS_sendto, SYS_sendmsg, SYS_sendmmsg }) {
		called_by_libc(nr);
		expect_made_again(nr);
	}
}

/* connect goes on by itself, and a second one would be EALREADY; of close the number is gone. */
TEST_F(Repeat, NotThoseThatHave)
{
	for (long nr : { SYS_connect, SYS_close, SYS_open, SYS_wait4, SYS_flock, SYS_fork }) {
		called_by_libc(nr);
		expect_left_alone();
	}
}

TEST_F(Repeat, NotWhereTheNumberCannotBeTold)
{
	called_behind({ 0x89, 0xf8, 0x90, 0x90, 0x90 }); /* mov %edi, %eax; nops */
	expect_left_alone();
}

TEST_F(Repeat, NotOneThatWasNotInterrupted)
{
	for (greg_t result : { (greg_t)0, (greg_t)-EAGAIN, (greg_t)EINTR }) {
		called_by_libc(SYS_poll);
		gregs[REG_RAX] = result;
		expect_left_alone();
	}
	called_by_libc(SYS_poll);
	code[69] = 0x90; /* no call */
	expect_left_alone();
}

#else

TEST(Repeat, IsForX86)
{
	GTEST_SKIP() << "on this processor no call is made again: its first argument is gone";
}

#endif
