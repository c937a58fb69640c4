/* SPDX-License-Identifier: MIT */
/*
 * The event trace: recording, start and stop.
 *
 * Events go into chunks of one pool of fixed size. Each P has a chunk of its own, which only the M
 * that owns the P writes, without atomic instructions; who has no P (sysmon, netpoll's sleeper, a
 * thread of the program's) and who records something about another's P writes into one chunk more,
 * under a lock. A full chunk is followed by the pool's next one. When the pool is used up events
 * are dropped and counted: the first part of a trace is kept whole. The pool is address space until
 * it is touched, so a short trace costs little memory.
 *
 * What costs nothing while no trace runs, and how:
 *
 *	switches	go through schedule() while a trace runs: it allows no direct ones
 *			(M.directs, which pick_next tests anyway). So schedule() has a trace point, and
 *			the direct switch none
 *	blocking	the arrival on g0 reads the clock anyway; there it is (park.h)
 *	waking, yields	each M counts down to the next measurement of latency (latency.h); while a
 *			trace runs it counts from 0, from when it gets a P on, so that all come to
 *			where the trace point is
 *
 * Start and stop happen in a stopped world: nobody is in the middle of an event of his P's,
 * everybody comes through schedule() before he runs a goroutine, and each P's trace begins and ends
 * at one instant. A goroutine that is blocked or in a call at the start appears when it next runs.
 * After the stop the events are sorted by time and translated, on a thread's own stack, with the P
 * handed off. Nothing is written before, so the trace does not measure its own output; the price is
 * the bound.
 *
 * Rejected: buffers of Ms (their number is not bounded by the CPUs, and a P's events would have to
 * be put together from many); a thread that writes meanwhile (it takes a CPU from what is traced,
 * and what opens in a viewer is some hundred megabytes at most anyway); dropping the oldest (it
 * leaves ends without beginnings).
 */
#define URGE_KEEP_ERRNO
#include "sched/trace.h"

#include "kernelshim/clock.h"
#include "kernelshim/sys.h"
#include "kernelshim/vm.h"
#include "sched/allp.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/proc.h"
#include "sched/tls.h"
#include "sched/urge.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

enum { CHUNK_EVENTS = 1 << 10, CHUNKS = 1 << 11 };

#define POOL_BYTES (sizeof(struct trace_event) * CHUNKS * CHUNK_EVENTS) /* 64 MiB */

enum trace_state {
	TRACE_IDLE,
	TRACE_STARTS,
	TRACE_RUNS,
	TRACE_ENDS, /* the events are being written */
};

struct atomic_u32 trace_on;
uint32_t trace_chunks_max = CHUNKS;

static struct {
	struct mutex lock;
	struct tracebuf outside;  /* lock */
	struct atomic_u32 chunks; /* of the pool, that have been given out, or more */
	struct atomic_u32 state;
	/* constant while a trace runs */
	struct trace_event *pool;
	int fd;
	int64_t start;
} traced = { .lock = MUTEX_INIT(RANK_TRACE) };

/* ---- recording ----------------------------------------------------------------------------- */

static bool next_chunk(struct tracebuf *buf)
{
	uint32_t i = load_rlx_u32(&traced.chunks);

	if (i < trace_chunks_max)
		i = add_u32(&traced.chunks, 1) - 1;
	if (i >= trace_chunks_max)
		return false;
	buf->next = traced.pool + (size_t)i * CHUNK_EVENTS;
	buf->end = buf->next + CHUNK_EVENTS;
	return true;
}

static void record(struct tracebuf *buf, int32_t p, enum trace_kind kind, uint64_t goid,
		   uint64_t arg)
{
	if (unlikely(buf->next == buf->end) && !next_chunk(buf)) {
		buf->dropped++;
		return;
	}
	*buf->next++ = (struct trace_event){
		.when = nanotime(), .goid = goid, .arg = arg, .p = p, .kind = kind
	};
}

void trace_write(const struct m *mp, enum trace_kind kind, uint64_t goid, uint64_t arg)
{
	if (mp && mp->p)
		record(&mp->p->trace, mp->p->id, kind, goid, arg);
	else
		trace_write_about(NULL, kind, goid, arg);
}

void trace_write_about(const struct p *pp, enum trace_kind kind, uint64_t goid, uint64_t arg)
{
	lock(&traced.lock);
	if (tracing()) /* else the buffers have gone meanwhile */
		record(&traced.outside, pp ? pp->id : TRACE_OUTSIDE, kind, goid, arg);
	unlock(&traced.lock);
}

