/* SPDX-License-Identifier: MIT */
#include "preempt/notify.h"

#include "kernelshim/sys.h"

struct atomic_u64 notify_pending;
struct atomic_i32 notify_eventfd = { -1 };

void notify_handler_sig(int sig, siginfo_t *info, void *ucontext)
{
	const uint64_t one = 1;

	(void)info, (void)ucontext;
	or_u64(&notify_pending, UINT64_C(1) << (sig - 1));
	sys_call3(SYS_write, load_rlx_i32(&notify_eventfd), sys_ptr(&one), sizeof(one));
}
