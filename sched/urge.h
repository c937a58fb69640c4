/* SPDX-License-Identifier: MIT */
/*
 * urge: goroutines for C on Linux.
 *
 * Go's scheduler as a C library: goroutines (G) are run by threads (M) that hold a processor
 * token (P); there are GOMAXPROCS tokens. A goroutine that computes for longer than a time slice
 * while others wait is preempted by a signal.
 *
 *	#include <urge.h>
 *	static int start(void *arg) { ... urge_go(fn, arg); ... return 0; }
 *	int main(void) { return urge_main(start, NULL); }
 *
 * Conventions
 *   Results	int functions return 0 or a count, or a negative errno value (-EINVAL). They leave
 *		errno alone.
 *   Times	int64_t nanoseconds on CLOCK_MONOTONIC. A deadline is absolute.
 *   Callers	"goroutine" functions may be called by goroutines only; a call from another thread
 *		returns -EPERM where the result can say so. "any thread" functions may be called by
 *		every thread of the process while urge_main runs.
 *   Signals	No function may be called in a signal handler, except where it says "signal-safe".
 *		What is found of that is fatal, with words: a call from a handler that interrupted
 *		this library, and one that would block on an alternate signal stack.
 *   Misuse	What can't be answered by an error code ends the process with a line "fatal error:
 *		..." on stderr, a dump of the goroutines (1000 of them and the caller at most), and
 *		exit status 2.
 *
 * Thread-local variables. A goroutine may run on another thread after every call of this library,
 * and the address of a thread-local variable, once taken, does not follow it: do not hold one
 * across a call. errno is redefined below for this reason: it belongs to the goroutine. So do the
 * exceptions of C++. All else that belongs to a thread stays with it: see docs/thread-affine.md.
 */
#ifndef URGE_H
#define URGE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#define URGE_NORETURN [[noreturn]]
#else
#define URGE_NORETURN _Noreturn
#endif

#if defined(__GNUC__)
#define URGE_API __attribute__((visibility("default")))
#else
#define URGE_API
#endif

#define URGE_VERSION_MAJOR 0
#define URGE_VERSION_MINOR 1
#define URGE_VERSION_PATCH 0

/* The version of the library that is linked, "0.1.0". Any thread, signal-safe, also before boot. */
URGE_API const char *urge_version(void);

/* ---- errno --------------------------------------------------------------------------------- */

/*
 * The address of the calling goroutine's errno, valid until its next call of this library. Not
 * declared const or pure, so that a compiler asks again after each call; glibc declares
 * __errno_location const, and a compiler then keeps the address of the thread that was left.
 * Any thread, signal-safe, also before boot.
 */
URGE_API int *urge_errno(void);

#ifndef URGE_KEEP_ERRNO
#undef errno
#define errno (*urge_errno())
#endif

/* ---- time ---------------------------------------------------------------------------------- */

#define URGE_US INT64_C(1000)
#define URGE_MS INT64_C(1000000)
#define URGE_S INT64_C(1000000000)
#define URGE_FOREVER INT64_MAX

/* CLOCK_MONOTONIC in nanoseconds. Any thread, signal-safe, also before boot. */
URGE_API int64_t urge_now(void);

/*
 * Suspends the goroutine for at least ns nanoseconds; others run meanwhile. ns <= 0 returns at
 * once. Returns 0, -EPERM when the caller is no goroutine, -ENOMEM, at once, when its P has four
 * million sleepers already, or the error of the context that the goroutine is bound to.
 */
URGE_API int urge_sleep(int64_t ns);

/* The same until a deadline; one that has passed returns 0 at once, without letting others run. */
URGE_API int urge_sleep_until(int64_t deadline);

/*
 * A timer: when its time has come it starts a goroutine that runs fn(arg).
 *
 *   after	makes one and sets it to ns nanoseconds from now; ns <= 0 starts the goroutine as soon
 *		as possible. NULL: fn is NULL, there is no memory, four million timers are set on
 *		the caller's P and as many on the first, or the runtime does not run.
 *   stop	true: the timer was set, and its function will not run; false: it has been started,
 *		though it may not have come far, or the timer had been stopped already.
 *   reset	sets the timer anew, whether it is set or not, and returns what a stop would have.
 *		One that is not set may find no room, like a new one, and is not set then.
 *   free	stops it, and frees it; also in the function itself. The function, if it has been
 *		started, runs on: what arg points to is not covered. NULL has no effect.
 *
 * If there is no memory for the goroutine, it is tried again every millisecond. Timers that are set
 * when urge_main returns are stopped by that. Calls on one timer may come at the same time, but for
 * its free. Nothing blocks. Any thread; stop and free also while the runtime does not run.
 */
typedef struct urge_timer urge_timer;

URGE_API urge_timer *urge_timer_after(int64_t ns, void (*fn)(void *), void *arg);
URGE_API bool urge_timer_stop(urge_timer *timer);
URGE_API bool urge_timer_reset(urge_timer *timer, int64_t ns);
URGE_API void urge_timer_free(urge_timer *timer);

/* ---- boot ---------------------------------------------------------------------------------- */

/*
 * Starts the runtime, runs fn(arg) as goroutine 1 and returns its result on the calling thread.
 * When fn returns, the other goroutines are not waited for, as in Go: each is discarded at the next
 * point where it parks or, if it computes in code of the program's, is interrupted; one that is
 * blocked in the kernel is left behind, and stops at its next call of this library. One that
 * computes in a library's code is waited for, and named on stderr after a second. urge_nopreempt
 * keeps nobody from being discarded. The destructors of what is local to the threads of the runtime
 * are waited for too. May be called again afterwards, from any thread.
 *
 * Returns fn's result; or, with nothing run: -EBUSY when the runtime runs already, -EINVAL when fn
 * is NULL, -ENOMEM, -EAGAIN, -EMFILE or -ENFILE when the system gives no memory, threads or
 * descriptors.
 *
 * Environment, ignored in set-user-ID programs (secure_getenv):
 *   GOMAXPROCS=n	the number of Ps; default: what CPUs and quota allow, see urge_gomaxprocs
 *   URGEDEBUG=k=v,...	inittrace=1, schedtrace=ms, scheddetail=1, slice=us, asyncpreemptoff=1,
 *			updatemaxprocs=0, autoprocstrace=1, leaks=1
 * An unknown key or a bad value is named on stderr and ignored.
 *
 * The runtime uses SIGURG (Kconfig: PREEMPT_SIGNAL), and passes every other SIGURG to the handler
 * that was installed before: install yours before urge_main, and leave it. SIGQUIT prints the
 * goroutines and ends the process with status 2, unless the program handles or ignores it when
 * urge_main is called. A SIGSEGV in a goroutine's guard page is explained on stderr, then goes to
 * the program's handler or ends the process. Goroutines run with the caller's signal mask.
 *
 * fork may be called in goroutines. A child that goes on has the goroutine that forked, and no
 * other; urge_main does not return there, the result of goroutine 1 is the exit status: see
 * urge(7).
 */
