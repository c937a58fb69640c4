/* SPDX-License-Identifier: MIT */
/*
 * What the kernel takes for an HTTP request: one thread, a loop around epoll_wait, and an answer of
 * the length of examples/httpd's to each empty line, without a look at the request. bench/servers
 * measures it beside httpd.
 *
 * usage: http PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER                                                                                     \
	"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\n"   \
	"Content-Length: 14\r\n\r\nHello, world!\n"

enum { EVENTS = 64, IN_SIZE = 8192, END_SIZE = 4 /* of "\r\n\r\n" */ };

static int check(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static void watch(int epfd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	check(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	const int on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
	check(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), "bind");
	check(listen(fd, SOMAXCONN), "listen");
	return fd;
}

/* False: the connection is over. A request comes whole, as wrk sends it. */
static int serve(int fd)
{
	static char in[IN_SIZE], out[IN_SIZE / END_SIZE * sizeof(ANSWER)];
	ssize_t n = read(fd, in, sizeof(in));
	size_t filled = 0;

	for (const char *at = in;
	     n > 0 && (at = memmem(at, (size_t)(in + n - at), "\r\n\r\n", END_SIZE)) != NULL;
	     at += END_SIZE) {
		memcpy(out + filled, ANSWER, sizeof(ANSWER) - 1);
		filled += sizeof(ANSWER) - 1;
	}
	return n > 0 && write(fd, out, filled) == (ssize_t)filled;
}

int main(int argc, char **argv)
{
	int epfd = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	int listener = listen_on(argc > 1 ? (uint16_t)atoi(argv[1]) : 8080);
	struct epoll_event events[EVENTS];

	watch(epfd, listener);
	for (;;) {
		int n = check(epoll_wait(epfd, events, EVENTS, -1), "epoll_wait");

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				watch(epfd, check(accept(fd, NULL, NULL), "accept"));
			else if (!serve(fd))
				close(fd);
		}
	}
}
