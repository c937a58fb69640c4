/* SPDX-License-Identifier: MIT */
/* Ps: who owns them, and the idle list. */
#ifndef URGE_SCHED_P_H
#define URGE_SCHED_P_H

#include "sched/runtime2.h"

/* Makes pp, which nobody owns, the calling M's. */
void acquirep(struct m *mp, struct p *pp);

/* Takes the calling M's P away from it; the caller then owns it. */
struct p *releasep(struct m *mp);

/*
 * The idle list; with sched.lock. pidleget returns a P of the node if there is one, else of the
 * nearest other node, NULL if none is idle; pidleget_on one of the node or NULL.
 */
void pidleput(struct p *pp);
struct p *pidleget(uint32_t node);
struct p *pidleget_on(uint32_t node);

/* The idle ones from number n on die, see pdead. With sched.lock. */
void pidle_bury(int n);

/*
 * The dead goroutines that idle Ps keep go to others, if such a P has run nothing since the last
 * call. False: no P keeps any that a later call would find.
 */
bool pidle_purge(void);

/* So many more Ps are not dead, before the first of them is used. With sched.lock. */
void p_counts(int change);

/*
 * The end of a P that the caller owns: its goroutines, and those that it keeps to be used again, go
 * to others. With sched.lock; timers_move is to follow when it is unlocked.
 */
void pdead(struct p *pp);

/*
 * Finds a use for a P that the caller owns and no M runs: a thread if there is work for it, else
 * the idle list; or the end that a stop of the world or a smaller GOMAXPROCS has for it.
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

#endif