URGE_API int urge_main(int (*fn)(void *), void *arg);

/* ---- goroutines ---------------------------------------------------------------------------- */

typedef void (*urge_fn)(void *);

/* How goroutines are preempted. */
enum {
	URGE_PREEMPT_AUTO, /* by moving the goroutine where that is safe, else by parking its thread */
	URGE_PREEMPT_INJECT, /* only by moving the goroutine */
	URGE_PREEMPT_PARK,   /* only by parking its thread */
	URGE_PREEMPT_OFF,    /* only at calls of this library */
};

/*
 * Attributes of a goroutine. Start from URGE_ATTR_INIT; zero means the default, but in node.
 *   stack_size	usable bytes, rounded up to pages; at most 1 GiB. Only touched pages use memory, but
 *		the address space is taken. The default is what is left of a reserve of 256 KiB
 *		(Kconfig: DEFAULT_STACK_SIZE) without the guard page and the one that holds the
 *		runtime's own few bytes.
 *   name	for dumps and overflow messages; copied, at most 23 bytes of it
 *   node	the memory node to run on, by the kernel's number (/sys/devices/system/node), as far as
 *		there is an idle P: each time it is started, woken or preempted it goes there, and its
 *		stack is memory of it. A node without CPUs for the process stands for the nearest one
 *		with. -EINVAL for a node that there is not, but for 0. Default: URGE_NODE_ANY.
 *   preempt	URGE_PREEMPT_AUTO: as the process, see urge_set_preempt; URGE_PREEMPT_INJECT and _PARK:
 *		only so, whatever the process's way is, unless that is URGE_PREEMPT_OFF; URGE_PREEMPT_OFF:
 *		never by a signal
 *   class_	what it is taken for. URGE_CLASS_AUTO: the runtime finds out. Who has used up a time
 *		slice runs when nobody else wants to, and at least a tenth of the time, until it blocks
 *		or yields by itself. URGE_CLASS_BATCH: is treated so from its start, and from each
 *		interruption on. URGE_CLASS_LATENCY: never, it takes turns with the others, but where
 *		its thread has to be stopped with it. Another value is -EINVAL.
 */
enum { URGE_NODE_ANY = -1 };
enum { URGE_CLASS_AUTO, URGE_CLASS_LATENCY, URGE_CLASS_BATCH };

