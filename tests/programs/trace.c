/* SPDX-License-Identifier: MIT */
/*
 * A program whose events are known, traced into the file that is its argument: see trace.sh, which
 * counts them.
 */
#include "tests/programs/check.h"

#include <urge.h>

enum { WORKERS = 100, YIELDS = 10, CALLS = 5, LOOPS = 2 };

static urge_chan *gate;
static urge_waitgroup workers, loops;
static volatile uint64_t turns[LOOPS];
static uint32_t loops_end;

static void worker(void *unused)
{
	(void)unused;
	for (int i = 0; i < YIELDS; i++)
		urge_yield();
	CHECK(urge_recv(gate, NULL) == 0, "the gate");
	urge_waitgroup_done(&workers);
}

static void caller(void *unused)
{
	(void)unused;
	for (int i = 0; i < CALLS; i++) {
		urge_entersyscall();
		urge_exitsyscall();
	}
	urge_waitgroup_done(&workers);
}

static void looper(void *arg)
{
	volatile uint64_t *mine = arg;

	while (!LOAD(loops_end))
		++*mine;
	urge_waitgroup_done(&loops);
}

static void sleeper(void *unused)
{
	(void)unused;
	urge_sleep(50 * URGE_MS);
	STORE(loops_end, 1);
	urge_waitgroup_done(&loops);
}

static int traced(void *path)
{
	gate = urge_chan_make(0, 0);
	urge_gomaxprocs(2);
	CHECK(urge_trace_start(path) == 0, "start");
	urge_waitgroup_add(&workers, WORKERS + 1);
	for (int i = 0; i < WORKERS; i++)
		urge_go(worker, NULL);
	urge_go(caller, NULL);
	urge_gomaxprocs(3);
	urge_gomaxprocs(2);
	urge_sleep(20 * URGE_MS); /* so that most of them wait */
	for (int i = 0; i < WORKERS; i++)
		urge_send(gate, NULL);
	urge_waitgroup_wait(&workers);
	urge_stop_the_world("to be seen in the trace");
	urge_start_the_world();
	urge_waitgroup_add(&loops, LOOPS + 1);
	urge_go(sleeper, NULL);
	for (int i = 0; i < LOOPS; i++)
		urge_go(looper, (void *)&turns[i]);
	urge_waitgroup_wait(&loops);
	while (urge_num_goroutine() > 1) /* their ends belong to the trace */
		urge_sleep(URGE_MS);
	CHECK(urge_trace_stop() == 0, "stop");
	urge_chan_free(gate);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	begin(60);
	CHECK(urge_main(traced, argv[1]) == 0, "urge_main");
	return finish();
}
