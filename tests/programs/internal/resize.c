/* SPDX-License-Identifier: MIT */
/*
 * GOMAXPROCS goes back and forth between 1 and 64 a thousand times a second, by a thread and by a
 * goroutine at once, under every kind of work, alone and together: nothing is lost, and nothing
 * happens twice. Every goroutine that was started has run once, every sleep ends once and not too
 * early, every wait is woken once per wake-up.
 *
 * Then, with loops on every P that nothing can preempt: replaced snapshots are freed all the same,
 * since grace periods do not wait for goroutines.
 *
 * PHASE_MS (600) is how long each kind of work lasts, SEED its random numbers. WORK=name runs one
 * kind only.
 */
#include "sched/allp.h"
#include "tests/programs/check.h"

#include <sys/socket.h>

enum {
	YIELDERS = 8,
	SLEEPERS = 64,
	CALLERS = 6,
	LOOPS = 4,
	SPAWNERS = 4,
	WAITERS = 8,
	PAIRS = 8,
	TIMERS = 16,
	LOCKERS = 8,
	WIRES = 6,
	THREADS = 3,
	WORKERS = YIELDERS + SLEEPERS + CALLERS + LOOPS + SPAWNERS + WAITERS + PAIRS + TIMERS +
		  LOCKERS + WIRES + THREADS,
};

static uint32_t stop, resizing;
static urge_waitgroup workers;
static uint64_t seed;

/* Each on a line of its own: what one worker did. */
static struct account {
	uint64_t began, ended; /* of whatever happens exactly once */
	uint64_t pad[6];
} accounts[WORKERS];
static uint32_t naccounts;
static uint64_t early, resizes;

static uint64_t worker_seed(const struct account *account)
{
	return (seed + (uint64_t)(account - accounts + 1) * 0x9e3779b97f4a7c15) | 1;
}

/* ---- the kinds of work --------------------------------------------------------------------- */

static void yielder(void *arg)
{
	struct account *account = arg;

	while (!LOAD(stop)) {
		account->began++;
		urge_yield();
		account->ended++;
	}
	urge_waitgroup_done(&workers);
}

static void sleeper(void *arg)
{
	struct account *account = arg;
	uint64_t random = worker_seed(account);

	while (!LOAD(stop)) {
		int64_t until = urge_now() + (int64_t)(random_next(&random) % (2 * URGE_MS));

		account->began++;
		if (urge_sleep_until(until) != 0)
			fail("urge_sleep_until");
		if (urge_now() < until)
			ADD(early, 1);
		account->ended++;
	}
	urge_waitgroup_done(&workers);
}

static void caller(void *arg)
{
	struct account *account = arg;
	uint64_t random = worker_seed(account);

	while (!LOAD(stop)) {
		account->began++;
		urge_entersyscall();
		if (random_next(&random) % 8 == 0)
			doze((int64_t)(random_next(&random) % (300 * URGE_US)));
		urge_exitsyscall();
		account->ended++;
	}
	urge_waitgroup_done(&workers);
}

/* Without a call: only a signal gets it off its P. */
static void loop(void *arg)
{
	struct account *account = arg;

	while (!LOAD(stop)) {
		STORE(account->began, account->began + 1); /* the director looks at it */
		account->ended++;
	}
	urge_waitgroup_done(&workers);
}

struct children {
	struct account *account;
	urge_waitgroup all;
};

static void child(void *arg)
{
	struct children *children = arg;

	ADD(children->account->ended, 1);
	urge_waitgroup_done(&children->all);
}

/* Starts up to 300 goroutines, more than a ring holds, and waits until all have run. */
static void spawner(void *arg)
{
	struct children children = { .account = arg };
	uint64_t random = worker_seed(arg);

	while (!LOAD(stop)) {
		for (uint64_t n = random_next(&random) % 300; n > 0; n--) {
			children.account->began++;
			spawn(&children.all, child, &children);
		}
		urge_waitgroup_wait(&children.all);
		if (children.account->began != children.account->ended)
			fail("%llu goroutines started, %llu have run",
			     (unsigned long long)children.account->began,
			     (unsigned long long)children.account->ended);
	}
	urge_waitgroup_done(&workers);
}

