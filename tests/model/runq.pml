/* SPDX-License-Identifier: MIT */
/*
 * The run queue of a P: each task is taken exactly once, and runqempty does not lie.
 *
 * Modelled, one step for each access to memory that others change: runqput, runqputslow,
 * runqget with runqget_newest, runqgrab with its caller runqsteal, runqempty. P 0 is the victim,
 * with the owner that puts and gets. The thief of P 1 steals a batch and then empties its ring; the
 * thief of P 2 steals from P 0 or from P 1, even while P 1 is receiving its batch. A watcher runs
 * runqempty(P 0).
 *
 * Checked: nobody takes a task that was taken; at the end each task was taken or lies in exactly
 * one place; runqempty says yes only if the queue was empty at some moment during the call.
 *
 * What carries the protocol:
 * - only the owner stores tail and fills slots; everybody moves head, only by compare-and-swap of
 *   the whole word, index and epoch. Indices never repeat (up to the wrap, far away), so a
 *   successful swap from h proves that the slots read since h was loaded were still full: read
 *   first, swap after.
 * - a slot is filled before the tail that covers it is stored.
 * - the owner that takes the newest lowers tail before its swap. The swap proves that no thief was
 *   faster; the epoch which it sets makes fail whoever counted the newest in; and who sees the
 *   epoch sees the lower tail. When it fails tail goes up again.
 * - with a threshold of N/2 the epoch has nothing to do: the newest lies at h + N/2 or later, and a
 *   thief takes N/2 at most. The swap of a word that stays the same would then suffice
 *   (-DSAME_EPOCH). It is the epoch that lets the threshold be lower (MUT_NEWEST_SAME_EPOCH).
 * - the thief copies into free slots of its own ring, beyond its tail, which nobody else reads.
 *   Its ring may hold at most N/2 tasks, and then n <= N/2 keeps the copies off its live slots.
 *   h and t are two loads: the owner may have gone on in between and t - h be anything, even less
 *   than nothing while tail is lowered. The swap would fail then, but only after the copies. (With
 *   an empty ring nothing can be overwritten; the check is then no more than a bound on wasted
 *   work.)
 * - runnext leaves by compare-and-swap only, so owner and thief never both have it.
 * - runqempty loads tail again. Without that, head == tail from before and runnext == 0 from
 *   after "runqput kicks the old runnext into the ring, runqget takes the new one" look empty,
 *   and the queue was at no moment. (In C, runqget's compare-and-swap of runnext must release:
 *   whoever sees its 0 must see the tail stored before.) That tail may also fall does no harm: it
 *   falls to a value above any head that was loaded before, so never back to an empty ring's.
 *
 * The queue counts as empty when runnext is 0 and head == tail. A task its owner carries from
 * runnext to the ring is not seen; nor is a batch on its way; nor, while tail is lowered, the
 * newest, when thieves have taken all the others. The first two are covered by the wakep that
 * follows in parking.pml; the last the owner itself is about to take.
 *
 * Memory is sequentially consistent; with -DTSO the stores to tails and slots pass through a
 * first-in first-out store buffer a thread, as on x86, and a compare-and-swap waits until the
 * buffer has drained. Each thread knows its own stores at once. Mutations that swap two accesses
 * show which order acquire and release must give elsewhere.
 *
 * Abstracted, and why no error can hide there:
 * - A ring of 4 instead of 256. Indices are 8 bits wide and start shortly before their wrap, so
 *   that the modular arithmetic is exercised; a ring of 2 would make N/2 and 1 the same. Not
 *   covered: more than two thieves, and more tasks than NEW, GETS and FILL say.
 * - Whether the newest has run yet, and whether the oldest is asked for, is left open: a ring
 *   above the threshold may take either.
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
#ifndef NEWEST
#define NEWEST	(N / 2)	/* more tasks than these in a ring: its owner may take the newest */
#endif
#define NTASKS	(FILL + OWN + NEW)
#define START	254	/* of all indices */

#define SUB(a, b)	(((a) - (b)) & 255)
#define SLOT(p, i)	slot[(p) * N + ((i) & (N - 1))]

