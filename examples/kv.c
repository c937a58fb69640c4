/* SPDX-License-Identifier: MIT */
/*
 * A key-value server that speaks RESP2, Redis's protocol: PING ECHO GET SET DEL EXISTS INCR DECR
 * INCRBY MGET MSET EXPIRE TTL PERSIST DBSIZE FLUSHALL INFO SELECT QUIT, with pipelining. (COMMAND
 * and CONFIG answer empty, for redis-cli and redis-benchmark.)
 *
 * A connection's goroutine reads into one buffer, on its stack while requests are small, so that
 * what many connections have taken comes back when they are gone; carries out every request that is
 * whole; gathers short answers, and writes them when there are many or nothing is left to do. It
 * reads on when they are written, so a peer that does not read costs two buffers, and no answer but
 * the one that is being sent.
 */
#include "examples/kv_store.h"
#include "examples/server.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>

enum {
	IN_FIRST = 16 << 10,
	WORDS_FIRST = 16,
	IN_MAX = 64 << 20, /* a request */
	OUT_SIZE = 16 << 10,
	WORDS_MAX = 64 << 10,
	COPIED_MAX = 4 << 10, /* longer values are sent from where they are */
};

struct word {
	const char *at;
	size_t size;
};

struct connection {
	int fd;
	bool broken, quit;
	char *in;
	size_t begin, end, capacity; /* of what has been read and not been carried out */
	struct word *words;          /* of the request */
	size_t nwords, room;
	size_t filled;
	struct word few_words[WORDS_FIRST]; /* words and in, while they are no larger */
	char small_in[IN_FIRST];
	char out[OUT_SIZE];
};

static uint64_t commands_done, connections_made;
static int64_t started;

/* ---- answers ------------------------------------------------------------------------------- */

static void send_all(struct connection *c, const char *data, size_t size)
{
	if (size > 0 && !c->broken)
		c->broken = urge_write_until(c->fd, data, size, server_deadline()) < 0;
}

static void flush(struct connection *c)
{
	send_all(c, c->out, c->filled);
	c->filled = 0;
}

static void reply(struct connection *c, const char *data, size_t size)
{
	if (c->filled + size > OUT_SIZE)
		flush(c);
	memcpy(c->out + c->filled, data, size);
	c->filled += size;
}

