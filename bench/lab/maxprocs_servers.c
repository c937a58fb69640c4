/* SPDX-License-Identifier: MIT */
/*
 * Servers as loads: those of examples/, in this process, under the load of bench/echo_load.h from a
 * thread of its own. That one needs a CPU too: what it uses is not counted as the server's.
 */
#define _GNU_SOURCE
#include "bench/echo_load.h"
#include "bench/harness.h"
#include "bench/lab/maxprocs_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define WINDOW (10 * URGE_MS)

static struct {
	void (*serve)(int fd);
	const struct echo_message *message;
	int listener;
	uint16_t port;
} server;

/* ---- the load ------------------------------------------------------------------------------ */

static void note_usage(void)
{
	struct timespec cpu;
	struct rusage usage;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	getrusage(RUSAGE_THREAD, &usage);
	__atomic_store_n(&load.outside.cpu, cpu.tv_sec * URGE_S + cpu.tv_nsec, __ATOMIC_RELAXED);
	__atomic_store_n(&load.outside.voluntary, usage.ru_nvcsw, __ATOMIC_RELAXED);
	__atomic_store_n(&load.outside.involuntary, usage.ru_nivcsw, __ATOMIC_RELAXED);
}

static void *make_load(void *unused)
{
	struct echo_load *clients = echo_load_new(server.port, server.message);

	(void)unused;
	while (!stopped()) {
		struct echo_window window;

		echo_load_window(clients, WINDOW, &window);
		for (size_t i = 0; i < window.latency.n; i++)
			count_operation(&load.workers[0], window.latency.v[i]);
		note_usage();
	}
	echo_load_free(clients); /* and that ends the connections' goroutines */
	return NULL;
}

/* ---- the server ---------------------------------------------------------------------------- */

static void connection(void *arg)
{
	int fd = (int)(intptr_t)arg;

	server.serve(fd);
	urge_close(fd);
	urge_waitgroup_done(&load.running);
}

static void accept_all(void *unused)
{
	(void)unused;
	urge_waitgroup_add(&load.running, ECHO_CONNECTIONS);
	for (int i = 0; i < ECHO_CONNECTIONS; i++) {
		int fd = urge_accept(server.listener, NULL, NULL);

		bench_check(fd < 0 ? fd : 0, "urge_accept");
		start_goroutine(connection, (void *)(intptr_t)fd);
	}
	urge_close(server.listener);
	urge_waitgroup_done(&load.running);
}

static void start_server(void (*serve)(int fd), const struct echo_message *message)
{
	struct sockaddr_in addr = { .sin_port = 0 };
	socklen_t len = sizeof(addr);
	pthread_t thread;

	server.serve = serve;
	server.message = message;
	server.listener = urge_listen_tcp("127.0.0.1", "0", ECHO_CONNECTIONS);
	bench_check(server.listener < 0 ? server.listener : 0, "urge_listen_tcp");
	getsockname(server.listener, (struct sockaddr *)&addr, &len);
	server.port = ntohs(addr.sin_port);
	urge_waitgroup_add(&load.running, 1);
	start_goroutine(accept_all, NULL);
	bench_check(-pthread_create(&thread, NULL, make_load, NULL), "pthread_create");
	pthread_detach(thread);
}

void start_echo(void)
{
	start_server(echo_connection, &echo_64_bytes);
}

void start_kv(void)
{
	static const char text[] = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$32\r\n"
				   "a value of thirty-two bytes, all\r\n"
				   "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
	static const char answer[] = "+OK\r\n$32\r\na value of thirty-two bytes, all\r\n";
	static const struct echo_message message = { text, sizeof(text) - 1, sizeof(answer) - 1 };

	start_server(kv_connection, &message);
}