struct urge_attr {
	size_t stack_size;
	const char *name;
	int class_;
	int node;
	int preempt;
	int reserved[7]; /* zero */
};
#define URGE_ATTR_INIT                                                                             \
	{                                                                                          \
		0, 0, 0, URGE_NODE_ANY, 0,                                                         \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

/*
 * Starts a goroutine that runs fn(arg), and ends when fn returns. It is the next to run on the
 * caller's P when the caller blocks or yields; started by a thread that is no goroutine, it goes to
 * the end of the global queue. attr may be NULL. Never waits for other goroutines. Any thread.
 * Returns 0, -EINVAL (fn is NULL, an attribute is out of range), -ENOMEM, or -EPERM when the
 * runtime does not run.
 */
URGE_API int urge_go(urge_fn fn, void *arg);
URGE_API int urge_go_attr(const struct urge_attr *attr, urge_fn fn, void *arg);

/* Lets other goroutines run. On a thread of the program's own: sched_yield. Any thread. */
URGE_API void urge_yield(void);

/*
 * Ends the calling goroutine, without unwinding its stack: no C++ destructor runs. Ending goroutine
 * 1 so leaves the others running, as in Go. Goroutine; elsewhere fatal.
 */
URGE_NORETURN URGE_API void urge_goexit(void);

/*
 * The calling goroutine's number, from 1, not reused within one urge_main; 0 on other threads. Any
 * thread, also before boot.
 */
URGE_API uint64_t urge_goid(void);

/* The number of goroutines that exist, those that have not run yet included. Any thread. */
URGE_API size_t urge_num_goroutine(void);

/* ---- goroutine-local storage --------------------------------------------------------------- */

#define URGE_KEYS_MAX 128

/*
 * Values that belong to a goroutine, as pthread_setspecific's belong to a thread.
 *   key_create	makes a key, for the life of the process. dtor, unless NULL, is called with each value
 *		but NULL when its goroutine ends; values that destructors set are destroyed
 *		in turn, for four rounds. Any thread, also before boot. -EINVAL: key is NULL; -EAGAIN:
 *		there are URGE_KEYS_MAX already.
 *   setspecific	goroutine: 0, -EINVAL for a key that was not created, -ENOMEM (the first value
 *		of a goroutine takes 1 KiB); -EPERM elsewhere
 *   getspecific	the value, NULL if none was set, on other threads too
 * What is discarded when urge_main returns is not destroyed.
 */
typedef uint32_t urge_key;

URGE_API int urge_key_create(urge_key *key, void (*dtor)(void *value));
URGE_API int urge_setspecific(urge_key key, void *value);
URGE_API void *urge_getspecific(urge_key key);

/* ---- waiting for goroutines ---------------------------------------------------------------- */

/*
 * A counter that can be waited for to become zero. Zero-initialised; embedded by the program; may
 * be freed as soon as a wait has returned 0 and no other call on it is under way or still to come.
 *   add	a negative counter is fatal: "sync: negative WaitGroup counter"
 *   done	add(-1)
 *   wait	blocks while the counter is above zero; a thread that is no goroutine sleeps
 * Any thread, also before boot. After the counter has become zero it can be used anew when all
 * waits have returned; to add earlier is fatal where it is seen: "sync: WaitGroup misuse: Add
 * called concurrently with Wait". wait_until is as the int calls of locks, below.
 */
typedef struct urge_waitgroup {
	uint64_t state_; /* private, like all that end in an underscore */
	void *waiters_, *threads_;
	int64_t world_;
} urge_waitgroup;

URGE_API void urge_waitgroup_add(urge_waitgroup *wg, int n);
URGE_API void urge_waitgroup_done(urge_waitgroup *wg);
URGE_API void urge_waitgroup_wait(urge_waitgroup *wg);
URGE_API int urge_waitgroup_wait_until(urge_waitgroup *wg, int64_t deadline);

/* ---- I/O ----------------------------------------------------------------------------------- */

/*
 * I/O on descriptors: sockets, pipes, terminals, eventfds, whatever can be polled. The goroutine
 * waits, the thread runs others. All are goroutine functions, so -EPERM elsewhere; a goroutine that
 * is bound to a context gets its error. Several goroutines may use one descriptor at once.
 *
 * At its first use here a descriptor is made non-blocking, which everybody who shares it sees, and
 * watched. From then on it is to be closed by urge_close, else a later descriptor with its
 * number may wait for ever. Files that can't be polled (regular ones) are read and written in a
 * blocking section, which no deadline ends.
 *
 * The forms with a deadline return -ETIMEDOUT when it passes before the call is done, and with
 * deadline 0 -EAGAIN instead of waiting. Any call on a descriptor that is closed meanwhile, also
 * one that waits already, returns -EBADF. Writing to a peer that is gone is -EPIPE; there is no
 * SIGPIPE.
 */

/* As read, readv, recvmsg: 0 is the end of the file. */
URGE_API ssize_t urge_read(int fd, void *buf, size_t size);
URGE_API ssize_t urge_read_until(int fd, void *buf, size_t size, int64_t deadline);
URGE_API ssize_t urge_readv(int fd, const struct iovec *iov, int n);
URGE_API ssize_t urge_readv_until(int fd, const struct iovec *iov, int n, int64_t deadline);
URGE_API ssize_t urge_recvmsg(int fd, struct msghdr *msg, int flags);
URGE_API ssize_t urge_recvmsg_until(int fd, struct msghdr *msg, int flags, int64_t deadline);

/*
 * Writes everything, and returns its length; or an error, and then urge_written says how much went
 * out before it. Others' writes may come between the parts of one that had to wait.
 */
URGE_API ssize_t urge_write(int fd, const void *buf, size_t size);
URGE_API ssize_t urge_write_until(int fd, const void *buf, size_t size, int64_t deadline);
URGE_API ssize_t urge_writev(int fd, const struct iovec *iov, int n);
URGE_API ssize_t urge_writev_until(int fd, const struct iovec *iov, int n, int64_t deadline);

/* The bytes that went out in the goroutine's last write that returned an error. Any thread. */
URGE_API size_t urge_written(void);

/* As sendmsg: on a stream it may send less than all. */
URGE_API ssize_t urge_sendmsg(int fd, const struct msghdr *msg, int flags);
URGE_API ssize_t urge_sendmsg_until(int fd, const struct msghdr *msg, int flags, int64_t deadline);

/*
 * As accept and connect. The accepted socket is close-on-exec, and ready for the calls here. A
 * connection that was broken off in the queue is skipped; -EMFILE and -ENFILE are returned at
 * once, and the connection stays queued: sleep a while before the next try. A connect that its
 * deadline ends goes on in the kernel: close the socket.
 */
URGE_API int urge_accept(int fd, struct sockaddr *addr, socklen_t *len);
URGE_API int urge_accept_until(int fd, struct sockaddr *addr, socklen_t *len, int64_t deadline);
URGE_API int urge_connect(int fd, const struct sockaddr *addr, socklen_t len);
URGE_API int urge_connect_until(int fd, const struct sockaddr *addr, socklen_t len,
				int64_t deadline);

/*
 * Waits until one of the events (POLLIN, POLLOUT, POLLPRI, POLLRDHUP, as for poll) is there;
 * POLLERR and POLLHUP always count. Returns those that are. Before a call of another library that
 * reads or writes fd itself.
 */
URGE_API int urge_fd_wait(int fd, short events, int64_t deadline);

/*
 * Sockets by address. host and port are names or numbers, as for getaddrinfo; host NULL is every
 * address of the machine (listen, IPv6 and IPv4) or the machine itself (dial). backlog 0 is the
 * system's largest. The sockets are close-on-exec, those of TCP without delay (TCP_NODELAY, also
 * the accepted ones), a listener may use an address again at once (SO_REUSEADDR). dial tries all
 * addresses of a name, one after the other, each with an equal share of the time, but at least
 * two seconds of it. Unix: a path that begins with @ is an abstract name; a file is not removed,
 * neither before nor after. Return a descriptor, or the first address's error: those of the system
 * calls and of urge_getaddrinfo, -ETIMEDOUT, -EPERM, -ENAMETOOLONG.
 */
URGE_API int urge_listen_tcp(const char *host, const char *port, int backlog);
URGE_API int urge_dial_tcp(const char *host, const char *port, int64_t deadline);
URGE_API int urge_listen_udp(const char *host, const char *port);
URGE_API int urge_dial_udp(const char *host, const char *port);
URGE_API int urge_listen_unix(const char *path, int backlog);
URGE_API int urge_dial_unix(const char *path, int64_t deadline);
URGE_API int urge_listen_unixgram(const char *path);
URGE_API int urge_dial_unixgram(const char *path);

/*
 * getaddrinfo, on one of at most 32 threads of the runtime; a goroutine waits. *res is to be freed
 * by freeaddrinfo, and NULL after an error. A lookup that its deadline ends goes on by itself; with
 * deadline 0 only numbers are answered. Returns 0; -ENOENT: no such host or service; -EHOSTUNREACH:
 * nobody could be asked, try later; -EIO: the answer was a failure; -EINVAL: the hints; or -EAGAIN,
 * -ETIMEDOUT, -ENOMEM, -EPERM, another error of the system, that of the context.
 */
struct addrinfo;
URGE_API int urge_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			      struct addrinfo **res, int64_t deadline);

