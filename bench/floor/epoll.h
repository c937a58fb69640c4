/* SPDX-License-Identifier: MIT */
/*
 * What the kernel takes for a server: one thread, a loop around epoll_wait, no runtime. Ends the
 * program, in words, when the system refuses something.
 */
#ifndef URGE_BENCH_FLOOR_EPOLL_H
#define URGE_BENCH_FLOOR_EPOLL_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int epoll_floor_check(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static inline int epoll_floor_listen(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = epoll_floor_check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	const int on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	epoll_floor_check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)),
			  "SO_REUSEADDR");
	epoll_floor_check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
	epoll_floor_check(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), "bind");
	epoll_floor_check(listen(fd, SOMAXCONN), "listen");
	return fd;
}

static inline void epoll_floor_watch(int epfd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	epoll_floor_check(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

/* serve: reads what there is and answers it; false: the connection is over. Inlined with it. */
static inline __attribute__((always_inline, noreturn)) void epoll_floor(uint16_t port,
									bool (*serve)(int fd))
{
	int epfd = epoll_floor_check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	int listener = epoll_floor_listen(port);
	struct epoll_event events[64];

	epoll_floor_watch(epfd, listener);
	for (;;) {
		int n = epoll_floor_check(epoll_wait(epfd, events, 64, -1), "epoll_wait");

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				epoll_floor_watch(
					epfd, epoll_floor_check(accept(fd, NULL, NULL), "accept"));
			else if (!serve(fd))
				close(fd);
		}
	}
}

#endif
