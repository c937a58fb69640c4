/* SPDX-License-Identifier: MIT */
/*
 * epoll, and the two kinds of descriptor that wake it: an eventfd for "look again", a timerfd for
 * an absolute deadline (epoll's own time-outs are relative, and late by a thousandth of their
 * length). No call touches errno, and only the polls block; all are safe in signal handlers.
 * Errors are -errno.
 *
 * Every descriptor made here is close-on-exec and non-blocking, and numbered above 512 where
 * RLIMIT_NOFILE leaves room: programs that count on the lowest free number, or that close 3..n
 * before an exec, are not surprised.
 */
#ifndef URGE_KERNELSHIM_EPOLL_H
#define URGE_KERNELSHIM_EPOLL_H

#include <stdint.h>
#include <sys/epoll.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FD_HIGH 512

/*
 * Moves a descriptor to the lowest free number from FD_HIGH up, close-on-exec, and returns that;
 * where there is no room returns fd itself. Before fd is in an epoll set: sets know it by number.
 */
int fd_move_high(int fd);

int epoll_new(void);

/* events as for epoll_ctl (EPOLLIN | EPOLLET ...); data comes back in epoll_event.data.u64. */
int epoll_add(int epfd, int fd, uint32_t events, uint64_t data);
int epoll_mod(int epfd, int fd, uint32_t events, uint64_t data);
int epoll_del(int epfd, int fd);

/*
 * Waits for events, at most timeout_ms (0 does not wait, -1 for ever), and returns how many of the
 * n were filled in. -EINTR after a signal handler, whatever SA_RESTART says.
 */
int epoll_poll(int epfd, struct epoll_event *events, int n, int timeout_ms);

/*
 * The same, for a short time in ns: no more than a thousandth of it too late. -ENOSYS before Linux
 * 5.11, or when a filter says so.
 */
int epoll_poll_ns(int epfd, struct epoll_event *events, int n, int64_t timeout_ns);

/* Readable from eventfd_signal until eventfd_drain; signals in between are one. */
int eventfd_new(void);
void eventfd_signal(int fd);
void eventfd_drain(int fd);

/*
 * Readable from the deadline (absolute, on nanotime()'s clock) until armed again. A deadline that
 * is past fires at once; INT64_MAX disarms.
 */
int timerfd_new(void);
int timerfd_arm(int fd, int64_t deadline_ns);

#ifdef __cplusplus
}
#endif

#endif
