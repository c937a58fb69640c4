/* SPDX-License-Identifier: MIT */
/*
 * Poll descriptors: a table by file descriptor. A number is an index, so nothing is allocated,
 * looked up or freed, and an event that comes late finds an entry, whose generation tells that it
 * means a file that is gone. (Go has objects in a free list, since there a file is an object, too.)
 *
 * Readiness is edge-triggered: each file is put into the epoll set once, for everything, and each
 * event is counted. Who gets -EAGAIN waits for an event after the count that he read before:
 *
 *	a call				netpoll
 *	seq = rseq
 *	read: -EAGAIN
 *					an event: rseq++, ready those on the list
 *	lock
 *	rseq != seq? then try again
 *	onto the list
 *	unlock
 *
 * Everybody who waits for the same thing is woken, and tries. Go's pollDesc has a word for one
 * reader, with the values nil, ready, wait and the goroutine, and a lock around each Read, so that
 * there is one. A count needs neither: several goroutines may accept on one socket, and no one's
 * readiness is taken by another who read less than there was.
 *
 * A descriptor that is closed. A call that has looked at the number and not begun yet must not read
 * from the file that gets the number next. So calls are counted in life, and urge_close
 *
 *	life |= CLOSING			new calls are -EBADF, and so are those who wait
 *	waits until no call is under way
 *	life |= GONE, no generation	off the epoll set
 *	close
 *	life = 0			(but for those who have come meanwhile, with the new file)
 *
 * Between the last two steps the number may already be another's, whose first call waits for the
 * last step.
 *
 * Waiters lie on the stacks of their goroutines: there is nothing to allocate.
 */
#define URGE_KEEP_ERRNO
#include "sched/polldesc.h"

#include "kernelshim/epoll.h"
#include "kernelshim/sys.h"
#include "kernelshim/vm.h"
#include "sched/allp.h"
#include "sched/g.h"
#include "sched/gqueue.h"
#include "sched/lock.h"
#include "sched/m.h"
#include "sched/netpoll.h"
#include "sched/stats.h"
#include "sched/syscall.h"
#include "sched/trace.h"
#include "sched/wait.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct pollwaiter {
	/* constant */
	struct polldesc *pd;
	struct g *gp;
	uint32_t ticket;
	uint32_t modes;
	uint32_t seq;
	/* pd->lock */
	struct list_node link; /* by itself: off the list */
	int result;
};

struct polldesc *polldescs;
uint32_t npolldescs;

static struct atomic_u32 generations;

static size_t table_bytes(void)
{
	return round_up(npolldescs * sizeof(struct polldesc), vm_page_size());
}

int polldescinit(void)
{
	struct rlimit limit = { 0 };

	if (!polldescs) { /* once per process: a stray may come back to it */
		sys_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys_ptr(&limit));
		npolldescs =
			limit.rlim_max < POLLDESCS_MAX ? (uint32_t)limit.rlim_max : POLLDESCS_MAX;
		polldescs = vm_reserve(table_bytes(), vm_page_size());
		if (polldescs)
			vm_nohugepage(polldescs, table_bytes());
	}
	return polldescs ? 0 : -ENOMEM;
}

void polldescfini(void)
{
	vm_dontneed(polldescs, table_bytes());
	pollpages_forget();
}

/* ---- the list ------------------------------------------------------------------------------ */

static struct list_node *waiters(struct polldesc *pd)
{
	if (!pollwaited(pd))
		list_init(&pd->waiters);
	return &pd->waiters;
}

/* Takes those who wait for one of the modes off the list, and into q. Returns how many. */
static uint32_t take_waiters(struct polldesc *pd, uint32_t modes, int result, struct gqueue *q)
{
	struct list_node *head = &pd->waiters, *next;
	uint32_t n = 0;

	if (!pollwaited(pd))
		return 0;
	for (struct list_node *at = head->next; at != head; at = next) {
		struct pollwaiter *w = list_entry(at, struct pollwaiter, link);

		next = at->next;
		if (!(w->modes & modes))
			continue;
		list_del(at);
		if (!wait_claim(w->gp, w->ticket))
			continue; /* its deadline was first; w is there until it gets the lock */
		w->result = result;
		casgstatus(w->gp, Gwaiting, Grunnable);
		trace_runnable(getm(), w->gp, TRACE_GO_UNBLOCK);
		gqueue_push(q, w->gp);
		n++;
	}
	return n;
}

