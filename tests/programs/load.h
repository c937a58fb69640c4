/* SPDX-License-Identifier: MIT */
/*
 * Goroutines that keep a program busy with all kinds of things while something is tested beside
 * them: loops, malloc, channels and locks, short lives, changes of GOMAXPROCS; with slices of 50
 * us, so that they are moved or parked with their threads all the time.
 */
#ifndef URGE_TESTS_PROGRAMS_LOAD_H
#define URGE_TESTS_PROGRAMS_LOAD_H

#include "tests/programs/check.h"

static uint32_t load_stop;
static urge_waitgroup load;
static urge_chan *load_chan;
static urge_mutex load_mutex;
static uint64_t load_resizes;

static void load_loop(void *unused)
{
	(void)unused;
	while (!LOAD(load_stop))
		for (volatile int i = 0; i < 10000; i++)
			;
	urge_waitgroup_done(&load);
}

static void load_in_malloc(void *unused)
{
	(void)unused;
	while (!LOAD(load_stop)) {
		void *volatile p = malloc(300);

		free(p);
	}
	urge_waitgroup_done(&load);
}

static void load_talk(void *unused)
{
	uint64_t n = 0;

	(void)unused;
	while (!LOAD(load_stop)) {
		urge_mutex_lock(&load_mutex);
		n++;
		urge_mutex_unlock(&load_mutex);
		urge_try_send(load_chan, &n);
		urge_try_recv(load_chan, &n);
		urge_yield();
	}
	urge_waitgroup_done(&load);
}

static void load_nothing(void *unused)
{
	(void)unused;
	urge_waitgroup_done(&load);
}

static void load_short_lives(void *unused)
{
	(void)unused;
	while (!LOAD(load_stop)) {
		spawn(&load, load_nothing, NULL);
		urge_sleep(20 * URGE_US);
	}
	urge_waitgroup_done(&load);
}

static void load_resize(void *unused)
{
	(void)unused;
	for (int i = 0; !LOAD(load_stop); i++) {
		urge_gomaxprocs(2 + i % 3);
		ADD(load_resizes, 1);
		urge_sleep(500 * URGE_US);
	}
	urge_waitgroup_done(&load);
}

/* In a goroutine. */
static void load_begin(void)
{
	static const urge_fn fns[] = { load_loop, load_in_malloc,   load_talk,
				       load_talk, load_short_lives, load_resize };

	/* in a fork's child those of the parent are not there to be waited for */
	load = (urge_waitgroup){ 0 };
	load_mutex = (urge_mutex){ 0 };
	urge_set_time_slice(50 * URGE_US);
	load_chan = urge_chan_make(sizeof(uint64_t), 2);
	STORE(load_stop, 0);
	for (unsigned i = 0; i < sizeof(fns) / sizeof(fns[0]); i++)
		spawn(&load, fns[i], NULL);
}

/* In the same; returns when all have ended. */
static void load_end(void)
{
	STORE(load_stop, 1);
	urge_waitgroup_wait(&load);
	urge_chan_free(load_chan);
}

#endif
