/* SPDX-License-Identifier: MIT */
/*
 * SIGURG has another user. While the runtime preempts two loops by it, every 100 us, the program's
 * own handler gets exactly what others send: to the process, to a thread of the program's, with and
 * without a value. Then: the limit of queued signals is used up, and signals get lost, as a
 * debugger may lose them; preemption goes on.
 *
 * To a thread of the runtime's a signal can't be counted on: the kernel keeps one SIGURG for a
 * thread, and drops a second that comes while the runtime's is pending. A raise is repeated until
 * it has arrived.
 */
#include "tests/programs/check.h"

#include <signal.h>
#include <sys/resource.h>

enum { ROUNDS = 400, VALUE = 0x51a9 };

static uint32_t stop;
static urge_waitgroup done;
static uint32_t by_kill, by_thread, by_queue, wrong;
static int wrong_code, last_value;
static uint32_t raised;

static void on_sigurg(int sig, siginfo_t *info, void *ucontext)
{
	(void)sig, (void)ucontext;
	if (info->si_code == SI_USER && info->si_pid == getpid()) {
		ADD(by_kill, 1);
	} else if (info->si_code == SI_TKILL) {
		ADD(by_thread, 1);
	} else if (info->si_code == SI_QUEUE && info->si_value.sival_int >> 16 == VALUE) {
		STORE(last_value, info->si_value.sival_int & 0xffff);
		ADD(by_queue, 1);
	} else {
		STORE(wrong_code, info->si_code);
		ADD(wrong, 1);
	}
}

static void loop(void *unused)
{
	(void)unused;
	while (!LOAD(stop))
		;
	urge_waitgroup_done(&done);
}

static int start_loops(void)
{
	urge_gomaxprocs(2);
	for (int i = 0; i < 3; i++)
		spawn(&done, loop, NULL);
	return 0;
}

/* ---- the program's own --------------------------------------------------------------------- */

static void raiser(void *unused)
{
	uint32_t again = 0;

	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t before = LOAD(by_thread);

		raise(SIGURG);
		for (int64_t end = urge_now() + 10 * URGE_MS; LOAD(by_thread) == before;)
			if (urge_now() > end) {
				again++;
				raise(SIGURG);
				end = urge_now() + 10 * URGE_MS;
			}
	}
	printf("%u raises were dropped\n", again);
	CHECK(again < ROUNDS / 4, "%u", again);
	STORE(raised, 1);
	urge_waitgroup_done(&done);
}

static int start_foreign(void *unused)
{
	(void)unused;
	start_loops();
	spawn(&done, raiser, NULL);
	urge_waitgroup_wait(&done);
	return 0;
}

static void direct_foreign(void)
{
	union sigval value;
	uint64_t before;

	urge_set_time_slice(100 * URGE_US);
	WAIT_UNTIL(LOAD(raised));
	CHECK(LOAD(by_thread) == ROUNDS, "%u", LOAD(by_thread));
	before = injected();
	for (int i = 0; i < ROUNDS; i++) {
		kill(getpid(), SIGURG);
		WAIT_UNTIL(LOAD(by_kill) > (uint32_t)i);
		value.sival_int = VALUE << 16 | i;
		sigqueue(getpid(), SIGURG, value);
		WAIT_UNTIL(LOAD(by_queue) > (uint32_t)i);
		CHECK(LOAD(last_value) == i, "%d", LOAD(last_value));
		pthread_kill(pthread_self(), SIGURG);
		WAIT_UNTIL(LOAD(by_thread) > (uint32_t)(ROUNDS + i));
	}
	WAIT_UNTIL(injected() > before + 1000);
	STORE(stop, 1);
}

static void check_foreign(void)
{
	struct sigaction now;

	run_both(start_foreign, direct_foreign);
	sigaction(SIGURG, NULL, &now);
	CHECK(now.sa_sigaction == on_sigurg, "the handler is not given back");
	printf("kill %u, thread %u, sigqueue %u, none of these %u\n", by_kill, by_thread, by_queue,
	       wrong);
	CHECK(by_kill == ROUNDS, "%u", by_kill);
	CHECK(by_thread == 2 * ROUNDS, "%u", by_thread);
	CHECK(by_queue == ROUNDS, "%u", by_queue);
	CHECK(wrong == 0, "%u, the last with si_code %d", wrong, wrong_code);
}

/* ---- lost signals -------------------------------------------------------------------------- */

/* Takes a request away from its thread, which neither runs the handler nor clears anything. */
static void drop_one(void)
{
	struct timespec now = { 0 };
	sigset_t urg, pending;

	urge_nopreempt_begin(); /* the mask is the thread's */
	sigemptyset(&urg);
	sigaddset(&urg, SIGURG);
	pthread_sigmask(SIG_BLOCK, &urg, NULL);
	do /* a thread that waits for it would get none */
		sigpending(&pending);
	while (!sigismember(&pending, SIGURG));
	CHECK(sigtimedwait(&urg, NULL, &now) == SIGURG, "no request to drop");
	pthread_sigmask(SIG_UNBLOCK, &urg, NULL);
	urge_nopreempt_end();
}

static void dropper(void *unused)
{
	(void)unused;
	for (int i = 0; i < 20; i++) {
		uint64_t before = injected();

		drop_one();
		while (injected() < before + 10)
			for (volatile int spin = 0; spin < 100000; spin++)
				;
	}
	STORE(stop, 1);
	urge_waitgroup_done(&done);
}

/* One P: if the request that was dropped is not sent again, nobody is ever preempted. */
static int start_drop(void *unused)
{
	(void)unused;
	urge_set_time_slice(URGE_MS);
	start_loops();
	urge_gomaxprocs(1);
	spawn(&done, dropper, NULL);
	urge_waitgroup_wait(&done);
	return 0;
}

/* ---- no more room in the queue of signals -------------------------------------------------- */

static int start_limit(void *unused)
{
	(void)unused;
	start_loops();
	urge_waitgroup_wait(&done);
	return 0;
}

static void direct_limit(void)
{
	struct rlimit none = { 0, 0 };
	uint64_t before;

	urge_set_time_slice(100 * URGE_US);
	CHECK(setrlimit(RLIMIT_SIGPENDING, &none) == 0, "");
	doze(2 * URGE_MS);
	before = injected();
	WAIT_UNTIL(injected() > before + 1000);
	printf("%llu injections without room in the queue\n",
	       (unsigned long long)(injected() - before));
	STORE(stop, 1);
}

int main(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_RESTART };

	begin((int64_t)env_number("SECONDS", 120));
	action.sa_sigaction = on_sigurg;
	sigemptyset(&action.sa_mask);
	sigaction(SIGURG, &action, NULL);
	check_foreign();
	STORE(stop, 0);
	run_both(start_drop, NULL);
	STORE(stop, 0);
	run_both(start_limit, direct_limit);
	return finish();
}
