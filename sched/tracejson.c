/* SPDX-License-Identifier: MIT */
/*
 * A trace in the JSON of Chrome's trace viewer, which ui.perfetto.dev, speedscope and others open.
 *
 *	track			each P is one, and the threads without a P are one
 *	slice M3		the thread that has the P
 *	  slice worker G7	a goroutine on it, by its function; args say why it stopped
 *	    slice syscall	a declared call that has kept the P
 *	arrow			from who made a goroutine runnable to where it ran next
 *	instant			requests to stop, and those that moved nobody; goroutines made, Ps lost
 *	counter			GOMAXPROCS
 *
 * Slices are written when they end, as complete events: none is without its end, whatever was
 * dropped. What is open when the trace ends, ends with it.
 */
#include "sched/trace.h"

#include "kernelshim/fdprint.h"
#include "kernelshim/symtab.h"
#include "preempt/reason.h"
#include "sched/urge.h"
#include "sched/waitreason.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 256 };

/* What is open on a track; the times are 0 where nothing is. */
struct track {
	int64_t p_since, go_since, call_since;
	uint64_t m, goid, fn;
};

/* Who made a goroutine runnable: the arrow to where it will run. */
struct arrow {
	uint64_t goid; /* 0: a free place */
	uint64_t id;   /* 0: it has arrived */
};

struct writer {
	struct fdprint out;
	int64_t start, now;
	uint64_t written;
	int64_t stopping;     /* the world, since then; or 0 */
	struct track *tracks; /* [0] is of those without a P, [p + 1] of P p */
	uint32_t ntracks;
	struct arrow *arrows; /* by goid, open addressing */
	size_t arrows_mask;
	uint64_t narrows;
	struct {
		uint64_t fn;
		char text[sizeof(((struct symtab_symbol *)NULL)->name)];
	} names[NAMES]; /* a cache: to look one up is to search a file */
};

/* ---- JSON ---------------------------------------------------------------------------------- */

static void key(struct writer *w, const char *name)
{
	fdp_str(&w->out, ",\"");
	fdp_str(&w->out, name);
	fdp_str(&w->out, "\":");
}

/* Symbols may hold anything but NUL. */
static void text(struct writer *w, const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fdp_char(&w->out, '\\');
		fdp_char(&w->out, *s < ' ' || *s > '~' ? '?' : *s);
	}
}

static void key_string(struct writer *w, const char *name, const char *s)
{
	key(w, name);
	fdp_char(&w->out, '"');
	text(w, s);
	fdp_char(&w->out, '"');
}

static void key_u64(struct writer *w, const char *name, uint64_t n)
{
	key(w, name);
	fdp_u64(&w->out, n);
}

/* Microseconds, as the format wants them. */
static void key_time(struct writer *w, const char *name, int64_t ns)
{
	key(w, name);
	fdp_i64(&w->out, ns / 1000);
	fdp_char(&w->out, '.');
	for (int64_t digit = 100; digit > 0; digit /= 10)
		fdp_char(&w->out, (char)('0' + ns / digit % 10));
}

/* Opens an event, which end closes. */
static void begin(struct writer *w, const char *phase, uint32_t track, int64_t when)
{
	fdp_str(&w->out, w->written++ ? ",\n" : "\n");
	fdp_str(&w->out, "{\"pid\":1");
	key_string(w, "ph", phase);
	key_u64(w, "tid", track);
	key_time(w, "ts", when - w->start);
}

static void end(struct writer *w)
{
	fdp_char(&w->out, '}');
}

/* "name": what, and a letter and a number behind it. */
static void numbered(struct writer *w, const char *what, char letter, uint64_t n)
{
	key(w, "name");
	fdp_char(&w->out, '"');
	text(w, what);
	fdp_char(&w->out, letter);
	fdp_u64(&w->out, n);
	fdp_char(&w->out, '"');
}

static void slice(struct writer *w, uint32_t track, const char *category, int64_t since)
{
	begin(w, "X", track, since);
	key_time(w, "dur", w->now - since);
	key_string(w, "cat", category);
}

/* A point on a track; with words or a number for its args, if there are. */
static void instant(struct writer *w, uint32_t track, const char *name, const char *what,
		    const char *words, uint64_t n)
{
	begin(w, "i", track, w->now);
	key_string(w, "name", name);
	key_string(w, "s", "t");
	if (what) {
		fdp_str(&w->out, ",\"args\":{\"track\":");
		fdp_u64(&w->out, track);
		if (words)
			key_string(w, what, words);
		else
			key_u64(w, what, n);
		end(w);
	}
	end(w);
}

static const char *name_of(struct writer *w, uint64_t fn)
{
	unsigned i = fn / 16 % NAMES;
	struct symtab_symbol sym;

	if (w->names[i].fn != fn) {
		bool known = symtab_lookup(fn, &sym);

		w->names[i].fn = fn;
		strcpy(w->names[i].text, known ? sym.name : "?");
	}
	return w->names[i].text;
}

