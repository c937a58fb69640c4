/* SPDX-License-Identifier: MIT */
/*
 * What the kernel takes for an HTTP request: one thread, a loop around epoll_wait, and an answer of
 * the length of examples/httpd's to each empty line, without a look at the request. bench/servers
 * measures it beside httpd.
 *
 * usage: http PORT
 */
#include "bench/floor/epoll.h"

#include <string.h>

#define ANSWER                                                                                     \
	"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\n"   \
	"Content-Length: 14\r\n\r\nHello, world!\n"

enum { IN_SIZE = 8192, END_SIZE = 4 /* of "\r\n\r\n" */ };

/* A request comes whole, as wrk sends it. */
static bool serve(int fd)
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
	epoll_floor(argc > 1 ? (uint16_t)atoi(argv[1]) : 8080, serve);
}
