/* SPDX-License-Identifier: MIT */
/*
 * What the runtime does not have, for comparison: each thread has a POSIX timer that signals it
 * once a slice, staggered, and the handler asks for a preemption if the goroutine has had its slice
 * and somebody waits in the P's queue or in a global one. sysmon goes on beside it.
 */
#include "bench/lab/preempt_timer.h"
#include "kernelshim/clock.h"
#include "preempt/handler.h"
#include "preempt/preempt.h"
#include "sched/lockedm.h"
#include "sched/proc.h"
#include "sched/runq.h"
#include "sched/urge.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 256 };

static int64_t period;
static struct {
	uint32_t tid; /* that has it, 0: none */
	timer_t timer;
} timers[THREADS_MAX];

/* The handler of the runtime gets what sysmon would have sent. */
static void ask(struct m *mp, int64_t now, void *ucontext)
{
	siginfo_t info = { .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_value.sival_ptr = (void *)((uintptr_t)load_rlx_u32(&mp->generation) << 32 | mp->id);
	store_rlx_u32(&mp->preempt, 1);
	store_rlx_i64(&mp->signal_sent, now & ~(int64_t)SIGNAL_BITS);
	add_u64(&preempt_counters.requests, 1);
	preempt_handler_sig(CONFIG_PREEMPT_SIGNAL, &info, ucontext);
}

static void on_timer(int sig, siginfo_t *info, void *ucontext)
{
	struct m *mp = allm[info->si_value.sival_int];
	const struct p *pp = mp->p;
	int64_t now = nanotime();

	(void)sig;
	if (mp->curg && mp->locks == 0 && pp &&
	    now - load_rlx_i64(&pp->slicestart) >= period - period / 8 &&
	    (!runqempty(pp) || globrunqsize() > 0 || parkedsize() > 0))
		ask(mp, now, ucontext);
}

void preempt_timers_init(int64_t slice)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	period = slice;
	action.sa_sigaction = on_timer;
	sigfillset(&action.sa_mask);
	sigaction(SIGUSR1, &action, NULL);
}

static void make_timer(unsigned id, uint32_t tid)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	int64_t first = period * (id % 8 + 1) / 8;
	struct itimerspec when = {
		.it_value = { first / URGE_S, first % URGE_S },
		.it_interval = { period / URGE_S, period % URGE_S },
	};

	if (timers[id].tid)
		timer_delete(timers[id].timer);
	event.sigev_value.sival_int = (int)id;
	event._sigev_un._tid = (int)tid;
	timers[id].tid = 0;
	if (timer_create(CLOCK_MONOTONIC, &event, &timers[id].timer) == 0) {
		timer_settime(timers[id].timer, 0, &when, NULL);
		timers[id].tid = tid;
	}
}

void preempt_timers_look(void)
{
	for (unsigned id = 0; id < load_rlx_u32(&sched.mcount) && id < THREADS_MAX; id++) {
		const struct m *mp = __atomic_load_n(&allm[id], __ATOMIC_ACQUIRE);
		uint32_t tid = mp ? load_acq_u32(&mp->tid) : 0; /* pairs with minit */

		if (tid != 0 && tid != timers[id].tid)
			make_timer(id, tid);
	}
}

void preempt_timers_end(void)
{
	for (unsigned id = 0; id < THREADS_MAX; id++)
		if (timers[id].tid)
			timer_delete(timers[id].timer);
	signal(SIGUSR1, SIG_IGN);
}
