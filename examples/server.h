/* SPDX-License-Identifier: MIT */
/*
 * What the three servers here share: options, a goroutine for each connection, and a graceful stop.
 *
 *	SIGINT, SIGTERM		the listener is closed, and every connection's reading side shut: its
 *				goroutine answers what has arrived, finds the end, and returns
 *	no descriptor left	the next accept is tried after a pause that grows to a second; the
 *				connection waits in the listener's queue
 *	--max-conns		those beyond wait in the queue, too
 *	--idle-timeout		a peer that sends nothing, or reads nothing, for so long is dropped
 */
#ifndef URGE_EXAMPLES_SERVER_H
#define URGE_EXAMPLES_SERVER_H

#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <urge.h>

struct server {
	const char *name, *host, *port;
	void (*handle)(int fd);     /* one connection; does not close it */
	void (*background)(void *); /* a goroutine beside them, NULL for none */
	long burn, max_conns, idle_timeout;

	int listener;
	uint32_t stopping;
	uint8_t *connected; /* by descriptor */
	size_t max_fds;
	urge_sem room;
	urge_waitgroup running;
	urge_chan *signals;
};

static struct server server;

/* ---- options ------------------------------------------------------------------------------- */

static void server_usage(FILE *to)
{
	fprintf(to,
		"usage: %s [--host HOST] [--port PORT] [--burn N] [--max-conns N]\n"
		"       [--idle-timeout SECONDS] [--help]\n\n"
		"  --host HOST             address to listen on (default %s)\n"
		"  --port PORT             0 takes a free one and prints it (default %s)\n"
		"  --burn N                run N tight loops beside the service\n"
		"  --max-conns N           serve so many connections at once (default %ld)\n"
		"  --idle-timeout SECONDS  drop a silent peer; 0 never does (default %ld)\n",
		server.name, server.host, server.port, server.max_conns, server.idle_timeout);
}

static long server_number(const char *option, const char *text, long least)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text && !*end && n >= least && n <= 1000000000)
		return n;
	fprintf(stderr, "%s: %s: not a number from %ld on: %s\n", server.name, option, least, text);
	exit(2);
}

static void server_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "host", required_argument, NULL, 'h' },
		{ "port", required_argument, NULL, 'p' },
		{ "burn", required_argument, NULL, 'b' },
		{ "max-conns", required_argument, NULL, 'm' },
		{ "idle-timeout", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, '?' + 128 },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h') {
			server.host = optarg;
		} else if (option == 'p') {
			server.port = optarg;
		} else if (option == 'b') {
			server.burn = server_number("--burn", optarg, 0);
		} else if (option == 'm') {
			server.max_conns = server_number("--max-conns", optarg, 1);
		} else if (option == 'i') {
			server.idle_timeout = server_number("--idle-timeout", optarg, 0);
		} else {
			server_usage(option == '?' ? stderr : stdout);
			exit(option == '?' ? 2 : 0);
		}
	}
	if (optind < argc) {
		server_usage(stderr);
		exit(2);
	}
}

/* ---- connections --------------------------------------------------------------------------- */

/* The deadline of a read or write that begins now. */
static int64_t server_deadline(void)
{
	return server.idle_timeout ? urge_now() + server.idle_timeout * URGE_S : URGE_FOREVER;
}

static void server_connection(void *arg)
{
	int fd = (int)(intptr_t)arg;

	server.handle(fd);
	__atomic_store_n(&server.connected[fd], 0, __ATOMIC_SEQ_CST);
	urge_close(fd);
	urge_sem_release(&server.room);
	urge_waitgroup_done(&server.running);
}

static void server_shut(int fd)
{
	if (__atomic_load_n(&server.connected[fd], __ATOMIC_SEQ_CST))
		shutdown(fd, SHUT_RD);
}

static void server_stop(void *unused)
{
	(void)unused;
	urge_recv(server.signals, NULL);
	__atomic_store_n(&server.stopping, 1, __ATOMIC_SEQ_CST);
	urge_close(server.listener);
	for (size_t fd = 0; fd < server.max_fds; fd++)
		server_shut((int)fd);
}

static void server_burn(void *unused)
{
	(void)unused;
	for (;;)
		__asm__ volatile("");
}

/* Accepts until the listener is closed. */
static void server_accept(void)
{
	int64_t pause = 5 * URGE_MS;

	for (;;) {
		int fd;

		urge_sem_acquire(&server.room);
		fd = urge_accept(server.listener, NULL, NULL);
		if (fd >= 0) {
			pause = 5 * URGE_MS;
			urge_waitgroup_add(&server.running, 1);
			__atomic_store_n(&server.connected[fd], 1, __ATOMIC_SEQ_CST);
			if (__atomic_load_n(&server.stopping, __ATOMIC_SEQ_CST))
				server_shut(fd); /* server_stop may have passed it */
			if (urge_go(server_connection, (void *)(intptr_t)fd) != 0)
				server_connection((void *)(intptr_t)fd);
			continue;
		}
		urge_sem_release(&server.room);
		if (__atomic_load_n(&server.stopping, __ATOMIC_SEQ_CST))
			return;
		urge_sleep(pause);
		pause = pause < URGE_S / 2 ? pause * 2 : URGE_S;
	}
}

/* ---- the program --------------------------------------------------------------------------- */

static void server_print_address(void)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char host[64], port[16];

	if (getsockname(server.listener, (struct sockaddr *)&addr, &len) == 0 &&
	    getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		printf("%s: listening on %s port %s\n", server.name, host, port);
	fflush(stdout);
}

static int server_start(void *unused)
{
	static const int signals[] = { SIGINT, SIGTERM };

	(void)unused;
	server.signals = urge_chan_make(sizeof(int), 1);
	server.listener = urge_listen_tcp(server.host, server.port, 0);
	if (server.listener < 0 || !server.signals) {
		fprintf(stderr, "%s: %s port %s: %s\n", server.name, server.host, server.port,
			strerror(-server.listener));
		return 1;
	}
	urge_sem_init(&server.room, (uint32_t)server.max_conns);
	if (urge_signal_notify(server.signals, signals, 2) != 0 || urge_go(server_stop, NULL) != 0)
		return 1;
	if (server.background && urge_go(server.background, NULL) != 0)
		return 1;
	for (long i = 0; i < server.burn; i++)
		urge_go(server_burn, NULL);
	server_print_address();
	server_accept();
	urge_waitgroup_wait(&server.running);
	return 0;
}

/* main: the name, and handle, host, port and numbers as defaults, are set. */
static int server_main(int argc, char **argv)
{
	struct rlimit limit;

	server_options(argc, argv);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max; /* what the default protects, select(), nobody uses here */
	setrlimit(RLIMIT_NOFILE, &limit);
	server.max_fds = limit.rlim_max < 1 << 20 ? limit.rlim_max : 1 << 20;
	server.connected = calloc(server.max_fds, 1);
	if (!server.connected)
		return 1;
	return urge_main(server_start, NULL);
}

#endif
