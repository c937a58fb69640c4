/* SPDX-License-Identifier: MIT */
/*
 * All types of the scheduler, in one file, as in Go.
 *
 *	g	a goroutine: a header here, its stack, and what is rarely needed at the stack's top
 *	m	a thread ("machine")
 *	p	a processor token with a run queue: an m needs one to run goroutines
 *	sched	what they share
 *
 * The fields of a struct stand in groups by who may write them.
 */
#ifndef URGE_SCHED_RUNTIME2_H
#define URGE_SCHED_RUNTIME2_H

#include "kernelshim/altstack.h"
#include "kernelshim/atomic.h"
#include "kernelshim/compiler.h"
#include "kernelshim/context.h"
#include "sched/lock.h"
#include "sched/timehist.h"
#include "sched/waitreason.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct g;
struct m;
struct p;

/* ---- g ------------------------------------------------------------------------------------- */

/*
 * Status of a goroutine. Who may change it: the M that runs it (Grunning, Gsyscall); whoever took
 * it out of the structure it waited in (Gwaiting -> Grunnable); the M that took it out of a run
 * queue (Grunnable -> Grunning); its allocator (Gidle, Gdead). At any time there is one such
 * owner, so a change is a plain store; casgstatus checks the old value in debug builds.
 */
enum gstatus {
	Gidle,     /* never used */
	Grunnable, /* in a run queue */
	Grunning,  /* owned by an M with a P */
	Gsyscall,  /* in a declared system call: owned by an M, perhaps without a P */
	Gwaiting,  /* parked; waitreason says where */
	Gdead = 6, /* finished: in a free list. The numbers are Go's, for schedtrace */
};

/* Bits of g.bound: why a goroutine can run on g.m only. See sched/lockedm.h. */
enum {
	BOUND_PARKED = 1, /* its thread waits in the signal handler, with the goroutine on it */
	BOUND_LOCKED = 2, /* its thread runs nothing else, and waits on g0 */
	BOUND_PINNED = 4, /* likewise, as long as it holds what belongs to the thread */
};

/* Bits of g.attr: what urge_go_attr asked for, and one more. */
enum {
	GATTR_NOPREEMPT = 1, /* URGE_PREEMPT_OFF */
	GATTR_NODE = 2,      /* to run on its node */
	GATTR_NAME = 4,      /* top->name says its name */
	GATTR_INJECT = 8,    /* URGE_PREEMPT_INJECT */
	GATTR_PARK = 16,     /* URGE_PREEMPT_PARK */
	GATTR_LEAKED = 32,   /* nobody will ever wake it: see leaks.c, which writes this */
	GATTR_LATENCY = 64,  /* URGE_CLASS_LATENCY, _BATCH: see hog.c */
	GATTR_BATCH = 128,
};

/* What an unlock function of gopark returns: false calls the park off. */
typedef bool (*park_unlock_fn)(struct g *gp, void *arg);

/*
 * The header of a goroutine. Headers are type-stable: their memory is never unmapped, so that a
 * late reader (sysmon, a dump) finds a g, if not the one it meant. Two cache lines; a switch
 * touches the first.
 */
struct g {
	/* the M that runs it writes, or its owner while it does not run */
	struct context ctx; /* while it does not run */
	struct atomic_u32 status;
	int32_t errno_;      /* its errno while it does not run */
	struct g *schedlink; /* in whichever queue or free list holds it */
	struct atomic_ptr m; /* the M that runs it, or did last */
	uint64_t goid;
	uint8_t waitreason;           /* enum waitreason; see also latency.h */
	uint8_t bound;                /* BOUND_*: it can run on m only */
	uint8_t canary;               /* its stack has no guard: see sched/stack.c */
	uint8_t class_;               /* of its stack's stride; constant while it has the stack */
	struct atomic_u32 waitticket; /* wakers claim it: see wait.h */

	/* as above, second line */
	uint32_t nopreempt; /* depth of urge_nopreempt_begin */
	uint8_t fresh;      /* has not run yet; relaxed: see runqget_newest */
	uint8_t attr;       /* GATTR_*; constant while it lives */
	uint8_t node;       /* that of its stack; constant while it has the stack */
	int64_t waitsince;  /* about when it parked, ns */
	void *waitobj;      /* what it waits on, for dumps */

	/* constant while the stack is its own */
	uintptr_t stack_lo; /* lowest usable address; the guard is below */
	uintptr_t stack_hi; /* first frame is below; struct gtop is here */
	struct gtop *top;
	uint32_t slab; /* index of its slab */
	uint32_t slot; /* which stack of the slab */
	void *tsan_fiber;
} cacheline_aligned;

_Static_assert(sizeof(struct g) == 128, "two cache lines a goroutine header");

