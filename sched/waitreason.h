/* SPDX-License-Identifier: MIT */
/* Why a goroutine waits, in Go's words: one table, read by dumps and by schedtrace. */
#ifndef URGE_SCHED_WAITREASON_H
#define URGE_SCHED_WAITREASON_H

#define WAIT_REASONS(X)                                                                            \
	X(WAIT_NONE, "")                                                                           \
	X(WAIT_SLEEP, "sleep")                                                                     \
	X(WAIT_CHANRECV, "chan receive")                                                           \
	X(WAIT_CHANSEND, "chan send")                                                              \
	X(WAIT_CHANRECVNIL, "chan receive (nil chan)")                                             \
	X(WAIT_CHANSENDNIL, "chan send (nil chan)")                                                \
	X(WAIT_SELECT, "select")                                                                   \
	X(WAIT_SELECTNOCASES, "select (no cases)")                                                 \
	X(WAIT_SEMACQUIRE, "semacquire")                                                           \
	X(WAIT_MUTEXLOCK, "sync.Mutex.Lock")                                                       \
	X(WAIT_RWMUTEXRLOCK, "sync.RWMutex.RLock")                                                 \
	X(WAIT_RWMUTEXLOCK, "sync.RWMutex.Lock")                                                   \
	X(WAIT_CONDWAIT, "sync.Cond.Wait")                                                         \
	X(WAIT_ONCE, "sync.Once.Do")                                                               \
	X(WAIT_WAITGROUP, "sync.WaitGroup.Wait")                                                   \
	X(WAIT_IO, "IO wait")                                                                      \
	X(WAIT_BLOCKING, "blocking call")                                                          \
	X(WAIT_STOPPINGTHEWORLD, "stopping the world")

enum waitreason {
#define X(name, words) name,
	WAIT_REASONS(X)
#undef X
		WAIT_REASONS_N
};

const char *waitreason_words(enum waitreason reason);

#endif
