/* SPDX-License-Identifier: MIT */
/*
 * Signals as elements of channels.
 *
 * The handler, on whatever thread the signal meets, sets a bit and writes to an eventfd, which is
 * in the netpoll set: so the signal comes to goroutines the way a packet does, also while all Ps
 * compute. Whoever looks into the set (an M on g0, or sysmon) sends the number to every channel
 * that has asked for it, without waiting, as in Go: a full channel misses it. Two signals of a kind
 * that come together are one.
 *
 * The eventfd is made at the first urge_signal_notify and kept until the process ends: a handler
 * that runs late must not write to a file that has got its number.
 */
#define URGE_KEEP_ERRNO
#include "sched/notify.h"

#include "kernelshim/epoll.h"
#include "preempt/notify.h"
#include "sched/chan.h"
#include "sched/lock.h"
#include "sched/netpoll.h"
#include "sched/proc.h"

#include <errno.h>
#include <signal.h>

enum { CHANNELS = 64, SIGNALS = 64 };

static struct {
	struct mutex lock;
	struct {
		urge_chan *chan;  /* lock: NULL: free */
		uint64_t signals; /* lock: bit n-1 for signal n */
	} want[CHANNELS];
	uint32_t nwant;                   /* lock */
	uint64_t taken;                   /* lock: signals whose handler is ours */
	struct sigaction former[SIGNALS]; /* lock */
	bool watched;                     /* lock: the eventfd is in this world's set */
} notify = { .lock = MUTEX_INIT(RANK_NOTIFY) };

static uint64_t bit(int signo)
{
	return UINT64_C(1) << (signo - 1);
}

/* What can be waited for: not what a fault raises, nor what libc and the runtime use. */
static bool valid(int signo)
{
	if (signo < 1 || signo > SIGNALS)
		return false;
	switch (signo) {
	case SIGKILL:
	case SIGSTOP:
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
	case 32:
	case 33:
	case CONFIG_PREEMPT_SIGNAL:
		return false;
	default:
		return true;
	}
}

void notify_deliver(void)
{
	uint64_t pending;

	lock(&notify.lock);
	eventfd_drain(load_rlx_i32(&notify_eventfd));
	pending = xchg_u64(&notify_pending, 0); /* after: what comes now writes again */
	for (int signo = 1; signo <= SIGNALS; signo++)
		for (uint32_t i = 0; pending & bit(signo) && i < CHANNELS; i++)
			if (notify.want[i].chan && notify.want[i].signals & bit(signo))
				chan_send_nb(notify.want[i].chan, &signo);
	unlock(&notify.lock);
}

/* ---- handlers ------------------------------------------------------------------------------ */

static void install(int signo)
{
	struct sigaction sa = { .sa_sigaction = notify_handler_sig,
				.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	assert_held(&notify.lock);
	if (notify.taken & bit(signo))
		return;
	sigfillset(&sa.sa_mask);
	sigaction(signo, &sa, &notify.former[signo - 1]);
	notify.taken |= bit(signo);
}

/* Gives back the signals that no channel wants any more. */
static void restore_unwanted(void)
{
	uint64_t wanted = 0;

	assert_held(&notify.lock);
	for (uint32_t i = 0; i < CHANNELS; i++)
		if (notify.want[i].chan)
			wanted |= notify.want[i].signals;
	for (int signo = 1; signo <= SIGNALS; signo++)
		if (notify.taken & ~wanted & bit(signo))
			sigaction(signo, &notify.former[signo - 1], NULL);
	notify.taken &= wanted;
}

static int watch_eventfd(void)
{
	int fd = load_rlx_i32(&notify_eventfd), err;

	assert_held(&notify.lock);
	if (notify.watched)
		return 0;
	if (fd < 0) {
		fd = eventfd_new();
		if (fd < 0)
			return fd;
		store_rlx_i32(&notify_eventfd, fd); /* before any handler is installed */
	}
	err = netpollopen(fd, NETPOLL_SIGNALS);
	notify.watched = err == 0;
	return err;
}

/* ---- the calls ----------------------------------------------------------------------------- */

/* The entry of c, or a new one; -1: there is no room. */
static int entry(const urge_chan *c)
{
	int unused = -1;

	assert_held(&notify.lock);
	for (int i = 0; i < CHANNELS; i++) {
		if (notify.want[i].chan == c)
			return i;
		if (!notify.want[i].chan && unused < 0)
			unused = i;
	}
	return unused;
}

static int add(urge_chan *c, const int *signo, size_t n)
{
	int at = entry(c), err = at < 0 ? -ENOSPC : watch_eventfd();

	if (err)
		return err;
	if (!notify.want[at].chan) {
		notify.want[at].chan = c;
		notify.want[at].signals = 0;
		if (notify.nwant++ == 0)
			urge_external_begin();
	}
	for (size_t i = 0; i < n; i++) {
		notify.want[at].signals |= bit(signo[i]);
		install(signo[i]);
	}
	return 0;
}

static void forget(uint32_t at)
{
	assert_held(&notify.lock);
	notify.want[at].chan = NULL;
	if (--notify.nwant == 0)
		urge_external_end();
}

int urge_signal_notify(urge_chan *c, const int *signo, size_t n)
{
	struct m *mp;
	int err;

	if (!c || n == 0)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!valid(signo[i]))
			return -EINVAL;
	if (!load_acq_u32(&sched.running))
		return -EPERM;
	mp = enter();
	lock(&notify.lock);
	err = add(c, signo, n);
	unlock(&notify.lock);
	if (mp)
		leave();
	return err;
}

int urge_signal_stop(urge_chan *c)
{
	struct m *mp;
	int at;

	if (!c)
		return -EINVAL;
	mp = enter();
	lock(&notify.lock);
	at = entry(c);
	if (at >= 0 && notify.want[at].chan) {
		forget((uint32_t)at);
		restore_unwanted();
	}
	unlock(&notify.lock);
	if (mp)
		leave();
	return 0;
}

void notify_after_fork(void)
{
	mutex_init(&notify.lock, RANK_NOTIFY);
	notify.watched = false;
	notify.nwant = 0;
	for (uint32_t i = 0; i < CHANNELS; i++)
		notify.nwant += notify.want[i].chan != NULL;
}

int notify_watch_again(void)
{
	int err = 0;

	lock(&notify.lock);
	if (notify.nwant > 0)
		err = watch_eventfd();
	unlock(&notify.lock);
	if (!err && load_rlx_u64(&notify_pending)) /* it came when there was no eventfd */
		eventfd_signal(load_rlx_i32(&notify_eventfd));
	return err;
}

void notify_fini(void)
{
	lock(&notify.lock);
	for (uint32_t i = 0; i < CHANNELS; i++)
		if (notify.want[i].chan)
			forget(i);
	restore_unwanted();
	notify.watched = false;
	store_rlx_u64(&notify_pending, 0);
	unlock(&notify.lock);
}