struct timer;

/* What is left to do for an expired timer when the heap's lock is no longer held. */
struct due {
	void (*fn)(void *arg, uintptr_t extra); /* NULL: nothing */
	void *arg;
	uintptr_t extra;
};

/*
 * t, which was set to when, has expired. Under the heap's lock, so takes no lock of an earlier
 * rank. Copies into *due what due->fn will need, which runs on g0 or sysmon, perhaps without a P,
 * and never blocks: t may be gone then. Returns the timer's next time, 0 for none.
 */
typedef int64_t (*timer_expire_fn)(struct timer *t, int64_t when, int64_t now, struct due *due);

/* A timer that can be removed; embedded in what it is for. */
struct timer {
	timer_expire_fn expire; /* constant while in a heap */
	struct atomic_ptr heap; /* that heap's lock writes: where it is, NULL: nowhere */
	uint32_t pos;           /* heap's lock */
	uint32_t epoch;         /* heap's lock: the heap's, see timers_forget */
	struct atomic_u32 held; /* futex: due.fn uses it; 2: and timer_remove_held waits */
};

/* An entry of a heap: the time stands beside the pointer, so that sifting reads no timer. */
struct timerslot {
	int64_t when;
	uintptr_t what; /* a struct timer; or a struct g, plus one, that sleeps */
};

/* The deadline of a goroutine's wait, see wait.c. */
struct deadline {
	struct timer timer;
	struct g *gp;
	uint32_t ticket;
};

/* Something that somebody waits for, and that a goroutine owes even if it ends; on its stack. */
struct godefer {
	struct godefer *next;
	void (*fn)(struct godefer *defer);
};

/*
 * What a goroutine seldom needs, at the top of its stack's first page: together with its first
 * frames a parked goroutine costs one page. Starting and ending one touches the first line only,
 * which is next to its first frame.
 */
struct gtop {
	void (*fn)(void *);
	void *arg;
	uintptr_t gopc; /* who started it */
	uint64_t parentgoid;
	uint64_t eh_caught; /* __cxa_eh_globals while it does not run */
	uint32_t eh_uncaught;
	uint32_t threadlocks; /* depth of urge_lock_os_thread */
	struct urge_ctx *ctx; /* that it is bound to, or NULL, as in a dead one: see ctx.c */
	void **keys;          /* goroutine-local storage, NULL before and after: see key.c */

	struct deadline deadline;
	void *asan_fake_stack;
	char name[24];
	struct g *boundnext;    /* that is bound to the same ctx; the lock of its tree */
	struct g **boundat;     /* *boundat points here */
	size_t written;         /* by its last urge_write that failed */
	struct godefer *defers; /* to be called if it ends by urge_goexit, the last one first */
} cacheline_aligned;

/* Bits of m.attn. */
enum {
	MATTN_ENDED = 1, /* the world has ended: stop */
	MATTN_REVOKING =
		2, /* sysmon is about to take the P; whoever clears this decides: see revoke.c */
	MATTN_REVOKED = 4, /* the P has been taken */
	MATTN_FENCE = 8,   /* always, where there is no membarrier: a full fence at each entry */
	MATTN_FORKED = 16, /* in a fork's child: make the world anew; the P is gone: see fork.c */
};

/* ---- m ------------------------------------------------------------------------------------- */

/* What the old side of a switch leaves to be done by the new side. */
struct afterswitch {
	void (*fn)(struct m *mp, struct g *old);
	struct g *old;
	park_unlock_fn unlockf;
	void *arg;
};

struct m {
	/* constant while the thread lives */
	uint32_t id;              /* index in sched.allm */
	uint32_t tid_;            /* the kernel's thread id, for the owner */
	intptr_t errno_at;        /* this thread's errno: see sched/tls.h */
	intptr_t eh_at;           /* its __cxa_get_globals, 0 without libstdc++ */
	uintptr_t tls_lo, tls_hi; /* its static TLS block and thread control block, see preempt/ */
	pthread_t thread;
	int cancelstate; /* that it had, see pthread_setcancelstate: off while it is an M */
	struct altstack altstack;
	struct g g0; /* the thread's own stack, on which the scheduler runs */

