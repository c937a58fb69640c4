/* SPDX-License-Identifier: MIT */
/* Goroutine-local storage: see key.c. */
#ifndef URGE_SCHED_KEY_H
#define URGE_SCHED_KEY_H

/*
 * The calling goroutine ends: runs the destructors of its values. They are the user's functions, so
 * this stands outside enter and leave, in urge_entry.
 */
void keys_destroy(void);

#endif