/* The same, and lets them run. */
static void wake_waiters(struct polldesc *pd, uint32_t modes, int result)
{
	struct gqueue q = { NULL, NULL };
	uint32_t n;

	lock(&pd->lock);
	pollpage_use(pd); /* the last step of a close may come after its page has been dropped */
	n = take_waiters(pd, modes, result, &q);
	unlock(&pd->lock);
	if (n > 0)
		injectglist(&q, n);
}

/* Has what w waits for come already? */
static bool is_over(const struct pollwaiter *w)
{
	uint32_t life = load_rlx_u32(&w->pd->life);

	if (w->modes & PD_UNUSED)
		return (life & PD_REFS) == 0;
	if (w->modes & PD_CLOSED)
		return !(life & PD_GONE);
	return (life & PD_CLOSING) || pollseq(w->pd, w->modes) != w->seq;
}

static bool pollwait_commit(struct g *gp, void *arg)
{
	struct pollwaiter *w = arg;
	bool over;

	(void)gp;
	lock(&w->pd->lock);
	over = is_over(w);
	if (!over)
		list_add(waiters(w->pd), &w->link);
	unlock(&w->pd->lock);
	return !over;
}

int pollwait(struct polldesc *pd, uint32_t modes, uint32_t seq, int64_t deadline)
{
	struct g *gp = getm()->curg;
	struct pollwaiter w = { .pd = pd, .gp = gp, .modes = modes, .seq = seq };
	int err;

	if (is_over(&w))
		return load_rlx_u32(&pd->life) & PD_CLOSING ? -EBADF : 0;
	if (deadline == 0)
		return -EAGAIN;
	list_init(&w.link);
	gp->waitobj = pd;
	w.ticket = wait_open(gp, false, deadline);
	count(getm()->p, iowaits, 1);
	err = gopark_until(pollwait_commit, &w, WAIT_IO, w.ticket, deadline);
	count(getm()->p, iowaits, -UINT64_C(1));
	if (!err)
		return w.result;
	lock(&pd->lock);
	list_del(&w.link);
	unlock(&pd->lock);
	return err;
}

/* Waits for PD_UNUSED or PD_CLOSED: for a moment, so no deadline and no context ends it. */
static void wait_for_close(struct polldesc *pd, uint32_t mode)
{
	struct pollwaiter w = { .pd = pd, .gp = getm()->curg, .modes = mode };

	w.gp->waitobj = pd;
	if (!is_over(&w))
		gopark(pollwait_commit, &w, WAIT_IO);
}

uint64_t pollwaiters(void)
{
	uint64_t n = 0;

	for_each_p(pp)
		n += load_rlx_u64(&pp->count.iowaits);
	return n;
}

/* ---- events -------------------------------------------------------------------------------- */

static void bump(struct atomic_u32 *seq)
{
	store_rel_u32(seq, load_rlx_u32(seq) + 1); /* pairs with load_acq in pollseq */
}

uint32_t pollready(uint64_t data, uint32_t events, struct gqueue *q)
{
	struct polldesc *pd = &polldescs[(uint32_t)data];
	const uint32_t odd = EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI;
	uint32_t modes = 0, n = 0;

	if (events & (EPOLLIN | odd))
		modes |= PD_READ;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		modes |= PD_WRITE;
	lock(&pd->lock);
	if (pd->generation == data >> 32) {
		if (events & odd)
			store_rlx_u32(&pd->odd, 1); /* before rseq, for who reads that */
		if (modes & PD_READ)
			bump(&pd->rseq);
		if (modes & PD_WRITE)
			bump(&pd->wseq);
		n = take_waiters(pd, modes, 0, q);
	} else { /* late: of a descriptor whose page may have been dropped */
		pollpage_use(pd);
		template_reclaim();
	}
	unlock(&pd->lock);
	return n;
}

/* ---- the beginning of a descriptor --------------------------------------------------------- */

static int make_nonblocking(int fd)
{
	long flags = sys_call2(SYS_fcntl, fd, F_GETFL);

	if (flags < 0)
		return (int)flags;
	if (flags & O_NONBLOCK)
		return 0;
	return (int)sys_call3(SYS_fcntl, fd, F_SETFL, flags | O_NONBLOCK);
}

int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	if (sys_call5(SYS_getsockopt, fd, SOL_SOCKET, option, sys_ptr(&value), sys_ptr(&size)))
		return -1;
	return value;
}