/*
 * Closes. Calls on it that wait return -EBADF; those under way in the kernel are waited for (a read
 * from a file that can't be polled may take its time). 0, -EBADF, or another error of close, after
 * which it is closed as well.
 */
URGE_API int urge_close(int fd);

/* ---- locks --------------------------------------------------------------------------------- */

/*
 * Locks are embedded by the program, zero-initialised ({ 0 }, in C++ {}), of fixed size, and must
 * not be copied or moved while in use. Nothing is to be destroyed; the memory may be freed as soon
 * as nobody is in a call on the lock or still to come: by the goroutine that has just had the lock,
 * too. What the names of fields end in an underscore for: they are private.
 *
 * Void calls: any thread, also before boot. A goroutine that must wait leaves its thread to others; a
 * thread of the program's own sleeps. Both queue in the same order. A goroutine's context does not
 * end them.
 * Int calls (.._until): goroutine; -EPERM elsewhere, even if they would not wait. With deadline 0
 * they do not wait, and return -EAGAIN; one that has passed is -ETIMEDOUT if the call would wait.
 * -ECANCELED or what else the goroutine's context ends with. -ENOMEM: no room for a timer.
 * try calls: any thread, also before boot; never wait.
 */

/*
 * A mutual exclusion lock. Those who wait get it in order, but who comes along at the right moment
 * may be faster, until one has waited for 1 ms: then the mutex is handed from one to the next, in
 * order. It is not bound to a goroutine: another one may unlock it.
 *   lock	waits until it is free; not recursive
 *   trylock	true if it got it
 *   unlock	of a mutex that is not locked is fatal: "sync: unlock of unlocked mutex"
 * When goroutines wait for each other's mutexes in a circle, without deadlines, they can never get
 * out: that is told on stderr once, with the goroutines, while the others go on.
 */
typedef struct urge_mutex {
	uint32_t state_;
	uint32_t turn_;
	void *owner_;
} urge_mutex;

URGE_API void urge_mutex_lock(urge_mutex *m);
URGE_API bool urge_mutex_trylock(urge_mutex *m);
URGE_API int urge_mutex_lock_until(urge_mutex *m, int64_t deadline);
URGE_API void urge_mutex_unlock(urge_mutex *m);

/*
 * A lock of many readers or one writer. A writer that waits keeps new readers out, so a goroutine
 * must not rlock again what it has rlocked; a writer that unlocks first lets those readers in that
 * wait. runlock of what nobody has rlocked is fatal: "sync: RUnlock of unlocked RWMutex"; so is
 * unlock of what nobody has locked: "sync: Unlock of unlocked RWMutex".
 */
typedef struct urge_rwmutex {
	urge_mutex writers_;
	uint32_t state_;
	uint32_t writer_;
} urge_rwmutex;

URGE_API void urge_rwmutex_rlock(urge_rwmutex *rw);
URGE_API bool urge_rwmutex_tryrlock(urge_rwmutex *rw);
URGE_API int urge_rwmutex_rlock_until(urge_rwmutex *rw, int64_t deadline);
URGE_API void urge_rwmutex_runlock(urge_rwmutex *rw);
URGE_API void urge_rwmutex_lock(urge_rwmutex *rw);
URGE_API bool urge_rwmutex_trylock(urge_rwmutex *rw);
URGE_API int urge_rwmutex_lock_until(urge_rwmutex *rw, int64_t deadline);
URGE_API void urge_rwmutex_unlock(urge_rwmutex *rw);

/*
 * A place to wait until something has changed that a mutex protects. No wake-ups but by a signal or
 * a broadcast; still, what was waited for may be gone again, so wait in a loop.
 *   wait	unlocks m, which is locked, waits, and locks it again. wait_until locks it whatever it
 *		returns; -EAGAIN and -EPERM have not unlocked it. What it returns for a deadline does not
 *		say whether the condition holds.
 *   signal	wakes the one that has waited longest; broadcast: all. With or without the mutex. Any
 *		thread, never wait.
 */
typedef struct urge_cond {
	uint32_t waiters_;
} urge_cond;

URGE_API void urge_cond_wait(urge_cond *cond, urge_mutex *m);
URGE_API int urge_cond_wait_until(urge_cond *cond, urge_mutex *m, int64_t deadline);
URGE_API void urge_cond_signal(urge_cond *cond);
URGE_API void urge_cond_broadcast(urge_cond *cond);

/*
 * Something that is done once: by the first caller, while the others wait for it. A call with the
 * same once in fn never returns. A goroutine that ends in fn, by urge_goexit, has done it. C++: no
 * exception may leave fn.
 */
typedef struct urge_once {
	uint32_t done_;
	urge_mutex mutex_;
} urge_once;

URGE_API void urge_once_do(urge_once *once, urge_fn fn, void *arg);

/*
 * A counting semaphore. Those who wait get their units in order, each straight from a release.
 *   init	n units; or { 0 } for none
 *   acquire	waits for a unit and takes it: 0
 *   try_acquire	0 or -EAGAIN
 *   release	gives one unit
 */
typedef struct urge_sem {
	uint64_t state_;
} urge_sem;

URGE_API void urge_sem_init(urge_sem *sem, uint32_t n);
URGE_API int urge_sem_acquire(urge_sem *sem);
URGE_API int urge_sem_acquire_until(urge_sem *sem, int64_t deadline);
URGE_API int urge_sem_try_acquire(urge_sem *sem);
URGE_API void urge_sem_release(urge_sem *sem);

/* ---- blocking and foreign code ------------------------------------------------------------- */

/*
 * Brackets a system call, or foreign code, that may block: between the two calls the goroutine
 * stays on its thread and is not preempted, but its P may be handed to another thread. Fatal are:
 * an entry in between (they do not nest), any other call of this library but urge_now, urge_errno
 * and urge_goid, and an exit without an entry. urge_exitsyscall blocks until there is a P; it keeps
 * errno. Goroutine; elsewhere without effect.
 */