byte head[3] = START;		/* the lower half of the head's word */
byte epoch[3];			/* the upper half */
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

/*
 * Stores to the tail and the slots of P p, by its owner, and what he sees of them himself. Others
 * read memory.
 */
#ifdef TSO
#define NSLOTS		(3 * N)
chan sb[3] = [3] of { byte, byte };	/* an index of slot, or NSLOTS for the tail; the value */
byte owntail[3] = START;
byte ownslot[3 * N];
#define DRAINED(p)	empty(sb[p])
#define OWNTAIL(p)	owntail[p]
#define OWNSLOT(p, i)	ownslot[(p) * N + ((i) & (N - 1))]

inline store_tail(whose, new)
{
	atomic { sb[whose]!NSLOTS, new; owntail[whose] = new }
}

inline store_slot(whose, at, new)
{
	atomic {
		sb[whose]!((whose) * N + ((at) & (N - 1))), new;
		OWNSLOT(whose, at) = new
	}
}

inline memory_step(p)
{
	d_step {
		sb[p]?word, new;
		if
		:: word == NSLOTS -> tail[p] = new
		:: else -> slot[word] = new
		fi;
		note_empty();
		word = 0;
		new = 0
	}
}

active proctype memory()
{
	byte word, new;
end:
	do
	:: memory_step(0)
	:: memory_step(1)
	:: memory_step(2)
	od
}
#else
#define DRAINED(p)	true
#define OWNTAIL(p)	tail[p]
#define OWNSLOT(p, i)	SLOT(p, i)
#define store_tail(p, new)	d_step { tail[p] = new; note_empty() }
#define store_slot(p, at, new)	SLOT(p, at) = new
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
#define HEAD_IS(p)		(head[p] == h && epoch[p] == e)
#ifdef MUT_GRAB_IGNORES_EPOCH
#define THIEF_HEAD_IS(p)	(head[p] == h)
#else
#define THIEF_HEAD_IS		HEAD_IS
#endif
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
#ifdef MUT_NEWEST_NO_CAS
#define NEWEST_IF(x_is_old)	true
#else
#define NEWEST_IF	SWAP_IF
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
	:: next -> atomic { DRAINED(0) -> t = runnext; runnext = gp; gp = t; t = 0 }
	:: else
	fi;
	do
	:: !gp -> break
	:: else ->
		d_step { h = head[0]; e = epoch[0]; t = OWNTAIL(0) }
		if
		:: SUB(t, h) < N ->
#ifdef MUT_PUT_TAIL_FIRST
			store_tail(0, t + 1);
			store_slot(0, t, gp);
#else
			store_slot(0, t, gp);
			store_tail(0, t + 1);
#endif
			d_step { h = 0; e = 0; t = 0; gp = 0 }
		:: else -> runqputslow()
		fi
	od
}

/* The ring was full when h was loaded: moves half of it and gp. */
inline runqputslow()
{
	d_step { n = OWNSLOT(0, h); i = OWNSLOT(0, h + 1) }
	PUTSLOW_AT(HEAD_IS(0))
	d_step {
		DRAINED(0) ->
		if
		:: PUTSLOW_IF(HEAD_IS(0)) ->
			head[0] = h + N / 2;
			note_empty();
			globrunq[n]++;
			globrunq[i]++;
			globrunq[gp]++;
			gp = 0
		:: else
		fi;
		h = 0;
		e = 0;
		t = 0;
		n = 0;
		i = 0
	}
}

/* Takes the newest, at t - 1, and sets t to 1, or to 0 if it cannot. */
inline runqget_newest(p)
{
#ifndef MUT_NEWEST_TAIL_AFTER_SWAP
	store_tail(p, t - 1);
#endif
#ifndef MUT_NEWEST_SWAP_DRAINS_NOTHING
	DRAINED(p);
#endif
	atomic {
		gp = OWNSLOT(p, t - 1);
		if
		:: NEWEST_IF(HEAD_IS(p)) ->
#if !defined(MUT_NEWEST_SAME_EPOCH) && !defined(SAME_EPOCH)
			epoch[p]++;
#endif
			take(gp);
			n = 1
		:: else -> gp = 0
		fi
	}
#ifdef MUT_NEWEST_TAIL_AFTER_SWAP
	store_tail(p, t - 1);
#endif
	if
	:: n -> d_step { n = 0; t = 1 }
#ifdef MUT_NEWEST_NO_RESTORE
	:: else -> t = 0
#else
	:: else -> store_tail(p, t); t = 0
#endif
	fi
}

