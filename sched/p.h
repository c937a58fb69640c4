/* SPDX-License-Identifier: MIT */
/* Ps: who owns them, the idle list, and how many there are. */
#ifndef URGE_SCHED_P_H
#define URGE_SCHED_P_H

#include "sched/runtime2.h"

/* Makes pp, which nobody owns, the calling M's. */
void acquirep(struct m *mp, struct p *pp);

/* Takes the calling M's P away from it; the caller then owns it. */
struct p *releasep(struct m *mp);

/* The idle list; with sched.lock. pidleget returns NULL when it is empty. */
void pidleput(struct p *pp);
struct p *pidleget(void);

/*
 * Finds a use for a P that the caller owns and no M runs: a thread if there is work for it, else the
 * idle list; or the end that a stop of the world or a smaller GOMAXPROCS has for it.
 */
void handoffp(struct p *pp);

/*
 * Puts a P that the caller owns and no M runs into the idle list, its goroutines into the global
 * queue; or brings it to the end that a stop of the world or a smaller GOMAXPROCS has for it.
 */
void retirep(struct p *pp);

/*
 * In findrunnable, when pp.attn says that GOMAXPROCS has shrunk: gives up the calling M's P, whose
 * goroutines and timers go to others. False: GOMAXPROCS has grown again, the P stays.
 */
bool pdrain(struct m *mp);

/* Sets GOMAXPROCS. 0, -EINVAL or -ENOMEM, and then nothing has changed. */
int procresize(int n);

/* Boot: the first n Ps, all idle. 0 or -errno. */
int procinit(int n);

/* Return of urge_main: all Ps are nobody's again. No M runs. */
void procreset(void);

#endif