/* Puts it into the epoll set, under a new generation. */
static int enter_set(struct polldesc *pd, int fd)
{
	int err;

	assert_held(&pd->lock);
	do
		pd->generation = add_u32(&generations, 1);
	while (pd->generation == 0);
	store_rlx_u32(&pd->odd, 0);
	/* the counts go on, so that there is no event that this one means */
	store_rlx_u32(&pd->drained, load_rlx_u32(&pd->rseq) - 1);
	err = netpollopen(fd, (uint64_t)pd->generation << 32 | (uint32_t)fd);
	if (err == -EPERM)
		or_u32(&pd->life, PD_FILE);
	else if (!err)
		or_u32(&pd->life, PD_OPEN);
	return err == -EPERM ? 0 : err;
}

static int open_first(struct polldesc *pd)
{
	int fd = (int)(pd - polldescs);
	int type, err = 0;

	lock(&pd->lock);
	pollpage_use(pd);
	if (!(load_rlx_u32(&pd->life) & (PD_OPEN | PD_FILE))) {
		err = make_nonblocking(fd);
		if (!err) {
			type = socket_option(fd, SO_TYPE);
			pd->socket = type >= 0;
			pd->stream = type == SOCK_STREAM &&
				     socket_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
			err = enter_set(pd, fd);
		}
	}
	unlock(&pd->lock);
	return err;
}

/* Until its page is dropped. */
static void wait_for_page(struct polldesc *pd)
{
	lock(&pd->lock);
	unlock(&pd->lock);
}

/* life: as the caller's addition left it. */
noinline int fdget_slow(struct polldesc *pd, uint32_t life)
{
	int err = 0;

	while (life & PD_DROPPED) {
		wait_for_page(pd);
		life = add_u32(&pd->life, 1);
	}
	while (!err) {
		life = load_acq_u32(&pd->life); /* pairs with or_u32 in enter_set */
		if (life & PD_GONE)
			wait_for_close(pd, PD_CLOSED);
		else if (life & PD_CLOSING)
			err = -EBADF;
		else if (life & (PD_OPEN | PD_FILE))
			return 0;
		else
			err = open_first(pd);
	}
	fdput(pd);
	return err;
}

noinline void fdput_last(struct polldesc *pd)
{
	wake_waiters(pd, PD_UNUSED, 0);
	template_reclaim();
}

int fdadopt(int fd, bool stream)
{
	struct polldesc *pd;
	struct gqueue q = { NULL, NULL };
	uint32_t n;
	int err;

	if ((uint32_t)fd >= npolldescs)
		return -EMFILE;
	pd = &polldescs[fd];
	wait_for_close(pd, PD_CLOSED);
	lock(&pd->lock);
	pollpage_use(pd);
	if (and_u32(&pd->life, ~(PD_OPEN | PD_FILE)) & PD_OPEN)
		netpollforget();
	n = take_waiters(pd, PD_READ | PD_WRITE, -EBADF, &q);
	pd->socket = true;
	pd->stream = stream;
	err = enter_set(pd, fd);
	unlock(&pd->lock);
	if (n > 0)
		injectglist(&q, n);
	return err;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* False: somebody else closes it. */
static bool begin_close(struct polldesc *pd)
{
	for (;;) {
		uint32_t old = or_u32(&pd->life, PD_CLOSING);

		if (old & PD_DROPPED) {
			wait_for_page(pd);
			continue;
		}
		if (!(old & PD_CLOSING))
			return true;
		if (!(old & PD_GONE))
			return false;
		wait_for_close(pd, PD_CLOSED);
	}
}

static int close_outside(int fd)
{
	int err;

	entersyscall(getm());
	err = (int)sys_call1(SYS_close, fd);
	exitsyscall();
	return err;
}

int fdclose(int fd)
{
	struct polldesc *pd;
	uint32_t life;
	int err;

	if ((uint32_t)fd >= npolldescs)
		return close_outside(fd);
	pd = &polldescs[fd];
	if (!begin_close(pd))
		return -EBADF;
	wake_waiters(pd, PD_READ | PD_WRITE, -EBADF);
	wait_for_close(pd, PD_UNUSED);
	or_u32(&pd->life, PD_GONE);
	lock(&pd->lock);
	life = and_u32(&pd->life, ~(PD_OPEN | PD_FILE));
	pd->generation = 0;
	unlock(&pd->lock);
	if (life & PD_OPEN)
		netpollclose(fd);
	err = close_outside(fd);
	and_u32(&pd->life, PD_REFS);
	wake_waiters(pd, PD_CLOSED, 0);
	template_reclaim();
	return err;
}
