/* SPDX-License-Identifier: MIT */
/*
 * The run queue of a P: each task is taken exactly once, and runqempty does not lie.
 *
 * Modelled, one step for each access to memory that others change: runqput, runqputslow,
 * runqget, runqgrab with its caller runqsteal, runqempty. P 0 is the victim, with the owner that
 * puts and gets. The thief of P 1 steals a batch and then empties its ring; the thief of P 2
 * steals from P 0 or from P 1, even while P 1 is receiving its batch. A watcher runs runqempty(P
 * 0).
 *
 * Checked: nobody takes a task that was taken; at the end each task was taken or lies in exactly
 * one place; runqempty says yes only if the queue was empty at some moment during the call.
 *
 * What carries the protocol:
 * - only the owner stores tail and fills slots; everybody moves head, only by compare-and-swap.
 *   Indices never repeat (up to the wrap, far away), so a successful swap from h proves that the
 *   slots read since h was loaded were still full: read first, swap after.
 * - a slot is filled before the tail that covers it is stored.
 * - the thief copies into free slots of its own ring, beyond its tail, which nobody else reads.
 *   Its ring may hold at most N/2 tasks, and then n <= N/2 keeps the copies off its live slots.
 *   h and t are two loads: the owner may have gone on in between and t - h be anything. The swap
 *   would fail then, but only after the copies. (With an empty ring nothing can be overwritten;
 *   the check is then no more than a bound on wasted work.)
 * - runnext leaves by compare-and-swap only, so owner and thief never both have it.
 * - runqempty loads tail again. Without that, head == tail from before and runnext == 0 from
 *   after "runqput kicks the old runnext into the ring, runqget takes the new one" look empty,
 *   and the queue was at no moment. (In C, runqget's compare-and-swap of runnext must release:
 *   whoever sees its 0 must see the tail stored before.)
 *
 * The queue counts as empty when runnext is 0 and head == tail. A task its owner carries from
 * runnext to the ring is not seen; nor is a batch on its way. Both are covered by the wakep that
 * follows in parking.pml.
 *
 * Abstracted, and why no error can hide there:
 * - A ring of 4 instead of 256. Indices are 8 bits wide and start shortly before their wrap, so
 *   that the modular arithmetic is exercised; a ring of 2 would make N/2 and 1 the same.
 * - Memory is sequentially consistent: the order that acquire and release ask for is assumed
 *   here. Mutations that swap two accesses show which order that is.
 * - The global queue is a set under a lock that nothing else in this model holds: one step.
 * - The 3 microseconds a thief grants runnext are a matter of speed, not of correctness.
 */

#define N	4
#ifndef NEW
#define NEW	2	/* tasks the owner puts, besides those in the rings at the start */
#endif
#ifndef GETS
#define GETS	2	/* tasks the owner takes, at most */
#endif
#ifndef FILL
#define FILL	4	/* tasks in the ring of P 0 at the start, 0 .. N */
#endif
#ifndef OWN
#define OWN	2	/* tasks in the ring of the first thief; 2 is the most that is allowed */
#endif
#define NTASKS	(FILL + OWN + NEW)
#define START	254	/* of all indices */

#define SUB(a, b)	(((a) - (b)) & 255)
#define SLOT(p, i)	slot[(p) * N + ((i) & (N - 1))]

byte head[3] = START;
byte tail[3] = START;
byte slot[3 * N];
byte runnext;			/* of P 0; tasks are 1 .. NTASKS */
byte globrunq[NTASKS + 1];	/* how often each task was put there */
byte taken[NTASKS + 1];
byte put;
bit was_empty;			/* P 0 was, at some moment since the watcher began */

#define IS_EMPTY	(!runnext && head[0] == tail[0])
#ifdef WATCHER
#define note_empty()	was_empty = was_empty || IS_EMPTY
#else
#define note_empty()	skip
#endif

inline take(gp)
{
	assert(gp && !taken[gp]);
	taken[gp] = 1;
	gp = 0
}

/*
 * Each compare-and-swap is written X_AT(x == old), then a step that begins with X_IF(x == old). A
 * mutation compares in the first step and stores in the second.
 */
