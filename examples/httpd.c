/* SPDX-License-Identifier: MIT */
/*
 * An HTTP/1.1 server: GET / answers 200, other paths 404, other methods 405; connections are kept,
 * requests may be pipelined. The parser is llhttp, Node's.
 *
 * A connection's goroutine reads what there is, lets the parser call back for each request in it,
 * and writes the answers together. It reads on when they are written: a peer that does not read
 * costs two buffers, however much it asks.
 */
#include "examples/server.h"

#include <llhttp/llhttp.h>
#include <time.h>

enum { IN_SIZE = 8192, OUT_SIZE = 8192, ANSWER_MAX = 512 };

struct connection {
	llhttp_t parser; /* first: the parser's callbacks get its address */
	int fd;
	bool broken;     /* a write failed */
	bool last;       /* the answer to this request is the last one */
	size_t url_seen; /* bytes of the request's target so far */
	bool is_root;    /* they are "/", perhaps with a query */
	bool in_query;
	time_t date_at; /* the second that date was made for */
	char date[40];
	size_t filled; /* of out */
	char out[OUT_SIZE];
};

static struct connection *of(llhttp_t *parser)
{
	return (struct connection *)parser;
}

static void flush(struct connection *c)
{
	if (c->filled > 0 && !c->broken)
		c->broken = urge_write_until(c->fd, c->out, c->filled, server_deadline()) < 0;
	c->filled = 0;
}

static void answer(struct connection *c, const char *status, const char *body, bool head)
{
	time_t now = time(NULL);
	struct tm tm;
	int n;

	if (c->filled + ANSWER_MAX > OUT_SIZE)
		flush(c);
	if (now != c->date_at) {
		gmtime_r(&now, &tm);
		strftime(c->date, sizeof(c->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		c->date_at = now;
	}
	n = snprintf(c->out + c->filled, ANSWER_MAX,
		     "HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: text/plain\r\n"
		     "Content-Length: %zu\r\n%s\r\n%s",
		     status, c->date, strlen(body), c->last ? "Connection: close\r\n" : "",
		     head ? "" : body);
	c->filled += (size_t)n;
}

/* ---- the parser's callbacks ---------------------------------------------------------------- */

static int on_message_begin(llhttp_t *parser)
{
	struct connection *c = of(parser);

	c->url_seen = 0;
	c->is_root = true;
	c->in_query = false;
	return 0;
}

/* The target may come in pieces. */
static int on_url(llhttp_t *parser, const char *at, size_t n)
{
	struct connection *c = of(parser);

	for (size_t i = 0; i < n && !c->in_query; i++, c->url_seen++) {
		c->in_query = c->url_seen > 0 && at[i] == '?';
		if (!c->in_query && (c->url_seen > 0 || at[i] != '/'))
			c->is_root = false;
	}
	return 0;
}

static int on_message_complete(llhttp_t *parser)
{
	struct connection *c = of(parser);
	bool head = parser->method == HTTP_HEAD;

	c->last = !llhttp_should_keep_alive(parser);
	if (!head && parser->method != HTTP_GET)
		answer(c, "405 Method Not Allowed", "method not allowed\n", false);
	else if (c->is_root)
		answer(c, "200 OK", "Hello, world!\n", head);
	else
		answer(c, "404 Not Found", "not found\n", head);
	return c->last || c->broken ? HPE_PAUSED : 0;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_message_complete = on_message_complete,
};

/* ---- connections --------------------------------------------------------------------------- */

/*
 * We have said the last word, and the peer perhaps not: a close with bytes unread would be a reset,
 * which may destroy the answer on its way.
 */
static void linger(int fd, char *buf, size_t size)
{
	int64_t deadline = urge_now() + 2 * URGE_S;

	shutdown(fd, SHUT_WR);
	while (urge_read_until(fd, buf, size, deadline) > 0)
		;
}

static void serve(int fd)
{
	struct connection c;
	char in[IN_SIZE];
	ssize_t n;

	llhttp_init(&c.parser, HTTP_REQUEST, &settings);
	c.fd = fd;
	c.broken = c.last = false;
	c.date_at = 0;
	c.filled = 0;
	while (!c.broken && !c.last &&
	       (n = urge_read_until(fd, in, sizeof(in), server_deadline())) > 0) {
		llhttp_errno_t err = llhttp_execute(&c.parser, in, (size_t)n);

		if (err != HPE_OK && err != HPE_PAUSED) {
			c.last = true;
			answer(&c, "400 Bad Request", "bad request\n", false);
		}
		flush(&c);
	}
	if (c.last && !c.broken)
		linger(fd, in, sizeof(in));
}

int main(int argc, char **argv)
{
	server = (struct server){ .name = "httpd",
				  .host = "127.0.0.1",
				  .port = "8080",
				  .handle = serve,
				  .max_conns = 100000,
				  .idle_timeout = 60 };
	return server_main(argc, argv);
}
