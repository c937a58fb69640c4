/* SPDX-License-Identifier: MIT */
/* Signals as elements of channels: urge_signal_notify. See notify.c. */
#ifndef URGE_SCHED_NOTIFY_H
#define URGE_SCHED_NOTIFY_H

/* On an event of the descriptor that the handler writes to: sends what has come. */
void notify_deliver(void);

/* The end of urge_main: the program's handlers are back. */
void notify_fini(void);

/*
 * In a fork's child: the eventfd is the parent's, and has been closed. What channels want stays;
 * notify_watch_again has it come to them, when there is a netpoll set. 0 or -errno.
 */
void notify_after_fork(void);
int notify_watch_again(void);

#endif