/* ---- tracks -------------------------------------------------------------------------------- */

static void close_call(struct writer *w, uint32_t track)
{
	struct track *t = &w->tracks[track];

	if (!t->call_since)
		return;
	slice(w, track, "syscall", t->call_since);
	key_string(w, "name", "syscall");
	end(w);
	t->call_since = 0;
}

/* The goroutine on a track, if there is one, stops. */
static void close_go(struct writer *w, uint32_t track, const char *why)
{
	struct track *t = &w->tracks[track];

	close_call(w, track);
	if (!t->go_since)
		return;
	slice(w, track, "goroutine", t->go_since);
	numbered(w, name_of(w, t->fn), ' ', t->goid);
	fdp_str(&w->out, ",\"args\":{\"g\":");
	fdp_u64(&w->out, t->goid);
	key_string(w, "stop", why);
	end(w);
	end(w);
	t->go_since = 0;
}

/* The same for all of a P, which stops. */
static void close_p(struct writer *w, uint32_t track, const char *why)
{
	struct track *t = &w->tracks[track];

	close_go(w, track, why);
	if (!t->p_since)
		return;
	slice(w, track, "thread", t->p_since);
	numbered(w, "", 'M', t->m);
	end(w);
	t->p_since = 0;
}

/* ---- arrows -------------------------------------------------------------------------------- */

static struct arrow *arrow_of(const struct writer *w, uint64_t goid)
{
	size_t i = goid * UINT64_C(0x9e3779b97f4a7c15) >> 20 & w->arrows_mask;

	while (w->arrows[i].goid && w->arrows[i].goid != goid)
		i = (i + 1) & w->arrows_mask;
	w->arrows[i].goid = goid;
	return &w->arrows[i];
}

static void arrow(struct writer *w, const char *phase, uint32_t track, uint64_t id)
{
	begin(w, phase, track, w->now);
	key_string(w, "name", "ready");
	key_string(w, "cat", "ready");
	key_u64(w, "id", id);
	if (*phase == 'f')
		key_string(w, "bp", "e");
	end(w);
}

static void arrow_begins(struct writer *w, uint32_t track, uint64_t goid)
{
	struct arrow *a = arrow_of(w, goid);

	if (!w->tracks[track].go_since) { /* it needs a slice to begin at */
		slice(w, track, "ready", w->now);
		numbered(w, "ready", ' ', goid);
		end(w);
	}
	a->id = ++w->narrows;
	arrow(w, "s", track, a->id);
}

static void arrow_ends(struct writer *w, uint32_t track, uint64_t goid)
{
	struct arrow *a = arrow_of(w, goid);

	if (a->id)
		arrow(w, "f", track, a->id);
	a->id = 0;
}

/* ---- events -------------------------------------------------------------------------------- */

static void go_starts(struct writer *w, uint32_t track, const struct trace_event *e)
{
	struct track *t = &w->tracks[track];

	close_go(w, track, "?"); /* the end of it was dropped, or it is back from urge_blocking */
	t->go_since = e->when;
	t->goid = e->goid;
	t->fn = e->arg;
	arrow_ends(w, track, e->goid);
}

static void world_goes_on(struct writer *w)
{
	if (w->stopping) {
		slice(w, 0, "world", w->stopping);
		key_string(w, "name", "the world is stopped");
		end(w);
	}
	w->stopping = 0;
}

