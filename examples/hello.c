/* SPDX-License-Identifier: MIT */
/*
 * Hello world from a goroutine.
 *
 * Expected output, exit status 0:
 *
 *	hello world in goroutine
 */
#include <stdio.h>
#include <urge.h>

static void hello(void *done)
{
	puts("hello world in goroutine");
	urge_waitgroup_done(done);
}

static int start(void *unused)
{
	urge_waitgroup done = { 0 };
	int err;

	(void)unused;
	urge_waitgroup_add(&done, 1);
	err = urge_go(hello, &done);
	if (err)
		return 1;
	urge_waitgroup_wait(&done); /* urge_main does not wait for goroutines */
	return 0;
}

int main(void)
{
	return urge_main(start, NULL);
}
