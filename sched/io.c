/* SPDX-License-Identifier: MIT */
/*
 * I/O. Each call is tried at once; what says -EAGAIN is tried again after an event (polldesc.c).
 *
 * Files that epoll refuses (regular ones, directories, some devices) are read and written in a
 * section like that of urge_entersyscall: the P goes to others if that takes long. io_uring would
 * need a ring and a thread of the kernel's for what mostly is a copy from the page cache.
 *
 * A read from a TCP stream that got less than there was room for has emptied it: the next one waits
 * without asking the kernel, unless there has been an event meanwhile. This saves one of three
 * system calls of each request that a server answers. It holds for TCP alone (a pipe has packets, a
 * terminal lines, a Unix stream stops at a message with descriptors), and no longer once the
 * peer has closed, there was an error or urgent data (polldesc.odd): of the end of the stream the
 * kernel may have told together with the last bytes.
 *
 * SIGPIPE: sockets are written with MSG_NOSIGNAL. Other files have no such flag (Linux 6.18 has
 * RWF_NOSIGNAL), so the signal is blocked meanwhile, and taken if there was -EPIPE. Go ignores
 * it for the whole process, but a library must not.
 */
#define URGE_KEEP_ERRNO
#include "sched/io.h"

#include "kernelshim/clock.h"
#include "kernelshim/sys.h"
#include "kernelshim/thread.h"
#include "sched/polldesc.h"
#include "sched/proc.h"
#include "sched/syscall.h"

#include <poll.h>
#include <signal.h>
#include <time.h>

/* A system call that is made until it does not say -EAGAIN. */
struct call {
	uint32_t mode; /* what it waits for */
	int64_t deadline;
	long nr;
	long args[5]; /* after the descriptor */
	size_t room;  /* of a plain read, 0 for others */
};

/* ---- SIGPIPE ------------------------------------------------------------------------------- */

#define SIGPIPE_BIT (UINT64_C(1) << (SIGPIPE - 1))

static uint64_t sigpipe_block(void)
{
	uint64_t set = SIGPIPE_BIT, old = 0;

	thread_sigmask(SIG_BLOCK, &set, &old);
	return old;
}

static void sigpipe_restore(const uint64_t *old, bool take)
{
	static const struct timespec at_once;
	const uint64_t set = SIGPIPE_BIT;

	if (*old & SIGPIPE_BIT) /* the program's own wish: it stays pending for it */
		return;
	if (take)
		sys_call4(SYS_rt_sigtimedwait, sys_ptr(&set), 0, sys_ptr(&at_once), sizeof(set));
	thread_sigmask(SIG_SETMASK, old, NULL);
}

/* ---- one call ------------------------------------------------------------------------------ */

static long call_once(const struct polldesc *pd, const struct call *c)
{
	bool may_raise = c->mode == PD_WRITE && !pd->socket;
	const long *a = c->args;
	uint64_t mask;
	long n;

	if (may_raise)
		mask = sigpipe_block();
	do
		n = sys_call6(c->nr, pd - polldescs, a[0], a[1], a[2], a[3], a[4]);
	while (n == -EINTR);
	if (may_raise)
		sigpipe_restore(&mask, n == -EPIPE);
	return n;
}

/* The last read has emptied the stream, and nothing has come since. */
static bool is_drained(const struct polldesc *pd, const struct call *c, uint32_t seq)
{
	return c->room && pd->stream && load_rlx_u32(&pd->drained) == seq &&
	       !load_rlx_u32(&pd->odd) && (c->deadline == INT64_MAX || c->deadline > nanotime());
}

/* On a goroutine, between enter and leave. */
static long call_pd(struct polldesc *pd, const struct call *c)
{
	if (unlikely(load_rlx_u32(&pd->life) & PD_FILE)) {
		long n;

		entersyscall(getm());
		n = call_once(pd, c);
		exitsyscall();
		return n;
	}
	for (;;) {
		uint32_t seq = pollseq(pd, c->mode);
		long n = is_drained(pd, c, seq) ? -EAGAIN : call_once(pd, c);

		if (n != -EAGAIN) {
			if (n > 0 && (size_t)n < c->room && pd->stream)
				store_rlx_u32(&pd->drained, seq);
			return n;
		}
		n = pollwait(pd, c->mode, seq, c->deadline);
		if (n)
			return n;
	}
}

static long call_fd(int fd, const struct call *c)
{
	struct polldesc *pd;
	int err;
	long n;

	if (!enter())
		return -EPERM;
	pd = fdget(fd, &err);
	n = err;
	if (pd) {
		n = call_pd(pd, c);
		fdput(pd);
	}
	leave();
	return n;
}

/* ---- reading ------------------------------------------------------------------------------- */