static void write_event(struct writer *w, const struct trace_event *e)
{
	static const char *const left[] = {
#define X(name, words) words,
		PREEMPT_REASONS(X)
#undef X
	};
	uint32_t track = (uint32_t)(e->p + 1);
	struct track *t = &w->tracks[track];

	w->now = e->when;
	switch ((enum trace_kind)e->kind) {
	case TRACE_NONE:
		break;
	case TRACE_GO_CREATE:
		instant(w, track, "go", "g", NULL, e->goid);
		arrow_begins(w, track, e->goid);
		break;
	case TRACE_GO_START:
		go_starts(w, track, e);
		break;
	case TRACE_GO_BLOCK:
		close_go(w, track, waitreason_words((enum waitreason)e->arg));
		break;
	case TRACE_GO_UNBLOCK:
		arrow_begins(w, track, e->goid);
		break;
	case TRACE_GO_YIELD:
		close_go(w, track, "yield");
		break;
	case TRACE_GO_PREEMPT:
		close_go(w, track, "preempted");
		break;
	case TRACE_GO_PARK:
		close_go(w, track, "parked with its thread");
		break;
	case TRACE_GO_END:
		close_go(w, track, "end");
		break;
	case TRACE_P_START:
		close_p(w, track, "?");
		t->p_since = e->when;
		t->m = e->arg;
		break;
	case TRACE_P_STOP:
		close_p(w, track, "?");
		break;
	case TRACE_SYSCALL_ENTER:
		t->call_since = e->when;
		break;
	case TRACE_SYSCALL_EXIT:
		close_call(w, track);
		break;
	case TRACE_SYSCALL_HANDOFF:
		close_p(w, track, "syscall");
		break;
	case TRACE_REVOKE:
		close_p(w, track, "blocked in the kernel");
		break;
	case TRACE_PREEMPT_REQUEST:
		instant(w, track, "stop!", "m", NULL, e->arg);
		break;
	case TRACE_PREEMPT_LEFT:
		instant(w, track, "left alone", "why", e->arg < LEFT_N ? left[e->arg] : "?", 0);
		break;
	case TRACE_GOMAXPROCS:
		begin(w, "C", 0, e->when);
		key_string(w, "name", "GOMAXPROCS");
		fdp_str(&w->out, ",\"args\":{\"Ps\":");
		fdp_u64(&w->out, e->arg);
		end(w);
		end(w);
		break;
	case TRACE_STW_STOPPING:
		w->stopping = e->when;
		break;
	case TRACE_STW_STOPPED:
		instant(w, track, "stopped", NULL, NULL, 0);
		break;
	case TRACE_STW_START:
		world_goes_on(w);
		break;
	}
}

static void name_track(struct writer *w, uint32_t track)
{
	fdp_str(&w->out, w->written++ ? ",\n" : "\n");
	fdp_str(&w->out, "{\"pid\":1,\"ph\":\"M\",\"name\":\"thread_name\"");
	key_u64(w, "tid", track);
	fdp_str(&w->out, ",\"args\":{\"name\":\"");
	if (track == 0) {
		fdp_str(&w->out, "threads without a P");
	} else {
		fdp_char(&w->out, 'P');
		fdp_u64(&w->out, track - 1);
	}
	fdp_str(&w->out, "\"}}");
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* Events of one instant stay as they are in the pool: those of one P are in order there. */
static int compare(const void *a, const void *b)
{
	const struct trace_event *x = *(const struct trace_event *const *)a;
	const struct trace_event *y = *(const struct trace_event *const *)b;

	if (x->when != y->when)
		return x->when < y->when ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* Those that are there, sorted; how many. */
static size_t sort(const struct trace_event **order, const struct trace_event *events, size_t n)
{
	size_t there = 0;

	for (size_t i = 0; i < n; i++)
		if (events[i].kind != TRACE_NONE)
			order[there++] = &events[i];
	qsort(order, there, sizeof(*order), compare);
	return there;
}

static void write_all(struct writer *w, const struct trace_event **order, size_t n,
		      uint64_t dropped)
{
	fdp_str(&w->out, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"urge\":\"");
	fdp_str(&w->out, urge_version());
	fdp_str(&w->out, "\",\"events\":\"");
	fdp_u64(&w->out, n);
	fdp_str(&w->out, "\",\"dropped\":\"");
	fdp_u64(&w->out, dropped);
	fdp_str(&w->out, "\"},\"traceEvents\":[");
	for (uint32_t i = 0; i < w->ntracks; i++)
		name_track(w, i);
	for (size_t i = 0; i < n; i++)
		write_event(w, order[i]);
	world_goes_on(w);
	for (uint32_t i = 0; i < w->ntracks; i++)
		close_p(w, i, "the trace ends");
	fdp_str(&w->out, "\n]}\n");
	fdp_flush(&w->out);
}

int trace_write_json(int fd, const struct trace_event *events, size_t n, int64_t start,
		     uint64_t dropped)
{
	const struct trace_event **order = malloc((n + 1) * sizeof(*order));
	struct writer *w = calloc(1, sizeof(*w));
	int err = -ENOMEM;

	if (!order || !w)
		goto out;
	n = sort(order, events, n);
	w->ntracks = 1;
	for (size_t i = 0; i < n; i++)
		if ((uint32_t)(order[i]->p + 2) > w->ntracks)
			w->ntracks = (uint32_t)(order[i]->p + 2);
	for (w->arrows_mask = 1; w->arrows_mask < 2 * n;)
		w->arrows_mask *= 2;
	w->tracks = calloc(w->ntracks, sizeof(*w->tracks));
	w->arrows = calloc(w->arrows_mask--, sizeof(*w->arrows));
	if (!w->tracks || !w->arrows)
		goto out;
	fdp_init(&w->out, fd);
	w->start = w->now = start;
	write_all(w, order, n, dropped);
	err = w->out.error;
out:
	if (w) {
		free(w->tracks);
		free(w->arrows);
	}
	free(w);
	free(order);
	return err;
}