	/* the owner writes; signal handlers on its own thread and dumps read */
	struct g *curg;     /* the goroutine that it runs; NULL on g0 */
	struct p *p;        /* NULL without a P */
	uint32_t locks;     /* depth in the runtime: not preempted while above 0 */
	bool spinning;      /* looks for work and is counted in sched.nmspinning */
	bool blocked;       /* waits on park */
	bool incall;        /* between entersyscall and exitsyscall */
	uint32_t pins;      /* depth of urge_pin_begin: do not move */
	uint32_t node;      /* that its thread is bound to, see node.c; at first none */
	struct g *lockedg;  /* the one goroutine that may run here; NULL: any */
	bool ends;          /* its goroutine has ended locked to it */
	struct g *nextg;    /* pick_next has taken it from the queue for its own M */
	uint32_t deferrals; /* requests that deferredg has been left alone for, to see it move on */
	struct g *deferredg;
	bool dwells; /* deferredg was in a library still after that, and was parked */
	uint8_t left; /* why the last request left its goroutine alone, enum preempt_reason, plus 1 */
	const void *parked_at; /* the signal frame while it waits in the handler */
	struct p *oldp;        /* the P that entersyscall let go of */
	uint32_t syscalltick;  /* oldp->syscalltick at entersyscall */
	int64_t callstart;     /* of a call whose P was handed off at once, else 0 */
	uint32_t rand;
	uint32_t unmeasured; /* see latency.h */
	uint32_t directs;    /* how many more switches may go past g0 */
	struct afterswitch after;
	uint64_t lockranks;    /* debug: bit n: holds a lock of rank n */
	void *asan_fake_stack; /* of g0 */

	/* others write */
	struct atomic_u32 preempt cacheline_aligned; /* yield at the next exit from the runtime */
	struct atomic_u32 abandon;     /* leave the goroutine where it is, see exit.c */
	struct atomic_u32 attn;        /* MATTN_*: to be seen at the next entry to the runtime */
	struct atomic_u32 park;        /* futex: 1 = woken */
	struct atomic_u32 cpu;         /* the owner: where it began to wait for a P: see hogq.h */
	struct p *nextp;               /* the P that its waker gives it */
	struct m *schedlink;           /* sched.lock: idle and free lists */
	struct atomic_u32 tid;         /* 0 when no thread is behind it */
	struct atomic_u32 generation;  /* counts the threads that it has had */
	struct atomic_i64 signal_sent; /* when the pending request was sent, and bits; 0: none */
	struct atomic_i64 asked; /* when its goroutine was first asked to stop, 0: it was not */
	uint8_t preempted;       /* the owner, or who gives it a P: enum preempt_way */
	int64_t exit_since;      /* sysmon, at the return of urge_main: see exit.c */
	int64_t stray_cpu;       /* sysmon: CPU time when it was last seen blocked, without a P */
} cacheline_aligned;

/* ---- p ------------------------------------------------------------------------------------- */

enum pstatus {
	Pidle,    /* in sched.pidle */
	Prunning, /* owned by an M */
	Psyscall, /* its M is in a system call: whoever changes the status by CAS has it */
	Pgcstop,  /* held still by a stop of the world */
	Pdead,    /* above GOMAXPROCS */
};

/* Bits of p.attn: reasons to go through schedule() at the next switch. */
enum {
	PATTN_STOP = 1,  /* the world is being stopped */
	PATTN_DRAIN = 2, /* GOMAXPROCS shrank */
	PATTN_EXIT = 4,  /* urge_main is returning */
};

enum { RUNQ_SIZE = 256 };

/* A queue of goroutines, linked by schedlink. */
struct gqueue {
	struct g *head, *tail;
};

/* A bundle of counters that one thread writes and everybody may sum up. */
struct counters {
	struct atomic_u64 spawned, exited, steals, parks, deferred;
	struct atomic_u64 iowaits; /* begun less ended: the sum is of those that wait */
	struct atomic_u64 steals_remote, migrations; /* see node.c */
};

/* Where the events of a trace go: a piece of the pool in trace.c. */
struct tracebuf {
	struct trace_event *next, *end;
	uint64_t dropped; /* for lack of room */
};

struct timerheap {
	struct mutex lock;
	struct timerslot *heap;    /* lock: 4-ary, reserved whole, committed as it grows */
	uint32_t n;                /* lock */
	uint32_t epoch;            /* lock: counts timers_forget */
	struct atomic_i64 minwhen; /* lock writes: the earliest, or INT64_MAX */
};

struct p {
	/* constant */
	int32_t id;
	uint32_t node;          /* its home */
	struct atomic_ptr next; /* the P that was made after this one; set once */

	/* whoever owns it by status */
	struct atomic_u32 status;
	struct atomic_ptr m;             /* its M while Prunning or Psyscall */
	struct atomic_u64 schedtick;     /* counts goroutines that got a slice */
	struct atomic_u64 inherits;      /* counts those that got what was left of another's */
	struct atomic_u64 slicetick;     /* the schedtick whose beginning slicestart is */
	struct atomic_u64 sliceinherits; /* and inherits then */
	struct atomic_u32 runshog;       /* the slice began with a hog: see hog.h */
	struct atomic_i64 hogturn;       /* until when hogs are not stopped */
	int64_t hogwhen;                 /* when a hog last ran here, or none waited */
	bool parkedturn;                 /* the next one is of those that wait in the handler */
	struct atomic_i64 slicestart;    /* ns */
	uint64_t globtick;               /* schedtick at the last look at the global queue */
	struct atomic_ptr ownnext;       /* like runnext, but not to be stolen: see runqput */
	struct atomic_u32 syscalltick;   /* counts system calls */
	struct g *gfree;                 /* dead goroutines with stacks of the default size */
	uint32_t ngfree;
	uint64_t goidcache, goidcacheend;
	struct counters count;