URGE_API void urge_entersyscall(void);
URGE_API void urge_exitsyscall(void);

/*
 * Calls fn(arg) between the two, on the thread's own stack, which is as large as any thread's: for
 * libraries that may block or need much stack. Others get the P at once if they wait. What holds
 * between urge_entersyscall and urge_exitsyscall holds for fn; no exception of C++ may leave it.
 * Returns fn's result; without a call -EPERM when the caller is no goroutine, -EINVAL when fn is
 * NULL.
 */
URGE_API int urge_blocking(int (*fn)(void *), void *arg);

/*
 * Between the two calls the goroutine is not preempted and stays on its thread, unless it blocks or
 * yields by itself. Nests. For code that holds what belongs to the thread, briefly: who waits for
 * the P waits on, and so does a stop of the world. Goroutine; elsewhere no effect. An end without a
 * begin is fatal.
 */
URGE_API void urge_nopreempt_begin(void);
URGE_API void urge_nopreempt_end(void);

/*
 * Between the two calls the goroutine stays on its thread, also if it blocks; the thread runs
 * nobody else meanwhile. It may be preempted, together with its thread. Nests. For code that holds
 * what belongs to the thread: a lock that only its thread may release, a handle, a context. The
 * locks of libc do it by themselves, where liburge-pins.so is linked or preloaded or liburge.a is
 * linked. Any thread, signal-safe; without effect where there is no goroutine.
 */
URGE_API void urge_pin_begin(void);
URGE_API void urge_pin_end(void);

/*
 * Locks the goroutine to its thread, which then runs nothing else, until it has unlocked as often:
 * for what belongs to a thread (a graphics context, a namespace, a signal mask). It may be
 * preempted, and block, like any other. A goroutine that ends locked ends its thread, unless that
 * is the process's first. Goroutine; elsewhere no effect. An unlock without a lock has none either.
 */
URGE_API void urge_lock_os_thread(void);
URGE_API void urge_unlock_os_thread(void);

/*
 * Between the two calls somebody outside the runtime (a thread, a device) may wake goroutines:
 * no deadlock is reported. Counts: each begin needs its end. Any thread, also before boot.
 */
URGE_API void urge_external_begin(void);
URGE_API void urge_external_end(void);

/* ---- channels ------------------------------------------------------------------------------ */

/*
 * A channel carries elements of one size from goroutine to goroutine, first in, first out. A send
 * on a channel without room waits for a receiver, a receive on an empty one for a sender; who has
 * waited longest goes first. Nothing but the memory of the elements is copied: who owns what they
 * point to changes hands by the program's own rules.
 *
 * A nil channel, NULL, is never ready: to wait on it is to wait for ever, or until the deadline.
 *
 * What sends before a receive has been written before the receive returns; so has what a receiver
 * from a channel of capacity n wrote before the n-th receive, when the send that follows it
 * returns; and what was written before a close, when a receive returns because of it.
 */
typedef struct urge_chan urge_chan;

/*
 * Makes a channel for elements of elem_size bytes (0 to 64 KiB), of which it buffers capacity (0:
 * none, each send meets its receiver). NULL and errno = ENOMEM without memory; a size out of range
 * is fatal. The caller owns it. Any thread, also before boot.
 */
URGE_API urge_chan *urge_chan_make(size_t elem_size, size_t capacity);

/*
 * Frees a channel and what it buffers. No other call on it may be under way or come later; fatal if
 * goroutines wait on it. A call counts as over for this as soon as it can return: a receiver may
 * free the channel at once when the last element has come, and so may the one that has closed it
 * while others waited in a plain send or receive (a select may look at its channels once more until
 * it has returned). Those that urge_main has discarded don't count. NULL is ignored. Any thread,
 * also without a running urge_main.
 */
URGE_API void urge_chan_free(urge_chan *c);

/*
 * Sends *elem, NULL for zeros; waits while there is no room. Returns 0; -EPIPE when the channel is
 * closed or is closed during the wait; -EPERM when the caller is no goroutine; for a goroutine that
 * is bound to a context its error, -ECANCELED or -ETIMEDOUT. Nothing was sent then.
 *
 * try: never waits, -EAGAIN when it would have to. Any thread. until: -ETIMEDOUT when the deadline
 * passes, or has passed and the call would have to wait; deadline 0 is try. -ENOMEM when there is
 * no room for the timer.
 */
URGE_API int urge_send(urge_chan *c, const void *elem);
URGE_API int urge_try_send(urge_chan *c, const void *elem);
URGE_API int urge_send_until(urge_chan *c, const void *elem, int64_t deadline);

/*
 * Receives into *elem, NULL to discard; waits while there is nothing. Returns 0; -EPIPE when the
 * channel is closed and empty, *elem is zeros then; other errors and forms as for send, *elem is as
 * it was then.
 */
URGE_API int urge_recv(urge_chan *c, void *elem);
URGE_API int urge_try_recv(urge_chan *c, void *elem);
URGE_API int urge_recv_until(urge_chan *c, void *elem, int64_t deadline);

/*
 * Closes: what is buffered can still be received, then receives return -EPIPE at once, and sends at
 * once. All who wait are woken. Fatal on a closed or a nil channel. Any thread.
 */
URGE_API void urge_close_chan(urge_chan *c);

/* Elements in the buffer, about; its capacity. 0 for NULL. Any thread. */
URGE_API size_t urge_chan_len(const urge_chan *c);
URGE_API size_t urge_chan_cap(const urge_chan *c);

/* ---- signals -------------------------------------------------------------------------------- */

/*
 * Sends the number of each of these signals, an int, to the channel when it comes. Never waits: a
 * channel that is full misses it, so give it room for one at least. Several calls for a channel add
 * up. The former handlers are back after the stop, or at the end of urge_main. While a channel
 * waits for signals no deadlock is reported. Returns 0; -EINVAL: no signal, one that can't be
 * waited for (SIGKILL, SIGSTOP, faults, SIGURG, 32, 33), or no channel; -ENOSPC: 64 channels wait
 * already; -EMFILE, -ENOMEM; -EPERM when the runtime does not run. Any thread.
 */