/* One goroutine at a time, which wakes the one that waits for it. */
static void waiter(void *arg)
{
	struct children children = { .account = arg };

	while (!LOAD(stop)) {
		children.account->began++;
		spawn(&children.all, child, &children);
		urge_waitgroup_wait(&children.all);
	}
	urge_waitgroup_done(&workers);
}

struct receiver {
	struct account *account;
	urge_chan *chan;
};

/* What comes is what was sent, in order, each once. */
static void receiver(void *arg)
{
	struct receiver *receiver = arg;
	uint64_t n;

	while (urge_recv(receiver->chan, &n) == 0) {
		if (n != receiver->account->ended)
			fail("received %llu, not %llu", (unsigned long long)n,
			     (unsigned long long)receiver->account->ended);
		receiver->account->ended++;
	}
	urge_chan_free(receiver->chan);
	free(receiver);
	urge_waitgroup_done(&workers);
}

static void sender(void *arg)
{
	struct account *account = arg;
	struct receiver *to = malloc(sizeof(*to));
	/* every other channel has no buffer */
	urge_chan *chan = urge_chan_make(sizeof(uint64_t), (account - accounts) % 2 ? 0 : 16);

	if (!to || !chan) {
		fail("no memory");
		exit(1);
	}
	*to = (struct receiver){ account, chan };
	spawn(&workers, receiver, to);
	while (!LOAD(stop)) {
		uint64_t n = account->began++;

		if (urge_send(chan, &n) != 0)
			fail("urge_send");
	}
	urge_close_chan(chan);
	urge_waitgroup_done(&workers);
}

struct alarm {
	struct account *account;
	int64_t when;
	urge_waitgroup over;
};

static void ring(void *arg)
{
	struct alarm *alarm = arg;

	if (urge_now() < alarm->when)
		ADD(early, 1);
	alarm->account->ended++; /* its owner waits meanwhile */
	urge_waitgroup_done(&alarm->over);
}

/* Every timer either runs its function once, or has been stopped. */
static void timer_setter(void *arg)
{
	struct alarm alarm = { .account = arg };
	uint64_t random = worker_seed(arg);

	while (!LOAD(stop)) {
		int64_t ns = (int64_t)(random_next(&random) % URGE_MS);
		urge_timer *timer;

		alarm.account->began++;
		alarm.when = urge_now() + ns;
		urge_waitgroup_add(&alarm.over, 1);
		timer = urge_timer_after(ns, ring, &alarm);
		if (!timer) {
			fail("urge_timer_after");
			exit(1);
		}
		if (random_next(&random) % 2)
			urge_sleep((int64_t)(random_next(&random) % URGE_MS));
		if (random_next(&random) % 2 && urge_timer_stop(timer)) {
			alarm.account->ended++;
			urge_waitgroup_done(&alarm.over);
		}
		urge_waitgroup_wait(&alarm.over);
		urge_timer_free(timer);
	}
	urge_waitgroup_done(&workers);
}

static urge_mutex counter_lock;
static uint64_t counter; /* counter_lock; the sum of what its lockers began */

static void locker(void *arg)
{
	struct account *account = arg;
	uint64_t random = worker_seed(account);

	while (!LOAD(stop)) {
		account->began++;
		urge_mutex_lock(&counter_lock);
		counter++;
		if (random_next(&random) % 16 == 0)
			urge_yield();
		urge_mutex_unlock(&counter_lock);
		account->ended++;
	}
	urge_mutex_lock(&counter_lock);
	counter -= account->ended;
	urge_mutex_unlock(&counter_lock);
	urge_waitgroup_done(&workers);
}

struct wire {
	struct account *account;
	int fd;
};