#define SWAP_AT(x_is_old)
#define SWAP_IF(x_is_old)	(x_is_old)
#define MUT_AT(x_is_old)	ok = (x_is_old);
#define MUT_IF(x_is_old)	ok

#ifdef MUT_GRAB_NO_CAS
#define GRAB_AT	MUT_AT
#define GRAB_IF	MUT_IF
#else
#define GRAB_AT	SWAP_AT
#define GRAB_IF	SWAP_IF
#endif
#ifdef MUT_GRAB_RUNNEXT_NO_CAS
#define GRAB_RUNNEXT_AT	MUT_AT
#define GRAB_RUNNEXT_IF	MUT_IF
#else
#define GRAB_RUNNEXT_AT	SWAP_AT
#define GRAB_RUNNEXT_IF	SWAP_IF
#endif
#ifdef MUT_GET_NO_CAS
#define GET_AT	MUT_AT
#define GET_IF	MUT_IF
#else
#define GET_AT	SWAP_AT
#define GET_IF	SWAP_IF
#endif
#ifdef MUT_GET_RUNNEXT_NO_CAS
#define GET_RUNNEXT_AT	MUT_AT
#define GET_RUNNEXT_IF	MUT_IF
#else
#define GET_RUNNEXT_AT	SWAP_AT
#define GET_RUNNEXT_IF	SWAP_IF
#endif
#ifdef MUT_PUTSLOW_NO_CAS
#define PUTSLOW_AT	MUT_AT
#define PUTSLOW_IF	MUT_IF
#else
#define PUTSLOW_AT	SWAP_AT
#define PUTSLOW_IF	SWAP_IF
#endif

/*
 * Puts gp, and leaves 0 in it. The real load and swap of runnext are retried until no thief came
 * between them: an exchange.
 */
inline runqput(next)
{
	if
	:: next -> atomic { t = runnext; runnext = gp; gp = t; t = 0 }
	:: else
	fi;
	do
	:: !gp -> break
	:: else ->
		d_step { h = head[0]; t = tail[0] }
		if
		:: SUB(t, h) < N ->
#ifdef MUT_PUT_TAIL_FIRST
			tail[0] = t + 1;
			d_step { SLOT(0, t) = gp; h = 0; t = 0; gp = 0 }
#else
			SLOT(0, t) = gp;
			d_step { tail[0] = t + 1; note_empty(); h = 0; t = 0; gp = 0 }
#endif
		:: else -> runqputslow()
		fi
	od
}

/* The ring was full when h was loaded: moves half of it and gp. */
inline runqputslow()
{
	d_step { n = SLOT(0, h); i = SLOT(0, h + 1) }	/* only the owner writes them */
	PUTSLOW_AT(head[0] == h)
	d_step {
		if
		:: PUTSLOW_IF(head[0] == h) ->
			head[0] = h + N / 2;
			note_empty();
			globrunq[n]++;
			globrunq[i]++;
			globrunq[gp]++;
			gp = 0
		:: else
		fi;
		h = 0;
		t = 0;
		n = 0;
		i = 0
	}
}

/* Takes a task, if there is one. */
inline runqget(p)
{
	gp = (p == 0 -> runnext : 0);
	if
	:: gp ->
		GET_RUNNEXT_AT(runnext == gp)
		atomic {
			if
			:: GET_RUNNEXT_IF(runnext == gp) ->
				runnext = 0;
				note_empty();
				take(gp);
				t = 1
			:: else -> gp = 0
			fi
		}
	:: else
	fi;
	do
	:: t -> t = 0; break
	:: else ->
		h = head[p];
		if
		:: tail[p] == h -> h = 0; break
		:: else
		fi;
		gp = SLOT(p, h);
		GET_AT(head[p] == h)
		atomic {
			if
			:: GET_IF(head[p] == h) -> head[p] = h + 1; note_empty(); take(gp); t = 1
			:: else -> gp = 0
			fi;
			h = 0
		}
	od
}

inline copy_batch(victim, me)
{
	do
	:: i < n -> d_step { SLOT(me, mytail + i) = SLOT(victim, h + i); i++ }
	:: else -> i = 0; break
	od
}