ssize_t urge_read_until(int fd, void *buf, size_t size, int64_t deadline)
{
	const struct call c = {
		.mode = PD_READ,
		.deadline = deadline,
		.nr = SYS_read,
		.args = { sys_ptr(buf), (long)size },
		.room = size,
	};

	return call_fd(fd, &c);
}

ssize_t urge_read(int fd, void *buf, size_t size)
{
	return urge_read_until(fd, buf, size, INT64_MAX);
}

ssize_t urge_readv_until(int fd, const struct iovec *iov, int n, int64_t deadline)
{
	const struct call c = {
		.mode = PD_READ,
		.deadline = deadline,
		.nr = SYS_readv,
		.args = { sys_ptr(iov), n },
	};

	return call_fd(fd, &c);
}

ssize_t urge_readv(int fd, const struct iovec *iov, int n)
{
	return urge_readv_until(fd, iov, n, INT64_MAX);
}

ssize_t urge_recvmsg_until(int fd, struct msghdr *msg, int flags, int64_t deadline)
{
	const struct call c = {
		.mode = PD_READ,
		.deadline = deadline,
		.nr = SYS_recvmsg,
		.args = { sys_ptr(msg), flags | MSG_DONTWAIT },
	};

	return call_fd(fd, &c);
}

ssize_t urge_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return urge_recvmsg_until(fd, msg, flags, INT64_MAX);
}

/* ---- writing ------------------------------------------------------------------------------- */

/* One buffer, or several at iov; all of it. *done counts what went out. */
static long write_pd(struct polldesc *pd, const void *buf, size_t size, int64_t deadline,
		     size_t *done)
{
	struct call c = { .mode = PD_WRITE, .deadline = deadline, .nr = SYS_write };
	size_t begun = *done;

	if (pd->socket) {
		c.nr = SYS_sendto;
		c.args[2] = MSG_NOSIGNAL;
	}
	do {
		long n;

		c.args[0] = sys_ptr((const char *)buf + (*done - begun));
		c.args[1] = (long)(size - (*done - begun));
		n = call_pd(pd, &c);
		if (n < 0)
			return n;
		if (n == 0 && size > 0)
			return -EIO;
		*done += (size_t)n;
	} while (*done - begun < size);
	return 0;
}

/* What went out in part is completed by write_pd, buffer by buffer. */
static long writev_pd(struct polldesc *pd, const struct iovec *iov, int n, int64_t deadline,
		      size_t *done)
{
	const struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	struct call c = {
		.mode = PD_WRITE,
		.deadline = deadline,
		.nr = SYS_writev,
		.args = { sys_ptr(iov), n },
	};
	size_t skip;
	long got;

	if (pd->socket) {
		c.nr = SYS_sendmsg;
		c.args[0] = sys_ptr(&msg);
		c.args[1] = MSG_NOSIGNAL;
	}
	got = call_pd(pd, &c);
	if (got < 0)
		return got;
	*done = skip = (size_t)got;
	for (int i = 0; i < n; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		got = write_pd(pd, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip,
			       deadline, done);
		if (got < 0)
			return got;
		skip = 0;
	}
	return 0;
}

/* Both: iov is NULL, or there are n buffers. */
static ssize_t write_fd(int fd, const void *buf, size_t size, const struct iovec *iov, int n,
			int64_t deadline)
{
	struct polldesc *pd;
	size_t done = 0;
	long result;
	int err;

	if (!enter())
		return -EPERM;
	pd = fdget(fd, &err);
	result = err;
	if (pd) {
		result = iov ? writev_pd(pd, iov, n, deadline, &done)
			     : write_pd(pd, buf, size, deadline, &done);
		fdput(pd);
	}
	if (result < 0)
		getm()->curg->top->written = done;
	leave();
	return result < 0 ? result : (ssize_t)done;
}

size_t urge_written(void)
{
	const struct m *mp = getm();

	return mp && mp->curg ? mp->curg->top->written : 0;
}

ssize_t urge_write_until(int fd, const void *buf, size_t size, int64_t deadline)
{
	return write_fd(fd, buf, size, NULL, 0, deadline);
}

ssize_t urge_write(int fd, const void *buf, size_t size)
{
	return write_fd(fd, buf, size, NULL, 0, INT64_MAX);
}

ssize_t urge_writev_until(int fd, const struct iovec *iov, int n, int64_t deadline)
{
	if (!iov || n < 0)
		return n == 0 ? 0 : -EINVAL;
	return write_fd(fd, NULL, 0, iov, n, deadline);
}

ssize_t urge_writev(int fd, const struct iovec *iov, int n)
{
	return urge_writev_until(fd, iov, n, INT64_MAX);
}

