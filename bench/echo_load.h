/* SPDX-License-Identifier: MIT */
/*
 * The load of the servers: one thread, 64 connections, a closed loop. Each connection has one
 * message under way; when all of the answer has come the next one is sent. The latency is from the
 * send to the last byte read.
 */
#ifndef URGE_BENCH_ECHO_LOAD_H
#define URGE_BENCH_ECHO_LOAD_H

#include "bench/stats.h"

#include <stddef.h>
#include <stdint.h>

/* What a window of time has shown. */
struct echo_window {
	double rate;     /* requests per second */
	double fairness; /* most answers of a connection, over the fewest; infinite if one had none */
	struct samples latency; /* ns, sorted; belongs to the load, until the next window */
};

enum { ECHO_CONNECTIONS = 64, ECHO_ANSWER_MAX = 512 };

/* What is sent, and how long the answer is. */
struct echo_message {
	const char *text;
	size_t size, answer;
};

extern const struct echo_message echo_64_bytes;

struct echo_load;

/*
 * Connects to the port on 127.0.0.1, trying for up to 10 s while nobody listens there, and sends
 * the first messages. Ends the program, in words, when that fails. The message stays the caller's.
 */
struct echo_load *echo_load_new(uint16_t port, const struct echo_message *message);

/* Keeps the load up for so long, and says what it has seen. Ends the program when a connection dies. */
void echo_load_window(struct echo_load *load, int64_t length, struct echo_window *window);

void echo_load_free(struct echo_load *load);

#endif