/* Takes a task, if there is one. */
inline runqget(p)
{
	gp = (p == 0 -> runnext : 0);
	if
	:: gp ->
		GET_RUNNEXT_AT(runnext == gp)
		atomic {
			DRAINED(p) ->
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
	:: t == 1 -> d_step { t = 0; h = 0; e = 0 } break
	:: else ->
		d_step { h = head[p]; e = epoch[p]; t = OWNTAIL(p) }
		if
		:: t == h -> d_step { t = 0; h = 0; e = 0 } break
		:: t != h && SUB(t, h) > NEWEST -> runqget_newest(p)
		:: t != h ->	/* also above the threshold: has run, or the oldest is asked for */
			GET_AT(HEAD_IS(p))
			atomic {
				DRAINED(p) ->
				gp = OWNSLOT(p, h);
				if
				:: GET_IF(HEAD_IS(p)) ->
					head[p] = h + 1;
					note_empty();
					take(gp);
					t = 1
				:: else -> gp = 0; t = 0
				fi
			}
		fi
	od
}

inline copy_batch(victim, me)
{
	do
	:: i < n -> store_slot(me, mytail + i, SLOT(victim, h + i)); i++
	:: else -> i = 0; break
	od
}

/* n is the number of tasks that lie in the ring of P me, beyond its tail. */
inline runqgrab(victim, me)
{
	do
	:: done -> done = 0; break
	:: else ->
		d_step { h = head[victim]; e = epoch[victim] }
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
					DRAINED(me) ->
					if
					:: GRAB_RUNNEXT_IF(runnext == gp) ->
						runnext = 0;
						note_empty();
						done = 1
					:: else
					fi
				}
				if
				:: done -> store_slot(me, mytail, gp); n = 1
				:: else
				fi;
				gp = 0
			fi
#ifndef MUT_GRAB_NO_BOUND
		:: n > N / 2		/* h and t do not belong together */
		:: n && n <= N / 2 ->
#else
		:: n ->
#endif
#ifdef MUT_GRAB_PUBLISH_FIRST
			store_tail(me, mytail + n - 1);
#endif
#ifndef MUT_GRAB_SWAP_FIRST
			copy_batch(victim, me);
#endif
			GRAB_AT(THIEF_HEAD_IS(victim))
			atomic {
				DRAINED(me) ->
				if
				:: GRAB_IF(THIEF_HEAD_IS(victim)) ->
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
			store_tail(me, mytail);
#endif
			atomic { h = 0; e = 0 }
		fi
	od;
	e = 0
}

inline runqsteal(victim, me)
{
	mytail = OWNTAIL(me);
	runqgrab(victim, me);
	if
	:: n ->
		n--;
		store_tail(me, mytail + n);
		atomic { gp = OWNSLOT(me, mytail + n); take(gp) }
	:: else
	fi;
	d_step { n = 0; mytail = 0 }
}

proctype owner()
{
	byte gp, h, e, t, n, i, gets;
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
	byte gp, h, e, t, n, i, mytail;
	bit ok, done;

	runqsteal(0, 1);
	do
	:: OWNTAIL(1) != head[1] -> runqget(1)
	:: else -> break
	od
}

proctype thief2()
{
	byte gp, h, e, t, n, i, mytail;
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
#ifdef TSO
			OWNSLOT(0, tail[0]) = i + 1;
			owntail[0]++;
#endif
			tail[0]++
		}
		for (i : 0 .. OWN - 1) {
			SLOT(1, tail[1]) = FILL + i + 1;
#ifdef TSO
			OWNSLOT(1, tail[1]) = FILL + i + 1;
			owntail[1]++;
#endif
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
