/* SPDX-License-Identifier: MIT */
#include "kernelshim/epoll.h"
#include "kernelshim/fault.h"
#include "kernelshim/sys.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/time_types.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

int fd_move_high(int fd)
{
	long high = sys_call3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, FD_HIGH);

	if (high < 0)
		return fd;
	sys_call1(SYS_close, fd);
	return (int)high;
}

static int new_fd(long fd)
{
	return fd < 0 ? (int)fd : fd_move_high((int)fd);
}

int epoll_new(void)
{
	/* there is no EPOLL_NONBLOCK: nothing reads or writes an epoll descriptor */
	if (fault(FAULT_EPOLL))
		return -EMFILE;
	return new_fd(sys_call1(SYS_epoll_create1, EPOLL_CLOEXEC));
}

static int epoll_control(int epfd, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data = { .u64 = data } };

	return (int)sys_call4(SYS_epoll_ctl, epfd, op, fd, sys_ptr(&event));
}

int epoll_add(int epfd, int fd, uint32_t events, uint64_t data)
{
	if (fault(FAULT_EPOLL_ADD))
		return -ENOSPC;
	return epoll_control(epfd, EPOLL_CTL_ADD, fd, events, data);
}

int epoll_mod(int epfd, int fd, uint32_t events, uint64_t data)
{
	return epoll_control(epfd, EPOLL_CTL_MOD, fd, events, data);
}

int epoll_del(int epfd, int fd)
{
	return epoll_control(epfd, EPOLL_CTL_DEL, fd, 0, 0);
}

int epoll_poll(int epfd, struct epoll_event *events, int n, int timeout_ms)
{
	return (int)sys_call6(SYS_epoll_pwait, epfd, sys_ptr(events), n, timeout_ms, 0, 0);
}

int epoll_poll_ns(int epfd, struct epoll_event *events, int n, int64_t timeout_ns)
{
	struct __kernel_timespec timeout = { .tv_sec = timeout_ns / 1000000000,
					     .tv_nsec = timeout_ns % 1000000000 };

	return (int)sys_call6(SYS_epoll_pwait2, epfd, sys_ptr(events), n, sys_ptr(&timeout), 0, 0);
}

int eventfd_new(void)
{
	if (fault(FAULT_EVENTFD))
		return -EMFILE;
	return new_fd(sys_call2(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void eventfd_signal(int fd)
{
	uint64_t one = 1;

	/* -EAGAIN means that the counter is full, hence that the descriptor is readable already */
	sys_call3(SYS_write, fd, sys_ptr(&one), sizeof(one));
}

void eventfd_drain(int fd)
{
	uint64_t count;

	sys_call3(SYS_read, fd, sys_ptr(&count), sizeof(count));
}

int timerfd_new(void)
{
	if (fault(FAULT_TIMERFD))
		return -EMFILE;
	return new_fd(sys_call2(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

int timerfd_arm(int fd, int64_t deadline_ns)
{
	struct itimerspec at = { 0 };

	if (deadline_ns != INT64_MAX) {
		if (deadline_ns < 1)
			deadline_ns = 1; /* all zeros would disarm */
		at.it_value.tv_sec = deadline_ns / 1000000000;
		at.it_value.tv_nsec = deadline_ns % 1000000000;
	}
	return (int)sys_call4(SYS_timerfd_settime, fd, TFD_TIMER_ABSTIME, sys_ptr(&at), 0);
}