/* n is the number of tasks that lie in the ring of P me, beyond its tail. */
inline runqgrab(victim, me)
{
	do
	:: done -> done = 0; break
	:: else ->
		h = head[victim];
		d_step { t = tail[victim]; n = SUB(t, h); n = n - n / 2; t = 0 }
		if
		:: n == 0 ->
			h = 0;
			gp = (victim == 0 -> runnext : 0);
			if
			:: !gp -> done = 1
			:: else ->
				GRAB_RUNNEXT_AT(runnext == gp)
				d_step {
					if
					:: GRAB_RUNNEXT_IF(runnext == gp) ->
						runnext = 0;
						note_empty();
						SLOT(me, mytail) = gp;
						n = 1;
						done = 1
					:: else
					fi;
					gp = 0
				}
			fi
#ifndef MUT_GRAB_NO_BOUND
		:: n > N / 2		/* h and t do not belong together */
		:: n && n <= N / 2 ->
#else
		:: n ->
#endif
#ifdef MUT_GRAB_PUBLISH_FIRST
			tail[me] = mytail + n - 1;
#endif
#ifndef MUT_GRAB_SWAP_FIRST
			copy_batch(victim, me);
#endif
			GRAB_AT(head[victim] == h)
			atomic {
				if
				:: GRAB_IF(head[victim] == h) ->
					head[victim] = h + n;
					note_empty();
					done = 1
				:: else
				fi
			}
#ifdef MUT_GRAB_SWAP_FIRST
			if
			:: done -> copy_batch(victim, me)
			:: else
			fi;
#endif
#ifdef MUT_GRAB_PUBLISH_FIRST
			tail[me] = mytail;
#endif
			h = 0
		fi
	od
}

inline runqsteal(victim, me)
{
	mytail = tail[me];
	runqgrab(victim, me);
	if
	:: n ->
		atomic {
			n--;
			gp = SLOT(me, mytail + n);
			tail[me] = mytail + n;
			take(gp)
		}
	:: else
	fi;
	d_step { n = 0; mytail = 0 }
}

proctype owner()
{
	byte gp, h, t, n, i, gets;
	bit ok;

	do
	:: atomic { put < NEW -> put++; gp = FILL + OWN + put } runqput(1)
	:: atomic { put < NEW -> put++; gp = FILL + OWN + put } runqput(0)
	:: gets < GETS -> gets++; runqget(0)
	:: break
	od
}

proctype thief1()
{
	byte gp, h, t, n, i, mytail;
	bit ok, done;

	runqsteal(0, 1);
	do
	:: tail[1] != head[1] -> runqget(1)
	:: else -> break
	od
}

proctype thief2()
{
	byte gp, h, t, n, i, mytail;
	bit ok, done;

	if
	:: runqsteal(0, 2)
	:: runqsteal(1, 2)
	fi
}

#ifdef WATCHER
proctype watcher()
{
	byte h, t, next;

	d_step { was_empty = IS_EMPTY; h = head[0] }
	do
	:: t = tail[0];
		next = runnext;
		if
#ifdef MUT_EMPTY_NO_SECOND_LOOK
		:: true -> break
#else
		:: t == tail[0] -> break
		:: else -> h = head[0]
#endif
		fi
	od;
	assert(h != t || next || was_empty)
}
#endif

init
{
	byte p, i, n;

	d_step {
		for (i : 0 .. FILL - 1) {
			SLOT(0, tail[0]) = i + 1;
			tail[0]++
		}
		for (i : 0 .. OWN - 1) {
			SLOT(1, tail[1]) = FILL + i + 1;
			tail[1]++
		}
		i = 0
	}
	atomic {
		run owner();
		run thief2();
#ifdef WATCHER
		run watcher()
#else
		run thief1()
#endif
	}
	timeout;
	d_step {
		/* Each task is in exactly one place: count those left over into taken. */
		if
		:: runnext -> taken[runnext]++
		:: else
		fi;
		for (p : 0 .. 2) {
			assert(SUB(tail[p], head[p]) <= N);
			do
			:: head[p] != tail[p] -> n = SLOT(p, head[p]); taken[n]++; head[p]++
			:: else -> break
			od
		}
		for (i : 1 .. FILL + OWN + put) {
			assert(taken[i] + globrunq[i] == 1)
		}
	}
}