/* The other end: every number comes once, in order. */
static void wire_reader(void *arg)
{
	struct wire *wire = arg;
	uint64_t n;

	while (urge_read(wire->fd, &n, sizeof(n)) == sizeof(n)) {
		if (n != wire->account->ended)
			fail("read %llu, not %llu", (unsigned long long)n,
			     (unsigned long long)wire->account->ended);
		wire->account->ended++;
	}
	urge_close(wire->fd);
	free(wire);
	urge_waitgroup_done(&workers);
}

/* A packet at a time, so that none is split; the reader waits in netpoll in between. */
static void wire_writer(void *arg)
{
	struct account *account = arg;
	uint64_t random = worker_seed(account);
	struct wire *wire = malloc(sizeof(*wire));
	int fds[2];

	if (!wire || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
		fail("no socket");
		exit(1);
	}
	*wire = (struct wire){ account, fds[1] };
	spawn(&workers, wire_reader, wire);
	while (!LOAD(stop)) {
		uint64_t n = account->began++;

		if (urge_write(fds[0], &n, sizeof(n)) != sizeof(n))
			fail("urge_write");
		if (random_next(&random) % 4 == 0)
			urge_sleep((int64_t)(random_next(&random) % (200 * URGE_US)));
	}
	urge_close(fds[0]);
	urge_waitgroup_done(&workers);
}

/* A thread that is none of the runtime's wakes a goroutine. */
static void *outsider(void *arg)
{
	struct receiver *to = arg;
	uint64_t random = worker_seed(to->account);

	while (!LOAD(stop)) {
		uint64_t n = to->account->began;

		if (urge_try_send(to->chan, &n) == 0)
			to->account->began++;
		if (random_next(&random) % 2)
			doze((int64_t)(random_next(&random) % (100 * URGE_US)));
	}
	urge_close_chan(to->chan);
	return NULL;
}

static void join_outsider(void *arg)
{
	struct account *account = arg;
	urge_chan *chan = urge_chan_make(sizeof(uint64_t), 4);
	struct receiver *from = malloc(sizeof(*from)), to = { account, chan };
	pthread_t thread;

	if (!from || !chan || pthread_create(&thread, NULL, outsider, &to) != 0) {
		fail("no memory, or no thread");
		exit(1);
	}
	*from = to;
	spawn(&workers, receiver, from);
	urge_entersyscall();
	pthread_join(thread, NULL);
	urge_exitsyscall();
	urge_waitgroup_done(&workers);
}

static const struct work {
	const char *name;
	urge_fn fn;
	int n;
} works[] = {
	{ "yield", yielder, YIELDERS },       { "sleep", sleeper, SLEEPERS },
	{ "syscall", caller, CALLERS },       { "loop", loop, LOOPS },
	{ "spawn", spawner, SPAWNERS },       { "wait", waiter, WAITERS },
	{ "channel", sender, PAIRS },         { "timer", timer_setter, TIMERS },
	{ "lock", locker, LOCKERS },          { "poll", wire_writer, WIRES },
	{ "thread", join_outsider, THREADS },
};
enum { WORKS = sizeof(works) / sizeof(works[0]) };

/* ---- resizing ------------------------------------------------------------------------------ */

static void resize(int n)
{
	int old = urge_gomaxprocs(n);

	if (old < 1 || old > 64)
		fail("urge_gomaxprocs(%d): %d", n, old);
	ADD(resizes, 1);
}

/* A goroutine resizes too, to anything, whenever it gets to run. */
static void resizer(void *unused)
{
	uint64_t random = seed;

	(void)unused;
	while (LOAD(resizing)) {
		resize((int)(random_next(&random) % 64) + 1);
		urge_sleep(URGE_MS);
	}
	urge_waitgroup_done(&workers);
}

/* ---- phases -------------------------------------------------------------------------------- */

static uint32_t phase_ready, phase_over;
static const struct work *phase_work; /* NULL: all kinds at once */

static void start_work(const struct work *work)
{
	for (int i = 0; i < work->n; i++)
		spawn(&workers, work->fn, &accounts[naccounts++]);
}

