/* SPDX-License-Identifier: MIT */
/*
 * A program's own use of liburcu in goroutines, as docs/thread-affine.md says it: read sections
 * between urge_nopreempt_begin and its end, synchronize_rcu in a declared system call. With slices
 * of 50 us, and a GOMAXPROCS that changes all the time, no reader sees what an updater has freed,
 * grace periods end, and the runtime's own snapshots go away as well.
 *
 * LENGTH (3): seconds.
 */
#include "sched/allp.h"
#include "tests/programs/check.h"

#include <urcu/urcu-memb.h>

enum { READERS = 6, UPDATERS = 2, ALIVE = 0x600d, FREED = 0xdead };

struct object {
	uint32_t state;
	uint32_t number;
};

static struct object *shared;
static uint32_t stop, ready;
static uint64_t reads, updates, bad;
static urge_waitgroup done;

static void read_once(void)
{
	const struct object *object;

	urge_nopreempt_begin();
	urcu_memb_read_lock();
	object = __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
	for (volatile int i = 0; i < 300; i++)
		if (object->state != ALIVE)
			bad++;
	urcu_memb_read_unlock();
	urge_nopreempt_end();
}

static void reader(void *unused)
{
	(void)unused;
	while (!LOAD(stop)) {
		read_once();
		ADD(reads, 1);
		for (volatile int i = 0; i < 3000;
		     i++) /* here it may be preempted, and go on elsewhere */
			;
	}
	urge_waitgroup_done(&done);
}

static void updater(void *unused)
{
	(void)unused;
	while (!LOAD(stop)) {
		struct object *old, *new = malloc(sizeof(*new));

		*new = (struct object){ .state = ALIVE };
		old = __atomic_exchange_n(&shared, new, __ATOMIC_ACQ_REL);
		urge_entersyscall();
		urcu_memb_synchronize_rcu();
		urge_exitsyscall();
		__atomic_store_n(&old->state, FREED, __ATOMIC_RELAXED);
		free(old);
		ADD(updates, 1);
		urge_yield();
	}
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	(void)unused;
	shared = malloc(sizeof(*shared));
	*shared = (struct object){ .state = ALIVE };
	urge_set_time_slice(50 * URGE_US);
	for (int i = 0; i < READERS; i++)
		spawn(&done, reader, NULL);
	for (int i = 0; i < UPDATERS; i++)
		spawn(&done, updater, NULL);
	STORE(ready, 1);
	urge_waitgroup_wait(&done);
	free(shared);
	return 0;
}

static void direct(void)
{
	int64_t end = urge_now() + (int64_t)env_number("LENGTH", 3) * URGE_S;

	WAIT_UNTIL(LOAD(ready));
	for (int i = 0; urge_now() < end || LOAD(updates) < 20; i++) {
		urge_gomaxprocs(i % 4 + 1);
		doze(URGE_MS);
	}
	for (int i = 0; i < 10000 && procs_alive() > 1; i++)
		doze(URGE_MS);
	CHECK(procs_alive() == 1, "%u snapshots", procs_alive());
	STORE(stop, 1);
}

int main(void)
{
	begin(120);
	run_both(start, direct);
	CHECK(bad == 0, "%llu reads of what was freed", (unsigned long long)bad);
	CHECK(LOAD(reads) > 0, "");
	printf("%llu reads, %llu updates\n", (unsigned long long)reads,
	       (unsigned long long)updates);
	return finish();
}
