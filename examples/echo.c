/* SPDX-License-Identifier: MIT */
/* A server that sends back what it gets. */
#include "examples/server.h"

static void echo(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = urge_read_until(fd, buf, sizeof(buf), server_deadline())) > 0)
		if (urge_write_until(fd, buf, (size_t)n, server_deadline()) < 0)
			break;
}

int main(int argc, char **argv)
{
	server = (struct server){ .name = "echo",
				  .host = "127.0.0.1",
				  .port = "7007",
				  .handle = echo,
				  .max_conns = 100000,
				  .idle_timeout = 60 };
	return server_main(argc, argv);
}