URGE_API int urge_signal_notify(urge_chan *c, const int *signo, size_t n);

/* No more signals for the channel, which may then be freed. 0, or -EINVAL for NULL. Any thread. */
URGE_API int urge_signal_stop(urge_chan *c);

/* ---- select -------------------------------------------------------------------------------- */

enum { URGE_SEND = 1, URGE_RECV = 2 };

/* One send or receive that select may choose; a nil channel's is never possible. */
struct urge_case {
	urge_chan *chan;
	int op;     /* URGE_SEND or URGE_RECV */
	void *elem; /* as in urge_send and urge_recv */
	int result; /* set in the case that went: 0, or -EPIPE when its channel is closed */
};

/*
 * Does one of n sends and receives, the first that is possible; if several are, one of them by
 * chance, each with the same. The same channel may be in several cases. Returns the index of the
 * case, whose result is set; the others have not happened. With no case that can ever go, it
 * waits for ever.
 *
 * try: never waits; -EAGAIN when no case was possible, all at one instant. Any thread. until:
 * -ETIMEDOUT when the deadline passes, or has passed and the call would have to wait; deadline 0 is
 * try. Else -EPERM when the caller is no goroutine; -EINVAL for more than 65536 cases or another
 * op; -ENOMEM when there is no memory for many cases, or no room for the timer; the error of the
 * context that the goroutine is bound to.
 */
URGE_API int urge_select(struct urge_case *cases, size_t n);
URGE_API int urge_try_select(struct urge_case *cases, size_t n);
URGE_API int urge_select_until(struct urge_case *cases, size_t n, int64_t deadline);

/* ---- channels that get the time ------------------------------------------------------------ */

/*
 * A channel that gets the time (urge_now's, an int64_t), once, ns nanoseconds from now; ns <= 0: as
 * soon as possible. The caller owns it and frees it by urge_chan_free, before or after that. NULL:
 * no memory, four million timers are set on the caller's P and as many on the first, or the runtime
 * does not run. Nothing is sent any more when urge_main has returned. Any thread.
 */
URGE_API urge_chan *urge_after(int64_t ns);

/*
 * A ticker: its channel gets the time every period nanoseconds. One tick waits for a slow reader,
 * more are dropped; the times at which ticks are due are multiples of the period, however late one
 * comes.
 *   new	NULL: period <= 0, or as urge_after
 *   chan	the channel, which belongs to the ticker: don't close or free it
 *   stop	frees the ticker and its channel, as urge_chan_free does: nobody may use that any more
 * Nobody waits for other goroutines here. Any thread; stop also without a running urge_main.
 */
typedef struct urge_ticker urge_ticker;

URGE_API urge_ticker *urge_ticker_new(int64_t period);
URGE_API urge_chan *urge_ticker_chan(urge_ticker *ticker);
URGE_API void urge_ticker_stop(urge_ticker *ticker);

/* ---- contexts ------------------------------------------------------------------------------ */

/*
 * A context tells those who work on something to give it up, and why; contexts form trees, and what
 * cancels one cancels all below it. It may also carry a value, and a goroutine that is bound to it
 * is woken from its waits. A context is cancelled once and for ever.
 *
 * Ownership: each context that a function returns is the caller's reference, given back by
 * urge_ctx_release; a reference more, for somebody else, is taken by urge_ctx_retain. Children keep
 * their parents, and goroutines what they are bound to. The background context needs none of this.
 *
 * None of these functions blocks. Any thread, also while the runtime does not run, except where it
 * says otherwise.
 */
typedef struct urge_ctx urge_ctx;

/*
 * The root of all contexts: it is never cancelled (urge_ctx_cancel has no effect on it), has no
 * value and no deadline, and its done channel is NULL, the nil channel.
 */
URGE_API urge_ctx *urge_ctx_background(void);

/*
 * A child of parent; cancelled already if that is. NULL without memory. A parent that is NULL is
 * fatal: "cannot create context from nil parent".
 */
URGE_API urge_ctx *urge_ctx_with_cancel(urge_ctx *parent);

/*
 * The same, which is cancelled with -ETIMEDOUT when the deadline passes, if it is earlier than the
 * parent's; with one that has passed already it comes cancelled. NULL also when four million timers
 * are set on the caller's P and as many on the first, or if the runtime does not run. A deadline
 * that is still to come when urge_main returns never comes.
 */
URGE_API urge_ctx *urge_ctx_with_deadline(urge_ctx *parent, int64_t deadline);

/*
 * The same as urge_ctx_with_cancel, with a value under a key. Keys are compared as addresses: that
 * of a static variable is nobody else's. NULL is fatal: "nil key". What key and value point to
 * stays the caller's.
 */
URGE_API urge_ctx *urge_ctx_with_value(urge_ctx *parent, const void *key, void *value);

/* The value under the key in ctx or the nearest of its parents that has one; else NULL. */
URGE_API void *urge_ctx_value(urge_ctx *ctx, const void *key);

/*
 * Takes a reference to ctx, which the caller has or borrows one to, and returns it; gives one back:
 * with the last one the context is freed, and its done channel. NULL is ignored by release. To give
 * a context up does not cancel it.
 */
URGE_API urge_ctx *urge_ctx_retain(urge_ctx *ctx);
URGE_API void urge_ctx_release(urge_ctx *ctx);

/*
 * Cancels ctx and all below it, with a negative errno value; 0, or a positive one, is -ECANCELED.
 * Without effect if it is cancelled already. Takes time in proportion to the contexts and bound
 * goroutines below it.
 */
URGE_API void urge_ctx_cancel(urge_ctx *ctx, int err);

/* 0, or what ctx was cancelled with. Signal-safe. */
URGE_API int urge_ctx_err(urge_ctx *ctx);

/* Its deadline or the earliest of its parents', if that is earlier; URGE_FOREVER for none. */
URGE_API int64_t urge_ctx_deadline(const urge_ctx *ctx);

/*
 * A channel that is closed when ctx is cancelled: a receive returns -EPIPE then. It belongs to ctx:
 * don't close or free it, and don't use it without a reference to ctx. NULL, the nil channel, for
 * the background context, and also without memory for the channel; it is made by the first call.
 */
