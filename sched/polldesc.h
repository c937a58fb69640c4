/* SPDX-License-Identifier: MIT */
/*
 * Poll descriptors: what the runtime knows of each file descriptor, and who waits for it. See
 * polldesc.c.
 */
#ifndef URGE_SCHED_POLLDESC_H
#define URGE_SCHED_POLLDESC_H

#include "kernelshim/list.h"
#include "sched/proc.h"
#include "sched/runtime2.h"

#include <errno.h>

/* What one may wait for. */
enum {
	PD_READ = 1,
	PD_WRITE = 2,
	PD_UNUSED = 4, /* urge_close: no call is under way */
	PD_CLOSED = 8, /* the end of an urge_close */
};

/* polldesc.life: a count of calls under way, and these. */
#define PD_OPEN (UINT32_C(1) << 31)    /* non-blocking, and in the epoll set */
#define PD_FILE (UINT32_C(1) << 30)    /* epoll refuses it: calls on it block */
#define PD_CLOSING (UINT32_C(1) << 29) /* nobody may begin a call */
#define PD_GONE (UINT32_C(1) << 28)    /* close is under way: the number may be another file's */
#define PD_DROPPED (UINT32_C(1) << 27) /* its page goes: additions are void, see pollpage.c */
#define PD_REFS (PD_DROPPED - 1)

/* The kernel's own limit is a million by default; a larger one is taken up to here. */
enum { POLLDESCS_MAX = 1 << 22 };

struct polldesc {
	/* everybody */
	struct atomic_u32 life;
	/* count events, so that one between a call's -EAGAIN and its wait is not lost */
	struct atomic_u32 rseq, wseq;
	struct mutex lock;
	/* lock; of the file behind the number, 0: there is none. Late events have another one */
	uint32_t generation;
	/* constant while PD_OPEN */
	bool socket;
	bool stream; /* TCP: a short read has emptied it */
	/* lock writes */
	struct atomic_u32
		odd; /* end of file, an error or urgent data: no conclusions from short reads */
	struct atomic_u32 drained; /* readers: the rseq of which a read has found the end */
	struct list_node waiters;  /* lock: of struct pollwaiter */
} cacheline_aligned;

/* By descriptor; npolldescs of them. */
extern struct polldesc *polldescs;
extern uint32_t npolldescs;

/* Reserves the table. 0 or -errno. */
int polldescinit(void);
void polldescfini(void);

int fdget_slow(struct polldesc *pd, uint32_t life);
void fdput_last(struct polldesc *pd);

/*
 * The descriptor's entry, for a call that begins: until fdput the descriptor is not closed. The
 * first one makes it non-blocking and puts it into the epoll set. NULL, and -errno in *err, when it
 * is not open or there is no memory. On a goroutine, between enter and leave; may block.
 */
static inline struct polldesc *fdget(int fd, int *err)
{
	struct polldesc *pd;
	uint32_t life;

	*err = -EBADF;
	if (unlikely((uint32_t)fd >= npolldescs))
		return NULL;
	pd = &polldescs[fd];
	life = add_u32(&pd->life, 1);
	if (unlikely((life & (PD_OPEN | PD_CLOSING)) != PD_OPEN)) {
		*err = fdget_slow(pd, life);
		if (*err)
			return NULL;
	}
	return pd;
}

static inline void fdput(struct polldesc *pd)
{
	if (unlikely((sub_u32(&pd->life, 1) & (PD_CLOSING | PD_REFS)) == PD_CLOSING))
		fdput_last(pd);
}

/*
 * A socket that the runtime has just got from the kernel, non-blocking: registers it. What is left
 * of one that the program closed behind our back is forgotten. stream: it is TCP. 0 or -errno. On a
 * goroutine, between enter and leave; may block.
 */
int fdadopt(int fd, bool stream);

/*
 * urge_close: those who wait get -EBADF, calls under way are waited for, then the number is given
 * back. 0 or -errno; it is closed in any case but -EBADF. On a goroutine, between enter and leave.
 */
int fdclose(int fd);

/* An integer option of level SOL_SOCKET; -1 if fd is no socket. */
int socket_option(int fd, int option);

/* How many events of these modes there have been: read before the call that may say -EAGAIN. */
static inline uint32_t pollseq(const struct polldesc *pd, uint32_t modes)
{
	/* pairs with store_rel in pollready: what the event told of is there for the call */
	return (modes & PD_READ ? load_acq_u32(&pd->rseq) : 0) +
	       (modes & PD_WRITE ? load_acq_u32(&pd->wseq) : 0);
}

/*
 * Waits for an event of these modes after seq. 0: there was one, so try again; -EBADF: the
 * descriptor is being closed; -EAGAIN: the deadline is 0; -ETIMEDOUT, -ENOMEM, or the error of the
 * context. On a goroutine, between enter and leave.
 */
int pollwait(struct polldesc *pd, uint32_t modes, uint32_t seq, int64_t deadline);

/* An event of the epoll set; those whom it wakes go into q. Returns how many. */
uint32_t pollready(uint64_t data, uint32_t events, struct gqueue *q);

/* Goroutines that wait for descriptors. Exact only while nobody runs. */
uint64_t pollwaiters(void);

/* Does anybody wait for this one? With its lock. */
static inline bool pollwaited(const struct polldesc *pd)
{
	assert_held(&pd->lock);
	return pd->waiters.next && !list_empty(&pd->waiters); /* the table begins as zeros */
}

/* ---- pages of the table (pollpage.c) ------------------------------------------------------- */

/* pd's page is written to. With a call counted in life, or its lock. */
void pollpage_use(const struct polldesc *pd);

/*
 * Gives pages of unused descriptors back. The template thread, since it is no M: it holds all locks
 * of a page at once, and who closes a descriptor does not wait for that. True: some are to be
 * looked at again.
 */
bool pollpages_reclaim(void);

/* The whole table has been given back. */
void pollpages_forget(void);

#endif
