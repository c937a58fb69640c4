/* SPDX-License-Identifier: MIT */
/*
 * Registers, flags, modes and the red zone are kept over INJECTIONS (1,000,000) preemptions. sysmon
 * asks for one preemption a slice, 20,000 a second at most, and a thread that is not on a processor
 * serves none. So here each thread has a timer of its own, armed again and again for a random time
 * of 3 to 40 us, whose handler calls that of the runtime with what the runtime would have sent.
 */
#include "preempt/handler.h"
#include "preempt/preempt.h"
#include "sched/tls.h"
#include "tests/programs/regs.h"

#include <signal.h>

#if defined(__x86_64__)

enum { MS = 64 };

static struct {
	timer_t timer;
	bool made;
	uint64_t random;
} of_m[MS];

static void arm(unsigned id)
{
	int64_t ns = 3000 + (int64_t)(random_next(&of_m[id].random) % 37000);
	struct itimerspec when = { .it_value.tv_nsec = ns };

	timer_settime(of_m[id].timer, 0, &when, NULL);
}

static void on_timer(int sig, siginfo_t *info, void *ucontext)
{
	unsigned id = (unsigned)info->si_value.sival_int;
	struct m *mp = allm[id];
	siginfo_t request = { .si_code = SI_QUEUE };

	(void)sig;
	request.si_pid = getpid();
	request.si_value.sival_ptr = (void *)((uintptr_t)load_rlx_u32(&mp->generation) << 32 | id);
	store_rlx_i64(&mp->signal_sent, 4);
	if (!LOAD(regs_stop)) {
		preempt_handler_sig(CONFIG_PREEMPT_SIGNAL, &request, ucontext);
		arm(id);
	}
}

/* The first turn on a thread makes its timer. */
static void use_timer(uint64_t turns)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	unsigned id;

	(void)turns;
	if (LOAD(of_m[getm()->id % MS].made))
		return;
	urge_nopreempt_begin();
	id = getm()->id;
	if (id >= MS) {
		fail("%u threads?", id);
	} else if (!of_m[id].made) {
		event.sigev_value.sival_int = (int)id;
		event._sigev_un._tid = (int)getm()->tid_;
		if (timer_create(CLOCK_MONOTONIC, &event, &of_m[id].timer) == 0) {
			of_m[id].random = (uint64_t)urge_now() | 1;
			STORE(of_m[id].made, true);
			arm(id);
		} else {
			fail("no timer: %d", errno);
		}
	}
	urge_nopreempt_end();
}

static void direct(void)
{
	uint64_t want = injected() + env_number("INJECTIONS", 1000000);

	WAIT_UNTIL(injected() >= want);
	STORE(regs_stop, 1);
}

int main(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	struct urge_stats before;

	begin((int64_t)env_number("SECONDS", 300));
	action.sa_sigaction = on_timer;
	sigfillset(&action.sa_mask);
	sigaction(SIGUSR1, &action, NULL);
	between_turns = use_timer;
	urge_stats_read(&before);
	run_both(run_regs, direct);
	check_turns();
	print_outcomes(&before);
	return finish();
}

#else

int main(void)
{
	puts("the loops are written for x86-64");
	return SKIPPED;
}

#endif