URGE_API urge_chan *urge_ctx_done(urge_ctx *ctx);

/*
 * Binds the calling goroutine to ctx, instead of what it was bound to; NULL and the background
 * context leave it unbound. From then on a call that has to wait, or sleeps, returns the context's
 * error as soon as it is cancelled, if the call returns int: -ECANCELED, -ETIMEDOUT, or what it was
 * cancelled with. What can be done without waiting is done. Calls that return nothing, as
 * urge_mutex_lock, are not affected. Goroutines that it starts are not bound, except by
 * urge_group_go. The binding keeps a reference, until the goroutine ends. Goroutine: 0 or -EPERM.
 */
URGE_API int urge_ctx_bind(urge_ctx *ctx);

/* ---- groups -------------------------------------------------------------------------------- */

/*
 * Goroutines that are waited for together, and the first error of any of them.
 *   new	NULL: no memory. The group has a context of its own below ctx (NULL: the background
 *		context), which is cancelled with the first error, as urge_ctx_cancel takes it, and by wait
 *   ctx	that context; the group keeps it until wait returns
 *   go		starts a goroutine that is bound to it and runs fn(arg); what fn returns, if not 0, is its error. One that ends
 *		by urge_goexit has none. May be called by the group's own goroutines. Any thread. Returns
 *		0, or as urge_go: then it is not started, and not waited for.
 *   wait	waits for all of them, frees the group, and returns the error that came first, or 0. A
 *		goroutine's context does not end it. Goroutine; elsewhere -EPERM, and nothing is freed.
 */
typedef struct urge_group urge_group;

URGE_API urge_group *urge_group_new(urge_ctx *ctx);
URGE_API urge_ctx *urge_group_ctx(urge_group *group);
URGE_API int urge_group_go(urge_group *group, int (*fn)(void *), void *arg);
URGE_API int urge_group_wait(urge_group *group);

/* ---- the scheduler ------------------------------------------------------------------------- */

/*
 * Sets the number of Ps to n and returns the former one; n < 1 only asks. -EINVAL above the build's
 * MAX_PROCS (Kconfig; 1024 unless changed), -ENOMEM, or -EPERM when the runtime does not run;
 * nothing has changed then. Calls may overlap; they count as made in some order. Nobody is stopped
 * or waited for: a P that goes away is given up by its thread at the next scheduling point, which
 * its goroutine is asked to come to as if its slice were over. Any thread.
 *
 * Until the first call with n >= 1, unless the environment has set GOMAXPROCS, the number follows
 * the system: the CPUs that the process may use, but no more than its cgroup's CPU quota (versions
 * 1 and 2, all ancestors that can be seen), rounded up and at least 2, pays for. The runtime looks
 * once a second while it is busy; a larger number takes effect after one look, a smaller one after
 * two.
 */
URGE_API int urge_gomaxprocs(int n);

/*
 * An experiment, off by default: on lets a controller move GOMAXPROCS, within what the system
 * grants (above), by how many goroutines wait, how many Ps are idle, and how often the kernel takes
 * CPUs away; URGEDEBUG=autoprocstrace=1 prints its decisions. Off, or urge_gomaxprocs with n >= 1,
 * ends it; off leaves the number where it is. 0, or -EPERM when the runtime does not run. Any
 * thread.
 */
URGE_API int urge_gomaxprocs_auto(bool on);

/*
 * The time after which a goroutine may be preempted when others wait; default 10 ms. From 50 us to
 * 10 s, else -EINVAL. Takes effect at once. Any thread, also before boot, where URGEDEBUG=slice
 * overrides it.
 */
URGE_API int urge_set_time_slice(int64_t ns);

/*
 * One of URGE_PREEMPT_AUTO (the default), _INJECT, _PARK, _OFF; -EINVAL otherwise. Any thread, also
 * before boot, where URGEDEBUG=asyncpreemptoff=1 overrides it. A goroutine may have a way of its own
 * (urge_attr). Whatever it is, the P of a thread that
 * is blocked in the kernel goes to others.
 */
URGE_API int urge_set_preempt(int policy);

/*
 * The program's promise about the module (the program itself, or a library) whose code holds addr:
 * outside urge_nopreempt and urge_pin no value that belongs to a thread is live there, so
 * goroutines in its code may be moved; with on false it is taken back. For programs that have
 * thread-local variables, which are parked otherwise, and for libraries that keep nothing per
 * thread and take no locks. A library must not be unloaded before. Any thread, not in a callback of
 * the loader. 0, -EINVAL (no module has this address in its code), -ENOSPC (64 ranges at most),
 * -EPERM when the runtime does not run; the next urge_main begins without.
 */
URGE_API int urge_preempt_text(const void *addr, bool on);

/*
 * Stops every other goroutine and returns when all Ps stand still. why tells a debugger what for;
 * it must outlive the stop. Those in declared system calls go on there, and stop when they return.
 * The others are interrupted, undeclared system calls too; one between urge_nopreempt_begin and its
 * end is waited for; when that takes a second, a line on stderr says who it is. Nested calls by one
 * goroutine count; another caller waits for its turn. Until the start only async-signal-safe
 * functions and urge_dump may be called; to block is fatal, and so are fork, and a start by who has
 * not stopped the world. Goroutine: 0 or -EPERM.
 */
URGE_API int urge_stop_the_world(const char *why);
URGE_API void urge_start_the_world(void);

/*
 * Writes all goroutines with state, wait reason, age and backtrace to fd, the caller first. One
 * that runs on another thread has no backtrace. Takes no lock and allocates nothing; may block in
 * write. Any thread.
 *
 * With URGEDEBUG=leaks=1 a call by a goroutine stops the world, for 2 s at most, and looks through
 * all memory for pointers to the channels that goroutines wait on without an end: those whom nobody
 * that can still run could ever wake are marked "(leaked)". A first line says how many there are,
 * or why it can't be told: threads of the program's own, a goroutine in a declared call,
 * urge_external_begin, too much memory. A pointer left in freed memory hides a leak; nobody is
 * marked wrongly, unless the program keeps pointers where they are none (xored, in the kernel, in
 * another process).
 */