static void check_accounts(const char *name)
{
	uint64_t happened = 0;

	for (uint32_t i = 0; i < naccounts; i++) {
		if (accounts[i].began != accounts[i].ended)
			fail("%s %u: %llu began, %llu ended", name, i,
			     (unsigned long long)accounts[i].began,
			     (unsigned long long)accounts[i].ended);
		happened += accounts[i].ended;
	}
	CHECK(happened > 0, "%s", name);
	CHECK(early == 0, "%llu sleeps ended early", (unsigned long long)early);
	CHECK(counter == 0, "%llu off", (unsigned long long)counter);
	printf("%-8s %9llu resizes, %12llu events\n", name, (unsigned long long)resizes,
	       (unsigned long long)happened);
}

/* Goroutine 1: starts the work, and joins it when the director has ended the phase. */
static int run_phase(void *unused)
{
	(void)unused;
	memset(accounts, 0, sizeof(accounts));
	naccounts = 0;
	resizes = early = counter = 0;
	urge_set_time_slice(URGE_MS);
	STORE(stop, 0);
	STORE(resizing, 1);
	spawn(&workers, resizer, NULL);
	for (int i = 0; i < WORKS; i++)
		if (!phase_work || phase_work == &works[i])
			start_work(&works[i]);
	STORE(phase_ready, 1);
	urge_waitgroup_wait(&workers);
	check_accounts(phase_work ? phase_work->name : "all");
	STORE(phase_over, 1);
	return 0;
}

static int64_t phase_length;

static bool one_snapshot_left(void)
{
	for (int64_t end = urge_now() + 20 * URGE_S; urge_now() < end; doze(URGE_MS))
		if (procs_alive() == 1)
			return true;
	return false;
}

static void direct_phase(void)
{
	int64_t end = urge_now() + phase_length;

	WAIT_UNTIL(LOAD(phase_ready));
	for (int i = 0; urge_now() < end; i++) {
		resize(i & 1 ? 1 : 64);
		doze(URGE_MS);
	}
	STORE(resizing, 0);
	CHECK(one_snapshot_left(), "%u snapshots", procs_alive());
	STORE(stop, 1);
	WAIT_UNTIL(LOAD(phase_over));
}

/* ---- loops that nothing ends --------------------------------------------------------------- */

static int run_loops(void *unused)
{
	(void)unused;
	naccounts = 0;
	STORE(stop, 0);
	urge_set_preempt(URGE_PREEMPT_OFF);
	urge_gomaxprocs(LOOPS);
	start_work(&works[3]);
	STORE(phase_ready, 1);
	urge_waitgroup_wait(&workers);
	urge_set_preempt(URGE_PREEMPT_AUTO);
	return 0;
}

static void direct_loops(void)
{
	WAIT_UNTIL(LOAD(phase_ready));
	for (int i = 0; i < LOOPS; i++)
		WAIT_UNTIL(LOAD(accounts[i].began) > 0 || i == LOOPS - 1);
	for (int i = 0; i < 500; i++)
		resize(i % 64 + 1);
	CHECK(one_snapshot_left(), "%u snapshots beside loops", procs_alive());
	STORE(stop, 1);
}

int main(void)
{
	const char *only = getenv("WORK");

	phase_length = (int64_t)env_number("PHASE_MS", 600) * URGE_MS;
	begin(120 + 4 * (WORKS + 4) * phase_length / URGE_S);
	seed = random_seed();
	for (int i = 0; i < WORKS; i++) {
		phase_work = &works[i];
		if (only && strcmp(only, phase_work->name) != 0)
			continue;
		STORE(phase_ready, 0);
		STORE(phase_over, 0);
		run_both(run_phase, direct_phase);
	}
	if (!only) {
		phase_work = NULL;
		phase_length *= 4;
		STORE(phase_ready, 0);
		STORE(phase_over, 0);
		run_both(run_phase, direct_phase);
		STORE(phase_ready, 0);
		run_both(run_loops, direct_loops);
	}
	return finish();
}