ssize_t urge_sendmsg_until(int fd, const struct msghdr *msg, int flags, int64_t deadline)
{
	const struct call c = {
		.mode = PD_WRITE,
		.deadline = deadline,
		.nr = SYS_sendmsg,
		.args = { sys_ptr(msg), flags | MSG_DONTWAIT | MSG_NOSIGNAL },
	};

	return call_fd(fd, &c);
}

ssize_t urge_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return urge_sendmsg_until(fd, msg, flags, INT64_MAX);
}

/* ---- connections --------------------------------------------------------------------------- */

int urge_accept_until(int fd, struct sockaddr *addr, socklen_t *len, int64_t deadline)
{
	const struct call c = {
		.mode = PD_READ,
		.deadline = deadline,
		.nr = SYS_accept4,
		.args = { sys_ptr(addr), sys_ptr(len), SOCK_NONBLOCK | SOCK_CLOEXEC },
	};
	struct polldesc *pd;
	int err;
	long got;

	if (!enter())
		return -EPERM;
	pd = fdget(fd, &err);
	got = err;
	if (pd) {
		do
			got = call_pd(pd, &c);
		while (got == -ECONNABORTED); /* it went away while it was queued */
		if (got >= 0) {
			err = fdadopt((int)got, pd->stream);
			if (err) {
				fdclose((int)got);
				got = err;
			}
		}
		fdput(pd);
	}
	leave();
	return (int)got;
}

int urge_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return urge_accept_until(fd, addr, len, INT64_MAX);
}

int connect_finish(struct polldesc *pd, int64_t deadline)
{
	int fd = (int)(pd - polldescs);

	for (;;) {
		uint32_t seq = pollseq(pd, PD_WRITE);
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		int err = socket_option(fd, SO_ERROR);

		if (err > 0)
			return -err;
		if (sys_call3(SYS_getpeername, fd, sys_ptr(&peer), sys_ptr(&len)) == 0)
			return 0;
		err = pollwait(pd, PD_WRITE, seq, deadline);
		if (err)
			return err;
	}
}

static int connect_once(int fd, const struct sockaddr *addr, socklen_t len, int64_t deadline)
{
	struct polldesc *pd;
	int err;

	if (!enter())
		return -EPERM;
	pd = fdget(fd, &err);
	if (pd) {
		err = (int)sys_call3(SYS_connect, fd, sys_ptr(addr), (long)len);
		if (err == -EINPROGRESS || err == -EINTR)
			err = connect_finish(pd, deadline);
		fdput(pd);
	}
	leave();
	return err;
}

/* A Unix listener's full queue is -EAGAIN, and no event tells when there is room. */
int urge_connect_until(int fd, const struct sockaddr *addr, socklen_t len, int64_t deadline)
{
	int64_t pause = 1000 * 1000;

	for (;;) {
		int err = connect_once(fd, addr, len, deadline);
		int64_t now = nanotime();

		if (err != -EAGAIN || deadline == 0)
			return err;
		if (now >= deadline)
			return -ETIMEDOUT;
		err = urge_sleep(pause < deadline - now ? pause : deadline - now);
		if (err)
			return err;
		if (pause < 100 * URGE_MS)
			pause *= 2;
	}
}

int urge_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return urge_connect_until(fd, addr, len, INT64_MAX);
}

/* ---- the rest ------------------------------------------------------------------------------ */

static int wait_pd(struct polldesc *pd, short events, int64_t deadline)
{
	struct pollfd pfd = { .fd = (int)(pd - polldescs), .events = events };
	const struct timespec at_once = { 0 };
	uint32_t modes = (events & POLLOUT ? PD_WRITE : 0) | (events & ~POLLOUT ? PD_READ : 0);

	if (load_rlx_u32(&pd->life) & PD_FILE)
		return events & (POLLIN | POLLOUT);
	if (!modes)
		modes = PD_READ; /* a hang-up or an error are both */
	for (;;) {
		uint32_t seq = pollseq(pd, modes);
		long n = sys_call5(SYS_ppoll, sys_ptr(&pfd), 1, sys_ptr(&at_once), 0, 0);

		if (n != 0 && n != -EINTR)
			return n < 0 ? (int)n : pfd.revents;
		n = pollwait(pd, modes, seq, deadline);
		if (n)
			return (int)n;
	}
}

int urge_fd_wait(int fd, short events, int64_t deadline)
{
	struct polldesc *pd;
	int result;

	if (!enter())
		return -EPERM;
	pd = fdget(fd, &result);
	if (pd) {
		result = wait_pd(pd, events, deadline);
		fdput(pd);
	}
	leave();
	return result;
}

int urge_close(int fd)
{
	int err;

	if (!enter())
		return -EPERM;
	err = fdclose(fd);
	leave();
	return err;
}