URGE_API void urge_dump(int fd);

/*
 * A trace of what the scheduler does: goroutines made, run, blocked (and on what), woken by whom,
 * ended; Ps and their threads; declared calls; preemption; stops of the world. stop writes it to
 * the file that start has made (path, truncated if it is there), as JSON in Chrome's trace event
 * format, which ui.perfetto.dev and chrome://tracing open: a track for each P. 2 million events (64
 * MiB) are kept, those after them dropped and counted. A trace that runs when urge_main returns is
 * written then. While one runs a switch takes about ten times as long; while none runs nothing
 * does.
 *
 * Both stop the world for a moment, so they may not be called by who has stopped it; stop then
 * allocates, writes the file and returns when it is written, while others run. Goroutine; elsewhere
 * -EPERM. start: 0, -EINVAL (path is NULL), -EBUSY (a trace runs), -ENOMEM, or the error of open.
 * stop: how many events were dropped, 0 if the trace is whole; -EINVAL (none runs); -ENOMEM or the
 * error of write, and then the file is not whole.
 */
URGE_API int urge_trace_start(const char *path);
URGE_API int urge_trace_stop(void);

/*
 * Writes a profile to fd. kind is "goroutine": how many goroutines there are, grouped by their
 * stacks, in the text form of Go's runtime/pprof, which go tool pprof reads and people do. A
 * goroutine that has not run yet, or is in a declared call, is shown with its function alone.
 * Stacks are cut at 64 frames; from 65536 different ones on, the rest are one. The world stands
 * still while they are gathered, some microseconds for each, so who has stopped it may not call
 * this; they are written while it goes on. Goroutine. Returns 0; -EINVAL: no such kind; -EPERM,
 * -ENOMEM, or the error of write.
 */
URGE_API int urge_profile_write(const char *kind, int fd);

/*
 * The reasons why a preemption request left its goroutine alone are the indices of
 * urge_stats.preempt_left; urge_preempt_reason gives their words. Indices are never reused.
 */
enum { URGE_PREEMPT_REASONS_MAX = 24 };

struct urge_stats {
	uint64_t goroutines; /* alive now */
	uint64_t threads;    /* of the runtime, alive now; urge_main's caller is one */
	uint64_t spawned;
	uint64_t switches;         /* times that a goroutine began or went on to run */
	uint64_t steals;           /* goroutines moved from one P's queue to another's */
	uint64_t parks;            /* times that a goroutine blocked */
	uint64_t preempt_requests; /* signals sent, those that were sent again included */
	uint64_t preempt_injected; /* moved by an injected call */
	uint64_t preempt_parked;   /* stopped together with the thread */
	uint64_t preempt_revoked;  /* P taken from a thread that was blocked in the kernel */
	uint64_t preempt_deferred; /* yielded at the next call of this library */
	uint64_t preempt_left[URGE_PREEMPT_REASONS_MAX];
	uint64_t preempt_eintr; /* system calls that returned EINTR because of a request */
	uint64_t reserved[31];
};

/*
 * Reads all counters; each is exact, but they are not read at one instant. They count from the
 * first urge_main on, so take differences. Any thread.
 */
URGE_API void urge_stats_read(struct urge_stats *stats);

/* Durations by bucket: counts[i] of them were from bounds[i] up to bounds[i + 1] seconds. */
#define URGE_HISTOGRAM_BUCKETS 114
struct urge_histogram {
	uint64_t counts[URGE_HISTOGRAM_BUCKETS];
	double bounds[URGE_HISTOGRAM_BUCKETS + 1]; /* the first is 0, the last infinite */
};

enum {
	URGE_METRIC_BAD, /* no such metric */
	URGE_METRIC_UINT64,
	URGE_METRIC_DOUBLE,
	URGE_METRIC_HISTOGRAM,
};

struct urge_metric {
	const char *name; /* the caller's: one of Go's, see urge_metrics(3) */
	int kind;
	union {
		uint64_t u;
		double d;
		struct urge_histogram *h; /* the caller's, NULL to do without */
	} value;
};

/*
 * Reads the n metrics that are named, by the names that Go's runtime/metrics has for them; a * in a
 * name stands for the number of a memory node, or for all of them together. kind says
 * what value holds then; a name that is not known gets URGE_METRIC_BAD, and its value stays. A
 * histogram is written to *value.h, so value must be initialised: a pointer, or NULL. Returns how
 * many are known, or -EINVAL: metrics is NULL and n is not 0. Any thread; before the first
 * urge_main all are 0.
 */
URGE_API int urge_metrics_read(struct urge_metric *metrics, size_t n);

/* The name of metric i, NULL behind the last one. Any thread, signal-safe. */
URGE_API const char *urge_metric_name(unsigned i);

/* A memory node, as urge_node_stats_read sees it. Counters count from the first urge_main on. */
struct urge_node_stats {
	int node;       /* the kernel's number: /sys/devices/system/node */
	unsigned cpus;  /* of it that the process may use */
	unsigned procs; /* Ps on it now */
	unsigned reserved_;
	uint64_t queued;        /* goroutines that wait in its queues now */
	uint64_t steals_local;  /* goroutines that its Ps took from each other */
	uint64_t steals_remote; /* goroutines that its Ps took from other nodes */
	uint64_t migrations;    /* times that a thread moved to its CPUs */
	uint64_t stack_pages;   /* of a sample of its goroutines' stacks, pages that are there */
	uint64_t stack_pages_local; /* and those of them that are memory of the node */
	uint64_t reserved[8];
};

/*
 * Reads the nodes with CPUs for this process, in the order of their numbers; at most n, and returns
 * how many there are: at least 1. A node without memory of its own counts the pages of the nearest
 * with memory as local; on a machine with one node no page is looked at. -EPERM when the runtime
 * does not run. One system call for each node; any thread.
 */
URGE_API int urge_node_stats_read(struct urge_node_stats *stats, size_t n);

/* The words for index i of preempt_left, NULL behind the last one. Any thread, signal-safe. */
URGE_API const char *urge_preempt_reason(unsigned i);

#ifdef __cplusplus
}
#endif

#endif
