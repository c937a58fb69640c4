/* SPDX-License-Identifier: MIT */
/* Names of hosts and services: urge_getaddrinfo. See resolve.c. */
#ifndef URGE_SCHED_RESOLVE_H
#define URGE_SCHED_RESOLVE_H

/* Boot: nobody asks. */
void resolveinit(void);

#endif