/* A line of at most 200 bytes. */
__attribute__((format(printf, 2, 3))) static void replyf(struct connection *c, const char *format,
							 ...)
{
	char line[200];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	reply(c, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static void reply_words(struct connection *c, const char *words)
{
	reply(c, words, strlen(words));
}

static void reply_int(struct connection *c, long long n)
{
	replyf(c, ":%lld\r\n", n);
}

static void reply_bulk(struct connection *c, const char *data, size_t size)
{
	replyf(c, "$%zu\r\n", size);
	if (size <= COPIED_MAX) {
		reply(c, data, size);
	} else {
		flush(c);
		send_all(c, data, size);
	}
	reply_words(c, "\r\n");
}

static void reply_value(struct connection *c, struct value *v)
{
	if (!v) {
		reply_words(c, "$-1\r\n");
		return;
	}
	reply_bulk(c, v->data, v->size);
	value_release(v);
}

/* ---- commands: words[0] is the name, and there are as many as the table below asks for ------ */

static bool is(const struct word *w, const char *name)
{
	return strlen(name) == w->size && strncasecmp(w->at, name, w->size) == 0;
}

/* A whole decimal number; false if it is none. */
static bool number(const char *at, size_t size, long long *n)
{
	char text[24], *end;

	if (size == 0 || size >= sizeof(text) || isspace((unsigned char)*at))
		return false;
	memcpy(text, at, size);
	text[size] = '\0';
	errno = 0;
	*n = strtoll(text, &end, 10);
	return end == text + size && errno == 0;
}

static void not_a_number(struct connection *c)
{
	reply_words(c, "-ERR value is not an integer or out of range\r\n");
}

/* The time that is n units from now; false if that is no time. */
static bool from_now(long long n, int64_t unit, int64_t *when)
{
	int64_t ns;

	return !__builtin_mul_overflow(n, unit, &ns) &&
	       !__builtin_add_overflow(urge_now(), ns, when);
}

static struct value *get(const struct word *key)
{
	uint64_t hash = hash_of(key->at, key->size);
	struct shard *s = shard_lock(hash);
	struct entry **at = find(s, hash, key->at, key->size);
	struct value *v = at ? value_ref((*at)->value) : NULL;

	urge_mutex_unlock(&s->lock);
	return v;
}

static void cmd_ping(struct connection *c, const struct word *w, size_t n)
{
	if (n > 1)
		reply_bulk(c, w[1].at, w[1].size);
	else
		reply_words(c, "+PONG\r\n");
}

static void cmd_echo(struct connection *c, const struct word *w, size_t n)
{
	(void)n;
	reply_bulk(c, w[1].at, w[1].size);
}

static void cmd_get(struct connection *c, const struct word *w, size_t n)
{
	(void)n;
	reply_value(c, get(&w[1]));
}

static void cmd_mget(struct connection *c, const struct word *w, size_t n)
{
	replyf(c, "*%zu\r\n", n - 1);
	for (size_t i = 1; i < n; i++)
		reply_value(c, get(&w[i]));
}

enum { ALWAYS, IF_ABSENT, IF_PRESENT };

/* True if it was set; false if not, or out of memory, *err. */
static bool set(const struct word *key, const struct word *to, int64_t expires, int when, int *err)
{
	uint64_t hash = hash_of(key->at, key->size);
	struct value *v = value_new(to->at, to->size);
	struct shard *s;
	bool present;

	*err = v ? 0 : -ENOMEM;
	if (!v)
		return false;
	s = shard_lock(hash);
	present = when != ALWAYS && find(s, hash, key->at, key->size);
	if ((when == IF_ABSENT && present) || (when == IF_PRESENT && !present)) {
		urge_mutex_unlock(&s->lock);
		value_release(v);
		return false;
	}
	*err = put(s, hash, key->at, key->size, v, expires);
	urge_mutex_unlock(&s->lock);
	return !*err;
}

static void out_of_memory(struct connection *c)
{
	reply_words(c, "-ERR out of memory\r\n");
}

static void cmd_set(struct connection *c, const struct word *w, size_t n)
{
	int64_t expires = URGE_FOREVER;
	int when = ALWAYS, err;

	for (size_t i = 3; i < n; i++) {
		long long time;

		if (is(&w[i], "NX")) {
			when = IF_ABSENT;
		} else if (is(&w[i], "XX")) {
			when = IF_PRESENT;
		} else if ((is(&w[i], "EX") || is(&w[i], "PX")) && i + 1 < n) {
			int64_t unit = is(&w[i], "EX") ? URGE_S : URGE_MS;

			i++;
			if (!number(w[i].at, w[i].size, &time) || time <= 0 ||
			    !from_now(time, unit, &expires)) {
				reply_words(c, "-ERR invalid expire time in 'set' command\r\n");
				return;
			}
		} else {
			reply_words(c, "-ERR syntax error\r\n");
			return;
		}
	}
	if (set(&w[1], &w[2], expires, when, &err))
		reply_words(c, "+OK\r\n");
	else if (err)
		out_of_memory(c);
	else
		reply_words(c, "$-1\r\n");
}

static void cmd_mset(struct connection *c, const struct word *w, size_t n)
{
	int err = 0;

	if (n % 2 == 0) {
		reply_words(c, "-ERR wrong number of arguments for 'mset' command\r\n");
		return;
	}
	for (size_t i = 1; i < n && !err; i += 2)
		set(&w[i], &w[i + 1], URGE_FOREVER, ALWAYS, &err);
	if (err)
		out_of_memory(c);
	else
		reply_words(c, "+OK\r\n");
}

static void cmd_del(struct connection *c, const struct word *w, size_t n)
{
	long long removed = 0;

	for (size_t i = 1; i < n; i++) {
		uint64_t hash = hash_of(w[i].at, w[i].size);
		struct shard *s = shard_lock(hash);
		struct entry **at = find(s, hash, w[i].at, w[i].size);

		if (at) {
			remove_at(s, at);
			removed++;
		}
		urge_mutex_unlock(&s->lock);
	}
	reply_int(c, removed);
}

static void cmd_exists(struct connection *c, const struct word *w, size_t n)
{
	long long found = 0;

	for (size_t i = 1; i < n; i++) {
		struct value *v = get(&w[i]);

		found += v != NULL;
		value_release(v);
	}
	reply_int(c, found);
}

static void increase(struct connection *c, const struct word *key, long long by)
{
	uint64_t hash = hash_of(key->at, key->size);
	struct shard *s = shard_lock(hash);
	struct entry **at = find(s, hash, key->at, key->size);
	int64_t expires = at ? (*at)->expires : URGE_FOREVER;
	long long n = 0;
	char text[24];
	bool ok;
	int err = 0;

	ok = !at || number((*at)->value->data, (*at)->value->size, &n);
	ok = ok && !__builtin_add_overflow(n, by, &n);
	if (ok) {
		int size = snprintf(text, sizeof(text), "%lld", n);
		struct value *v = value_new(text, (size_t)size);

		err = v ? put(s, hash, key->at, key->size, v, expires) : -ENOMEM;
	}
	urge_mutex_unlock(&s->lock);
	if (err)
		out_of_memory(c);
	else if (ok)
		reply_int(c, n);
	else
		not_a_number(c);
}

static void cmd_incr(struct connection *c, const struct word *w, size_t n)
{
	(void)n;
	increase(c, &w[1], 1);
}

static void cmd_decr(struct connection *c, const struct word *w, size_t n)
{
	(void)n;
	increase(c, &w[1], -1);
}

static void cmd_incrby(struct connection *c, const struct word *w, size_t n)
{
	long long by;

	(void)n;
	if (number(w[2].at, w[2].size, &by))
		increase(c, &w[1], by);
	else
		not_a_number(c);
}

/* Sets the time of a key that is there: 1, else 0. */
static void set_time(struct connection *c, const struct word *key, int64_t expires, bool timed_only)
{
	uint64_t hash = hash_of(key->at, key->size);
	struct shard *s = shard_lock(hash);
	struct entry **at = find(s, hash, key->at, key->size);
	bool done = at && !(timed_only && (*at)->expires == URGE_FOREVER);

	if (done) {
		(*at)->expires = expires;
		s->expiring += expires != URGE_FOREVER;
	}
	urge_mutex_unlock(&s->lock);
	reply_int(c, done);
}

static void cmd_expire(struct connection *c, const struct word *w, size_t n)
{
	long long seconds;
	int64_t expires;

	(void)n;
	if (!number(w[2].at, w[2].size, &seconds) || !from_now(seconds, URGE_S, &expires))
		not_a_number(c);
	else
		set_time(c, &w[1], expires, false);
}

static void cmd_persist(struct connection *c, const struct word *w, size_t n)
{
	(void)n;
	set_time(c, &w[1], URGE_FOREVER, true);
}

static void cmd_ttl(struct connection *c, const struct word *w, size_t n)
{
	uint64_t hash = hash_of(w[1].at, w[1].size);
	struct shard *s = shard_lock(hash);
	struct entry **at = find(s, hash, w[1].at, w[1].size);
	int64_t expires = at ? (*at)->expires : 0;

	(void)n;
	urge_mutex_unlock(&s->lock);
	if (!at)
		reply_int(c, -2);
	else if (expires == URGE_FOREVER)
		reply_int(c, -1);
	else
		reply_int(c, (expires - urge_now() + URGE_S / 2) / URGE_S);
}

static void cmd_dbsize(struct connection *c, const struct word *w, size_t n)
{
	(void)w, (void)n;
	reply_int(c, (long long)count_keys());
}

static void cmd_flushall(struct connection *c, const struct word *w, size_t n)
{
	(void)w, (void)n;
	remove_all();
	reply_words(c, "+OK\r\n");
}

static void cmd_info(struct connection *c, const struct word *w, size_t n)
{
	char text[512];
	int size;

	(void)w, (void)n;
	size = snprintf(text, sizeof(text),
			"# Server\r\nurge_version:%s\r\nuptime_in_seconds:%lld\r\n"
			"# Clients\r\ntotal_connections_received:%llu\r\n"
			"# Stats\r\ntotal_commands_processed:%llu\r\ngoroutines:%zu\r\n"
			"gomaxprocs:%d\r\n# Keyspace\r\nkeys:%zu\r\n",
			urge_version(), (long long)((urge_now() - started) / URGE_S),
			(unsigned long long)__atomic_load_n(&connections_made, __ATOMIC_RELAXED),
			(unsigned long long)__atomic_load_n(&commands_done, __ATOMIC_RELAXED),
			urge_num_goroutine(), urge_gomaxprocs(0), count_keys());
	reply_bulk(c, text, (size_t)size);
}

static void cmd_ok(struct connection *c, const struct word *w, size_t n)
{
	c->quit = is(&w[0], "QUIT");
	(void)n;
	reply_words(c, "+OK\r\n");
}

static void cmd_empty(struct connection *c, const struct word *w, size_t n)
{
	(void)w, (void)n;
	reply_words(c, "*0\r\n");
}

static const struct command {
	const char *name;
	void (*run)(struct connection *c, const struct word *w, size_t n);
	size_t least, most; /* words, with the name; most 0: any number */
} commands[] = {
	{ "GET", cmd_get, 2, 2 },       { "SET", cmd_set, 3, 0 },
	{ "DEL", cmd_del, 2, 0 },       { "INCR", cmd_incr, 2, 2 },
	{ "DECR", cmd_decr, 2, 2 },     { "INCRBY", cmd_incrby, 3, 3 },
	{ "MGET", cmd_mget, 2, 0 },     { "MSET", cmd_mset, 3, 0 },
	{ "EXISTS", cmd_exists, 2, 0 }, { "EXPIRE", cmd_expire, 3, 3 },
	{ "TTL", cmd_ttl, 2, 2 },       { "PERSIST", cmd_persist, 2, 2 },
	{ "PING", cmd_ping, 1, 2 },     { "ECHO", cmd_echo, 2, 2 },
	{ "DBSIZE", cmd_dbsize, 1, 1 }, { "FLUSHALL", cmd_flushall, 1, 2 },
	{ "INFO", cmd_info, 1, 0 },     { "SELECT", cmd_ok, 2, 2 },
	{ "QUIT", cmd_ok, 1, 1 },       { "COMMAND", cmd_empty, 1, 0 },
	{ "CONFIG", cmd_empty, 2, 0 },
};

static void carry_out(struct connection *c)
{
	const struct word *w = c->words;

	__atomic_add_fetch(&commands_done, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];

		if (!is(&w[0], command->name))
			continue;
		if (c->nwords < command->least || (command->most && c->nwords > command->most))
			replyf(c, "-ERR wrong number of arguments for '%s' command\r\n",
			       command->name);
		else
			command->run(c, w, c->nwords);
		return;
	}
	replyf(c, "-ERR unknown command '%.*s'\r\n", (int)(w->size < 64 ? w->size : 64), w->at);
}

/* ---- requests ------------------------------------------------------------------------------ */

enum parsed { WHOLE, INCOMPLETE, WRONG };

static void few_words(struct connection *c)
{
	if (c->words != c->few_words)
		free(c->words);
	c->words = c->few_words;
	c->room = WORDS_FIRST;
}

static enum parsed add_word(struct connection *c, const char *at, size_t size)
{
	if (c->nwords == c->room) {
		size_t room = 2 * c->nwords + WORDS_FIRST;
		struct word *words = malloc(room * sizeof(*words));

		if (!words)
			return WRONG;
		memcpy(words, c->words, c->nwords * sizeof(*words));
		few_words(c);
		c->words = words;
		c->room = room;
	}
	c->words[c->nwords++] = (struct word){ at, size };
	return WHOLE;
}

/* "<kind><number>\r\n" at *at, which moves behind it. */
static enum parsed header(const char **at, const char *end, char kind, long long *n)
{
	const char *line_end = memchr(*at, '\n', (size_t)(end - *at));

	if (!line_end)
		return end - *at > 32 ? WRONG : INCOMPLETE;
	if (**at != kind || line_end - *at < 3 || line_end[-1] != '\r' ||
	    !number(*at + 1, (size_t)(line_end - *at) - 2, n))
		return WRONG;
	*at = line_end + 1;
	return WHOLE;
}

/* "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n" */
static enum parsed parse_array(struct connection *c, const char **at, const char *end)
{
	enum parsed parsed;
	long long n, size;

	parsed = header(at, end, '*', &n);
	if (parsed != WHOLE)
		return parsed;
	if (n > WORDS_MAX)
		return WRONG;
	while (n-- > 0) {
		if (*at == end)
			return INCOMPLETE;
		parsed = header(at, end, '$', &size);
		if (parsed != WHOLE)
			return parsed;
		if (size < 0 || size > IN_MAX)
			return WRONG;
		if (end - *at < size + 2)
			return INCOMPLETE;
		if (add_word(c, *at, (size_t)size) != WHOLE)
			return WRONG;
		*at += size + 2;
	}
	return WHOLE;
}

/* "GET k\r\n", as typed */
static enum parsed parse_line(struct connection *c, const char **at, const char *end)
{
	const char *line_end = memchr(*at, '\n', (size_t)(end - *at)), *p = *at;

	if (!line_end)
		return end - *at > IN_FIRST ? WRONG : INCOMPLETE;
	while (p < line_end) {
		const char *word = p;

		while (p < line_end && !isspace((unsigned char)*p))
			p++;
		if (p > word && add_word(c, word, (size_t)(p - word)) != WHOLE)
			return WRONG;
		while (p < line_end && isspace((unsigned char)*p))
			p++;
	}
	*at = line_end + 1;
	return WHOLE;
}

/* Carries out all requests that are whole. False: the connection is over. */
static bool carry_out_all(struct connection *c)
{
	while (c->begin < c->end && !c->broken && !c->quit) {
		const char *at = c->in + c->begin, *end = c->in + c->end;
		enum parsed parsed;

		c->nwords = 0;
		parsed = *at == '*' ? parse_array(c, &at, end) : parse_line(c, &at, end);
		if (parsed == INCOMPLETE)
			break;
		if (parsed == WRONG) {
			reply_words(c, "-ERR Protocol error\r\n");
			c->quit = true;
			break;
		}
		if (c->nwords > 0)
			carry_out(c);
		c->begin = (size_t)(at - c->in);
	}
	flush(c);
	return !c->broken && !c->quit;
}

static void small_in(struct connection *c)
{
	if (c->in != c->small_in)
		free(c->in);
	c->in = c->small_in;
	c->capacity = IN_FIRST;
}

/* Room for more behind what has been read. */
static bool make_room(struct connection *c)
{
	size_t used = c->end - c->begin, capacity = 2 * c->capacity;
	char *in;

	if (c->begin > 0)
		memmove(c->in, c->in + c->begin, used);
	c->begin = 0;
	c->end = used;
	if (used == 0) {
		small_in(c);
		few_words(c);
	}
	if (used < c->capacity)
		return true;
	in = capacity <= IN_MAX ? malloc(capacity) : NULL;
	if (!in)
		return false;
	memcpy(in, c->in, used);
	small_in(c);
	c->in = in;
	c->capacity = capacity;
	return true;
}

static void serve(int fd)
{
	struct connection c;
	ssize_t n;

	c.fd = fd;
	c.broken = c.quit = false;
	c.in = c.small_in;
	c.capacity = IN_FIRST;
	c.words = c.few_words;
	c.room = WORDS_FIRST;
	c.begin = c.end = c.nwords = c.filled = 0;
	__atomic_add_fetch(&connections_made, 1, __ATOMIC_RELAXED);
	while (make_room(&c) &&
	       (n = urge_read_until(fd, c.in + c.end, c.capacity - c.end, server_deadline())) > 0) {
		c.end += (size_t)n;
		if (!carry_out_all(&c))
			break;
	}
	few_words(&c);
	small_in(&c);
}

static void sweeper(void *unused)
{
	(void)unused;
	for (;;) {
		urge_sleep(URGE_S);
		sweep();
	}
}

int main(int argc, char **argv)
{
	server = (struct server){ .name = "kv",
				  .host = "127.0.0.1",
				  .port = "6379",
				  .handle = serve,
				  .background = sweeper,
				  .max_conns = 100000,
				  .idle_timeout = 0 };
	started = urge_now();
	return server_main(argc, argv);
}
