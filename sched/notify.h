/* SPDX-License-Identifier: MIT */
/* Signals as elements of channels: urge_signal_notify. See notify.c. */
#ifndef URGE_SCHED_NOTIFY_H
#define URGE_SCHED_NOTIFY_H

/* On an event of the descriptor that the handler writes to: sends what has come. */
void notify_deliver(void);

/* The end of urge_main: the program's handlers are back. */
void notify_fini(void);

#endif
