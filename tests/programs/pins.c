/* SPDX-License-Identifier: MIT */
/*
 * Locks that belong to a thread: who holds one comes back to the same thread, whether it is
 * preempted or blocks by itself, and nobody else runs there meanwhile. Recursive and error-checking
 * mutexes, rwlocks and FILEs are taken, held over computations and sleeps, and released; each
 * unlock must succeed, and nobody may be inside together with another.
 */
#include "tests/programs/check.h"

enum { WORKERS = 6 };

static uint32_t stop, turns, slept;
static urge_waitgroup done;
static uint64_t inside; /* by one at a time */

static FILE *file; /* not stderr, which a failure needs */
static pthread_mutex_t recursive, checking;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

static void compute(uint64_t turns_more)
{
	for (uint64_t n = turns_more % 60000; n > 0; n--)
		__asm__ volatile("");
}

/* Takes it, stays, perhaps sleeps, and releases it. */
static void hold_mutex(pthread_mutex_t *mutex, uint64_t random)
{
	pthread_t before, after;
	int err = pthread_mutex_lock(mutex);

	CHECK(err == 0, "lock: %d", err);
	before = pthread_self();
	CHECK(ADD(inside, 1) == 1, "somebody else is inside");
	compute(random);
	if (random % 64 == 0) {
		CHECK(urge_sleep(200 * URGE_US) == 0, "sleep");
		ADD(slept, 1);
	}
	compute(random >> 20);
	CHECK(ADD(inside, (uint64_t)-1) == 0, "somebody else was inside");
	after = pthread_self();
	CHECK(pthread_equal(before, after), "another thread");
	err = pthread_mutex_unlock(mutex);
	CHECK(err == 0, "unlock: %d", err);
}

static void hold_rwlock(uint64_t random)
{
	int err = pthread_rwlock_wrlock(&rwlock);

	CHECK(err == 0, "wrlock: %d", err);
	compute(random);
	err = pthread_rwlock_unlock(&rwlock);
	CHECK(err == 0, "unlock: %d", err);
}

static void hold_file(uint64_t random)
{
	flockfile(file);
	compute(random);
	funlockfile(file);
}

static void worker(void *seed)
{
	uint64_t random = (uint64_t)(uintptr_t)seed;

	while (!LOAD(stop)) {
		hold_mutex(&checking, random_next(&random));
		pthread_mutex_lock(&checking);
		CHECK(pthread_mutex_trylock(&recursive) == 0, "trylock: somebody else holds it");
		hold_mutex(&recursive, random_next(&random)); /* once more */
		CHECK(pthread_mutex_unlock(&recursive) == 0, "unlock: not the owner");
		pthread_mutex_unlock(&checking);
		hold_rwlock(random_next(&random));
		hold_file(random_next(&random));
		ADD(turns, 1);
	}
	urge_waitgroup_done(&done);
}

static int start(void *unused)
{
	uint64_t seed = random_seed();

	(void)unused;
	urge_set_time_slice(100 * URGE_US);
	urge_gomaxprocs(2);
	for (uintptr_t i = 0; i < WORKERS; i++)
		spawn(&done, worker, (void *)(seed + 2 * i));
	urge_waitgroup_wait(&done);
	return 0;
}

static bool enough(void)
{
	struct urge_stats stats;

	urge_stats_read(&stats);
	return LOAD(turns) >= 1000 && LOAD(slept) >= 20 && stats.preempt_parked >= 100;
}

static void direct(void)
{
	WAIT_UNTIL(enough() || LOAD(failures) > 0);
	if (LOAD(failures) > 0)
		_exit(finish()); /* the locks are in nobody's hands any more */
	STORE(stop, 1);
}

int main(void)
{
	pthread_mutexattr_t attr;
	struct urge_stats before;

	begin((int64_t)env_number("SECONDS", 120));
	file = fopen("/dev/null", "w");
	CHECK(file != NULL, "fopen: %d", errno);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&recursive, &attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&checking, &attr);
	urge_stats_read(&before);
	run_both(start, direct);
	printf("%u turns, %u sleeps with a lock held\n", turns, slept);
	print_outcomes(&before);
	return finish();
}
