/* SPDX-License-Identifier: MIT */
#include "bench/echo_load.h"

#include "bench/harness.h"
#include "urge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = ECHO_CONNECTIONS, ROOM = 1 << 20 };

const struct echo_message echo_64_bytes = { .text = (const char[64]){ 0 },
					    .size = 64,
					    .answer = 64 };

struct connection {
	int fd;
	size_t got;      /* of the answer */
	int64_t sent;    /* when */
	uint64_t counts; /* answers in this window */
};

struct echo_load {
	int epfd;
	const struct echo_message *message;
	struct samples latency;
	struct connection connections[CONNECTIONS];
};

static int check(int result, const char *what)
{
	bench_check(result < 0 ? -errno : 0, what);
	return result;
}

static void send_message(const struct echo_load *load, struct connection *c)
{
	const struct echo_message *message = load->message;

	c->got = 0;
	c->sent = urge_now();
	if (check((int)send(c->fd, message->text, message->size, MSG_NOSIGNAL), "send") !=
	    (int)message->size)
		bench_check(-EMSGSIZE, "send");
}

/* The first one may find that the server is not there yet. */
static int dial(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	const struct timespec pause = { .tv_nsec = 10 * URGE_MS };
	int64_t patience = urge_now() + 10 * URGE_S;
	const int on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (;;) {
		int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			check(fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl");
			return fd;
		}
		if (errno != ECONNREFUSED || urge_now() > patience)
			check(-1, "connect to the echo server");
		close(fd);
		nanosleep(&pause, NULL);
	}
}

struct echo_load *echo_load_new(uint16_t port, const struct echo_message *message)
{
	struct echo_load *load = calloc(1, sizeof(*load));

	if (!load) {
		perror("echo_load_new");
		exit(1);
	}
	load->message = message;
	samples_reserve(&load->latency, ROOM);
	load->epfd = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	for (int i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &load->connections[i];
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

		c->fd = dial(port);
		check(epoll_ctl(load->epfd, EPOLL_CTL_ADD, c->fd, &event), "epoll_ctl");
	}
	for (int i = 0; i < CONNECTIONS; i++)
		send_message(load, &load->connections[i]);
	return load;
}

/* What has come; with the whole answer the next message goes out. */
static void receive(struct echo_load *load, struct connection *c)
{
	char buf[ECHO_ANSWER_MAX];
	ssize_t n = recv(c->fd, buf, load->message->answer - c->got, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == 0)
		errno = ECONNRESET;
	check(n > 0 ? 0 : -1, "an answer");
	c->got += (size_t)n;
	if (c->got < load->message->answer)
		return;
	samples_add(&load->latency, (double)(urge_now() - c->sent));
	c->counts++;
	send_message(load, c);
}

static double fairness(const struct echo_load *load)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (int i = 0; i < CONNECTIONS; i++) {
		uint64_t n = load->connections[i].counts;

		least = n < least ? n : least;
		most = n > most ? n : most;
	}
	return least ? (double)most / (double)least : INFINITY;
}

void echo_load_window(struct echo_load *load, int64_t length, struct echo_window *window)
{
	int64_t start = urge_now(), now = start;

	load->latency.n = 0;
	for (int i = 0; i < CONNECTIONS; i++)
		load->connections[i].counts = 0;
	while (now - start < length) {
		struct epoll_event events[CONNECTIONS];
		int n = epoll_wait(load->epfd, events, CONNECTIONS, 100);

		for (int i = 0; i < n; i++)
			receive(load, events[i].data.ptr);
		now = urge_now();
	}
	window->rate = (double)load->latency.n / ((double)(now - start) / 1e9);
	window->fairness = fairness(load);
	samples_sort(&load->latency);
	window->latency = load->latency;
}

void echo_load_free(struct echo_load *load)
{
	for (int i = 0; i < CONNECTIONS; i++)
		close(load->connections[i].fd);
	close(load->epfd);
	samples_free(&load->latency);
	free(load);
}