	/* others write */
	struct atomic_u32 attn cacheline_aligned;
	struct atomic_u32 expects; /* its M is on the way, for runnext: see node.c */
	/* sched.lock */
	struct p *link;     /* idle list */
	uint64_t idle_tick; /* schedtick, when pidle_purge last saw it idle */
	/* sysmon */
	uint64_t sysmon_schedtick;
	uint32_t sysmon_syscalltick;
	int64_t sysmon_schedwhen, sysmon_syscallwhen;
	int64_t stops;          /* when the bucket of stopped hogs will be empty: see hog.c */
	int64_t sysmon_look;    /* when to look at its thread next */
	int64_t sysmon_asked;   /* when its goroutine was last asked to stop */
	int64_t sysmon_cpu;     /* its thread's CPU time when that was last seen blocked, or -1 */
	uint32_t sysmon_stuck;  /* looks without progress, where the kernel does not tell more */
	uint32_t sysmon_defers; /* above 0: requests were put off lately, see handler_sig.c */

	/* run queue: the owner moves tail, owner and thieves change head by CAS; see runq.c */
	struct atomic_u64 runqhead cacheline_aligned; /* low half: the head; high half: an epoch */
	struct atomic_u32 runqtail;
	struct atomic_u32 sharing; /* the owner's: sched.sharing, as it last knew it */
	struct atomic_ptr runnext;
	struct atomic_ptr runq[RUNQ_SIZE];

	struct timerheap timers cacheline_aligned;

	struct timehist latency cacheline_aligned; /* the owner writes: see latency.h */
	struct tracebuf trace;                     /* the owner, and who starts a trace */
};

/* ---- sched --------------------------------------------------------------------------------- */

enum { MAX_NODES = 64, SPARE_MS = CONFIG_SPARE_MS };

/* A global run queue: one for each node. */
struct globq {
	struct gqueue q, woken; /* sched.lock; see globq.c */
	bool woken_turn;        /* sched.lock: the last one was of those that were woken */
	struct atomic_u32 size; /* sched.lock writes: of both */
} cacheline_aligned;

/* Goroutines that used up their slices on a node, the longest waiting one first. See hogq.h. */
struct hogq {
	struct mutex lock;
	struct gqueue q;         /* lock */
	struct atomic_u32 size;  /* lock writes */
	struct atomic_i64 since; /* lock writes: when the first one came, unless size is 0 */
} cacheline_aligned;

struct schedt {
	struct mutex lock;

	/* sched.lock */
	struct m *midle;
	struct m *mfree; /* without a thread */
	struct p *pidle[MAX_NODES];
	uint32_t nmidle;

	/* sched.lock writes, everybody reads */
	struct atomic_u32 mcount; /* entries of allm in use */
	struct atomic_u32 npidle;
	struct atomic_i32 gomaxprocs;
	struct atomic_u32 sharing; /* odd: there are several Ps, even: one. See runq.c */
	uint32_t nplive;           /* Ps that are not dead; only sched.lock's */

	/* everybody */
	struct atomic_u32 nmspinning cacheline_aligned;
	struct atomic_u32 nmrunning; /* Ms that are neither idle nor spare, or about to be made */
	struct atomic_u64 goidgen;
	struct atomic_u64 spawned_outside; /* goroutines started by threads without a P */
	struct atomic_u32 external;        /* outstanding urge_external_begin */
	struct atomic_u32 nthreads;        /* threads that the runtime has made and not seen end */

	struct globq globq[MAX_NODES];
	struct hogq hogs[MAX_NODES];
	struct hogq parked[MAX_NODES]; /* those that wait in the handler, on threads of their own */
	struct atomic_u32 graces;      /* so many of them get a grace run: see lockedm.c */
	struct atomic_u32 nrevoked;    /* Ms that run without the P that was taken from them */

	/* constant while the runtime runs */
	uint32_t nnodes; /* with CPUs; see node.c */
	struct m *m0;
	int64_t starttime;

	/* boot and return, see sched/boot.c */
	struct atomic_u32 phase;
	struct atomic_u32 running; /* urge_main is between boot and return */
};

extern struct schedt sched;
extern struct m *allm[CONFIG_MAX_MS];

#endif
