/* SPDX-License-Identifier: MIT */
/*
 * The public names and their types, as programs outside count on them: whatever is changed here
 * breaks those. Checked when it is compiled, as C; that the library has them, when it is linked.
 */
#include <stdio.h>
#include <urge.h>

#define IS(type, expression)                                                                       \
	_Static_assert(__builtin_types_compatible_p(type, __typeof__(expression)), #expression)

/* The result, the name, the parameters; a pointer to it is in the table below. */
#define FUNCTIONS(X)                                                                               \
	X(const char *, urge_version, (void))                                                      \
	X(int64_t, urge_now, (void))                                                               \
	X(int *, urge_errno, (void))                                                               \
	X(int, urge_main, (int (*)(void *), void *))                                               \
	X(int, urge_go, (urge_fn, void *))                                                         \
	X(int, urge_go_attr, (const struct urge_attr *, urge_fn, void *))                          \
	X(void, urge_goexit, (void))                                                               \
	X(void, urge_yield, (void))                                                                \
	X(uint64_t, urge_goid, (void))                                                             \
	X(size_t, urge_num_goroutine, (void))                                                      \
	X(int, urge_key_create, (urge_key *, void (*)(void *)))                                    \
	X(int, urge_setspecific, (urge_key, void *))                                               \
	X(void *, urge_getspecific, (urge_key))                                                    \
	X(void, urge_lock_os_thread, (void))                                                       \
	X(void, urge_unlock_os_thread, (void))                                                     \
	X(int, urge_sleep, (int64_t))                                                              \
	X(int, urge_sleep_until, (int64_t))                                                        \
	X(urge_timer *, urge_timer_after, (int64_t, urge_fn, void *))                              \
	X(bool, urge_timer_stop, (urge_timer *))                                                   \
	X(bool, urge_timer_reset, (urge_timer *, int64_t))                                         \
	X(void, urge_timer_free, (urge_timer *))                                                   \
	X(urge_chan *, urge_after, (int64_t))                                                      \
	X(urge_ticker *, urge_ticker_new, (int64_t))                                               \
	X(urge_chan *, urge_ticker_chan, (urge_ticker *))                                          \
	X(void, urge_ticker_stop, (urge_ticker *))                                                 \
	X(urge_chan *, urge_chan_make, (size_t, size_t))                                           \
	X(void, urge_chan_free, (urge_chan *))                                                     \
	X(int, urge_send, (urge_chan *, const void *))                                             \
	X(int, urge_recv, (urge_chan *, void *))                                                   \
	X(int, urge_try_send, (urge_chan *, const void *))                                         \
	X(int, urge_try_recv, (urge_chan *, void *))                                               \
	X(int, urge_send_until, (urge_chan *, const void *, int64_t))                              \
	X(int, urge_recv_until, (urge_chan *, void *, int64_t))                                    \
	X(void, urge_close_chan, (urge_chan *))                                                    \
	X(size_t, urge_chan_len, (const urge_chan *))                                              \
	X(size_t, urge_chan_cap, (const urge_chan *))                                              \
	X(int, urge_select, (struct urge_case *, size_t))                                          \
	X(int, urge_try_select, (struct urge_case *, size_t))                                      \
	X(int, urge_select_until, (struct urge_case *, size_t, int64_t))                           \
	X(void, urge_mutex_lock, (urge_mutex *))                                                   \
	X(void, urge_mutex_unlock, (urge_mutex *))                                                 \
	X(bool, urge_mutex_trylock, (urge_mutex *))                                                \
	X(int, urge_mutex_lock_until, (urge_mutex *, int64_t))                                     \
	X(void, urge_rwmutex_rlock, (urge_rwmutex *))                                              \
	X(bool, urge_rwmutex_tryrlock, (urge_rwmutex *))                                           \
	X(int, urge_rwmutex_rlock_until, (urge_rwmutex *, int64_t))                                \
	X(void, urge_rwmutex_runlock, (urge_rwmutex *))                                            \
	X(void, urge_rwmutex_lock, (urge_rwmutex *))                                               \
	X(bool, urge_rwmutex_trylock, (urge_rwmutex *))                                            \
	X(int, urge_rwmutex_lock_until, (urge_rwmutex *, int64_t))                                 \
	X(void, urge_rwmutex_unlock, (urge_rwmutex *))                                             \
	X(void, urge_cond_wait, (urge_cond *, urge_mutex *))                                       \
	X(int, urge_cond_wait_until, (urge_cond *, urge_mutex *, int64_t))                         \
	X(void, urge_cond_signal, (urge_cond *))                                                   \
	X(void, urge_cond_broadcast, (urge_cond *))                                                \
	X(void, urge_once_do, (urge_once *, urge_fn, void *))                                      \
	X(void, urge_waitgroup_add, (urge_waitgroup *, int))                                       \
	X(void, urge_waitgroup_done, (urge_waitgroup *))                                           \
	X(void, urge_waitgroup_wait, (urge_waitgroup *))                                           \
	X(int, urge_waitgroup_wait_until, (urge_waitgroup *, int64_t))                             \
	X(void, urge_sem_init, (urge_sem *, uint32_t))                                             \
	X(int, urge_sem_acquire, (urge_sem *))                                                     \
	X(int, urge_sem_acquire_until, (urge_sem *, int64_t))                                      \
	X(int, urge_sem_try_acquire, (urge_sem *))                                                 \
	X(void, urge_sem_release, (urge_sem *))                                                    \
	X(urge_ctx *, urge_ctx_background, (void))                                                 \
	X(urge_ctx *, urge_ctx_with_cancel, (urge_ctx *))                                          \
	X(urge_ctx *, urge_ctx_with_deadline, (urge_ctx *, int64_t))                               \
	X(void, urge_ctx_cancel, (urge_ctx *, int))                                                \
	X(urge_chan *, urge_ctx_done, (urge_ctx *))                                                \
	X(int, urge_ctx_err, (urge_ctx *))                                                         \
	X(void, urge_ctx_release, (urge_ctx *))                                                    \
	X(urge_ctx *, urge_ctx_with_value, (urge_ctx *, const void *, void *))                     \
	X(void *, urge_ctx_value, (urge_ctx *, const void *))                                      \
	X(int, urge_ctx_bind, (urge_ctx *))                                                        \
	X(urge_group *, urge_group_new, (urge_ctx *))                                              \
	X(urge_ctx *, urge_group_ctx, (urge_group *))                                              \
	X(int, urge_group_go, (urge_group *, int (*)(void *), void *))                             \
	X(int, urge_group_wait, (urge_group *))                                                    \
	X(ssize_t, urge_read, (int, void *, size_t))                                               \
	X(ssize_t, urge_read_until, (int, void *, size_t, int64_t))                                \
	X(ssize_t, urge_write, (int, const void *, size_t))                                        \
	X(ssize_t, urge_write_until, (int, const void *, size_t, int64_t))                         \
	X(ssize_t, urge_readv, (int, const struct iovec *, int))                                   \
	X(ssize_t, urge_readv_until, (int, const struct iovec *, int, int64_t))                    \
	X(ssize_t, urge_writev, (int, const struct iovec *, int))                                  \
	X(ssize_t, urge_writev_until, (int, const struct iovec *, int, int64_t))                   \
	X(ssize_t, urge_sendmsg, (int, const struct msghdr *, int))                                \
	X(ssize_t, urge_sendmsg_until, (int, const struct msghdr *, int, int64_t))                 \
	X(ssize_t, urge_recvmsg, (int, struct msghdr *, int))                                      \
	X(ssize_t, urge_recvmsg_until, (int, struct msghdr *, int, int64_t))                       \
	X(int, urge_listen_tcp, (const char *, const char *, int))                                 \
	X(int, urge_dial_tcp, (const char *, const char *, int64_t))                               \
	X(int, urge_listen_unix, (const char *, int))                                              \
	X(int, urge_dial_unix, (const char *, int64_t))                                            \
	X(int, urge_accept, (int, struct sockaddr *, socklen_t *))                                 \
	X(int, urge_accept_until, (int, struct sockaddr *, socklen_t *, int64_t))                  \
	X(int, urge_connect, (int, const struct sockaddr *, socklen_t))                            \
	X(int, urge_connect_until, (int, const struct sockaddr *, socklen_t, int64_t))             \
	X(int, urge_fd_wait, (int, short, int64_t))                                                \
	X(int, urge_close, (int))                                                                  \
	X(int, urge_listen_udp, (const char *, const char *))                                      \
	X(int, urge_dial_udp, (const char *, const char *))                                        \
	X(int, urge_getaddrinfo,                                                                   \
	  (const char *, const char *, const struct addrinfo *, struct addrinfo **, int64_t))      \
	X(int, urge_signal_notify, (urge_chan *, const int *, size_t))                             \
	X(int, urge_signal_stop, (urge_chan *))                                                    \
	X(void, urge_entersyscall, (void))                                                         \
	X(void, urge_exitsyscall, (void))                                                          \
	X(int, urge_blocking, (int (*)(void *), void *))                                           \
	X(void, urge_nopreempt_begin, (void))                                                      \
	X(void, urge_nopreempt_end, (void))                                                        \
	X(void, urge_external_begin, (void))                                                       \
	X(void, urge_external_end, (void))                                                         \
	X(int, urge_gomaxprocs, (int))                                                             \
	X(int, urge_gomaxprocs_auto, (bool))                                                       \
	X(int, urge_set_time_slice, (int64_t))                                                     \
	X(int, urge_set_preempt, (int))                                                            \
	X(int, urge_preempt_text, (const void *, bool))                                            \
	X(int, urge_stop_the_world, (const char *))                                                \
	X(void, urge_start_the_world, (void))                                                      \
	X(void, urge_dump, (int))                                                                  \
	X(int, urge_trace_start, (const char *))                                                   \
	X(int, urge_trace_stop, (void))                                                            \
	X(int, urge_metrics_read, (struct urge_metric *, size_t))                                  \
	X(int, urge_profile_write, (const char *, int))                                            \
	X(void, urge_stats_read, (struct urge_stats *))

#define X(result, name, parameters)                                                                \
	_Static_assert(__builtin_types_compatible_p(result parameters, __typeof__(name)), #name);
FUNCTIONS(X)
#undef X

typedef void (*any)(void);
static const any linked[] = {
#define X(result, name, parameters) (any) name,
	FUNCTIONS(X)
#undef X
};

IS(urge_fn, (void (*)(void *))0);
IS(int64_t, URGE_US);
IS(int64_t, URGE_MS);
IS(int64_t, URGE_S);
_Static_assert(URGE_FOREVER == INT64_MAX, "URGE_FOREVER");

static struct urge_attr attr = URGE_ATTR_INIT;
#define FIELD(type, of, name) IS(type, ((struct of *)0)->name)

FIELD(size_t, urge_attr, stack_size);
FIELD(const char *, urge_attr, name);
FIELD(int, urge_attr, class_);
FIELD(int, urge_attr, node);
FIELD(int, urge_attr, preempt);
FIELD(urge_chan *, urge_case, chan);
FIELD(int, urge_case, op);
FIELD(void *, urge_case, elem);
FIELD(int, urge_case, result);
FIELD(const char *, urge_metric, name);
FIELD(int, urge_metric, kind);
FIELD(uint64_t, urge_metric, value.u);
FIELD(double, urge_metric, value.d);
FIELD(struct urge_histogram *, urge_metric, value.h);
FIELD(uint64_t, urge_stats, goroutines);
FIELD(uint64_t, urge_stats, threads);
FIELD(uint64_t, urge_stats, steals);
FIELD(uint64_t, urge_stats, parks);
FIELD(uint64_t, urge_stats, preempt_requests);
FIELD(uint64_t, urge_stats, preempt_injected);
FIELD(uint64_t, urge_stats, preempt_parked);
FIELD(uint64_t, urge_stats, preempt_revoked);
FIELD(uint64_t, urge_stats, preempt_deferred);

/* Zero is the beginning of these. */
static urge_mutex mutex;
static urge_rwmutex rwmutex;
static urge_cond cond;
static urge_once once;
static urge_waitgroup waitgroup;
static urge_sem sem;

static int start(void *unused)
{
	(void)unused;
	urge_mutex_lock(&mutex);
	urge_cond_signal(&cond);
	urge_mutex_unlock(&mutex);
	urge_rwmutex_rlock(&rwmutex);
	urge_rwmutex_runlock(&rwmutex);
	urge_once_do(&once, (urge_fn)urge_sem_release, &sem);
	urge_waitgroup_wait(&waitgroup);
	return urge_sem_try_acquire(&sem);
}

int main(void)
{
	const int constants[] = { URGE_VERSION_MAJOR, URGE_SEND,           URGE_RECV,
				  URGE_PREEMPT_AUTO,  URGE_PREEMPT_INJECT, URGE_PREEMPT_PARK,
				  URGE_PREEMPT_OFF };

	for (size_t i = 0; i < sizeof(linked) / sizeof(linked[0]); i++)
		if (!linked[i])
			return 1;
	printf("%zu functions, %zu constants\n", sizeof(linked) / sizeof(linked[0]),
	       sizeof(constants) / sizeof(constants[0]));
	return attr.stack_size != 0 || urge_main(start, NULL) != 0;
}