void trace_p_start(struct m *mp)
{
	mp->unmeasured =
		0; /* its next wake-up of somebody comes to latency_mark, and so to a trace point */
	trace_write(mp, TRACE_P_START, 0, mp->id);
}

/* ---- start and stop ------------------------------------------------------------------------ */

/* In a stopped world, by the one who has stopped it. */
static void begin(void)
{
	struct m *mp = enter();

	for_each_p(pp)
		pp->trace = (struct tracebuf){ .next = NULL };
	store_rlx_u32(&traced.chunks, 0);
	traced.start = nanotime();
	lock(&traced.lock); /* who has no P runs on, and may record as soon as it is on */
	traced.outside = (struct tracebuf){ .next = NULL };
	store_rlx_u32(&trace_on, 1);
	unlock(&traced.lock);
	mp->directs = 0;
	trace(mp, TRACE_GOMAXPROCS, 0, (uint64_t)load_rlx_i32(&sched.gomaxprocs));
	trace_p_start(mp);
	trace_go_start(mp, mp->curg);
	leave();
}

/*
 * Nobody records from here on. With the world stopped, or nobody left in it. In the runtime: a
 * request that finds its thread outside of it is recorded by the handler, under the same lock.
 */
static void end(void)
{
	struct m *mp = enter();

	lock(&traced.lock);
	store_rlx_u32(&trace_on, 0);
	unlock(&traced.lock);
	if (mp)
		leave();
}

/* The file and the memory go; the result of the trace. */
static int finish(void *unused)
{
	uint32_t chunks = load_rlx_u32(&traced.chunks);
	uint64_t dropped = traced.outside.dropped;
	int err, close_err;

	(void)unused;
	if (chunks > trace_chunks_max)
		chunks = trace_chunks_max;
	for_each_p(pp)
		dropped += pp->trace.dropped;
	err = trace_write_json(traced.fd, traced.pool, (size_t)chunks * CHUNK_EVENTS, traced.start,
			       dropped);
	close_err = (int)sys_call1(SYS_close, traced.fd);
	vm_release(traced.pool, POOL_BYTES);
	traced.pool = NULL;
	store_rel_u32(&traced.state, TRACE_IDLE); /* pairs with the CAS in urge_trace_start */
	err = err ? err : close_err;
	return err ? err : (int)(dropped < INT_MAX ? dropped : INT_MAX);
}

static int prepare(const char *path)
{
	long fd = sys_call4(SYS_openat, AT_FDCWD, sys_ptr(path),
			    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0)
		return (int)fd;
	traced.pool = vm_reserve(POOL_BYTES, vm_page_size());
	if (!traced.pool) {
		sys_call1(SYS_close, fd);
		return -ENOMEM;
	}
	traced.fd = (int)fd;
	return 0;
}

int urge_trace_start(const char *path)
{
	const struct m *mp = getm();
	int err;

	if (!path)
		return -EINVAL;
	if (!mp || !mp->curg)
		return -EPERM;
	if (!cas_u32(&traced.state, TRACE_IDLE, TRACE_STARTS))
		return -EBUSY;
	err = prepare(path);
	if (err) {
		store_rel_u32(&traced.state, TRACE_IDLE); /* pairs with the CAS above */
		return err;
	}
	urge_stop_the_world("trace start");
	begin();
	urge_start_the_world();
	store_rel_u32(&traced.state, TRACE_RUNS); /* pairs with the CAS in urge_trace_stop */
	return 0;
}

int urge_trace_stop(void)
{
	const struct m *mp = getm();

	if (!mp || !mp->curg)
		return -EPERM;
	if (!cas_u32(&traced.state, TRACE_RUNS, TRACE_ENDS))
		return -EINVAL;
	urge_stop_the_world("trace stop");
	end();
	urge_start_the_world();
	return urge_blocking(finish, NULL);
}

void trace_after_fork(void)
{
	store_rlx_u32(&trace_on, 0);
	mutex_init(&traced.lock, RANK_TRACE);
	if (load_rlx_u32(&traced.state) == TRACE_RUNS)
		sys_call1(SYS_close, traced.fd);
	store_rlx_u32(&traced.state, TRACE_IDLE);
	traced.pool = NULL; /* it may be about to be unmapped: left alone */
}

void trace_fini(void)
{
	uint32_t state = load_acq_u32(&traced.state); /* pairs with finish */

	if (state == TRACE_RUNS || (state == TRACE_STARTS && traced.pool)) {
		end();
		finish(NULL);
	}
}
