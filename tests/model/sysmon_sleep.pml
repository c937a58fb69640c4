/* SPDX-License-Identifier: MIT */
/*
 * A waiting point (sched/waitpoint.c): the sleeper, here sysmon, never sleeps beyond a deadline.
 *
 * Modelled: waitpoint_sleep, waitpoint_lower with waitpoint_lower_slow, set_until. until is the
 * time at which the sleeper will look next: INF in the deep sleep, 0 while it is awake. Two lists
 * of steps with a full barrier in the middle:
 *
 *	producer				sleeper
 *	publish the deadline			lock: until = next look, arm the timerfd
 *	FULL BARRIER				FULL BARRIER
 *	until <= deadline: done			scan all deadlines: lower until to the earliest
 *	else lower until to the deadline	epoll_wait; lock: until = 0
 *
 * To lower until to d, for both: take the lock; if until is still later than d, until = d and arm
 * the timerfd for d. So the timerfd goes off at until, except while the sleeper is awake; it is a
 * re-armed timerfd that shortens a sleep, and no eventfd is needed. A producer that sees 0 does
 * nothing: the sleeper, awake, has yet to publish and then to scan.
 *
 * The lock must cover the compare, the store and the arming, on both sides. A sleeper that arms
 * outside it (MUT_ARM_UNLOCKED) may replace the earlier deadline which a producer armed after
 * the sleeper had scanned.
 *
 * armed is what the timerfd was set to, so that the same time is not set twice. It is forgotten
 * when the timerfd has gone off, for a deadline that is past already; here there is none, as scan
 * deals with those.
 *
 * Checked: whenever the sleeper sleeps, the producers are through and the buffers are empty, the
 * timerfd is set to no later than the earliest deadline.
 *
 * Memory: each thread has a first-in first-out store buffer, as on x86 (TSO); deadlines, until
 * and the release of the lock go through it. Taking the lock drains the buffer; arming the
 * timerfd does not, although the kernel's path would: the barrier is shown to suffice without
 * it.
 * With -DMEMBARRIER the producer's barrier is nothing (mb_frequent), and the sleeper's drains the
 * buffers of all threads, one after the other, as membarrier does (mb_rare).
 *
 * Abstracted, and why no error can hide there:
 * - Only the order of times matters: three of them, and INF. The clock jumps to the timerfd's time
 *   when that goes off. It may also go off late, since anything else may happen first.
 * - A producer has one deadline at a time and publishes another when the sleeper has cleared it.
 *   Dropping one only wakes the sleeper for nothing. A word that its producer may change while the
 *   sleeper clears it is not covered: it must be cleared by compare-and-swap, or not by the sleeper
 *   at all.
 * - What the sleeper does for a deadline (retake, ready, preempt) publishes nothing but further
 *   deadlines, and it is awake. timers.pml has sysmon's loop, and two waiting points.
 * - Other causes to wake (I/O, kicks) end a sleep early: it may end at any time.
 * - Two producers with more than one deadline each, or three, are more than the search affords.
 */

#ifndef NPRODUCERS
#define NPRODUCERS	2	/* at most 2 */
#endif
#ifndef NDEADLINES
#define NDEADLINES	1	/* each producer's, one after the other */
#endif

#define LATEST	3		/* times are 1 .. LATEST */
#define INF	(LATEST + 1)

#define SYSMON	NPRODUCERS	/* its store buffer */

/* The words a store buffer entry names. 0 .. NPRODUCERS-1 are the deadlines; 0 there means none. */
#define UNTIL	NPRODUCERS
#define LOCK	(NPRODUCERS + 1)

chan sb[NPRODUCERS + 1] = [4] of { byte, byte };

byte deadline[NPRODUCERS];
byte until;
bit sysmon_lock;
byte armed;			/* what the timerfd was set to; 0: it may have gone off */
byte timerfd = INF;		/* the kernel's: when it goes off */
byte now;
bit sleeping;
byte busy;			/* producers between publication and the end of their protocol */

#define fence(me)	empty(sb[me])

#ifdef MEMBARRIER
#define mb_frequent(me)	true
inline mb_rare(me)
{
	fence(me);
#ifndef MUT_MEMBARRIER_IS_A_FENCE
	fence(0);
	fence(NPRODUCERS - 1)
#endif
}
#else
#define mb_frequent	fence
#define mb_rare		fence
#endif

inline memory_step(i)
{
	d_step {
		sb[i]?word, value;
		if
		:: word == UNTIL -> until = value
		:: word == LOCK -> sysmon_lock = value
		:: else -> deadline[word] = value
		fi;
		word = 0;
		value = 0
	}
}

active proctype memory()
{
	byte word, value;
end:
	do
	:: memory_step(0)
	:: memory_step(1)
#if NPRODUCERS > 1
	:: memory_step(2)
#endif
	od
}

inline lock(me)
{
	atomic { fence(me) && !sysmon_lock -> sysmon_lock = 1 }
}

inline unlock(me)
{
	sb[me]!LOCK, 0
}

inline set_until(me, d)
{
	if
	:: armed != d -> timerfd = d; armed = d
	:: else
	fi;
	sb[me]!UNTIL, d
}

/* until is read from memory: lock() has drained our own store to it. */
inline lower(me, d)
{
	lock(me);
	if
#ifdef MUT_LOWER_NO_SECOND_LOOK
	:: true -> set_until(me, d)
#else
	:: until > d -> set_until(me, d)
	:: else
#endif
	fi;
	unlock(me)
}

/* The earliest deadline later than done_until, into next; the others are dealt with. */
inline scan(done_until)
{
	next = INF;
	i = 0;
	do
	:: i < NPRODUCERS ->
		d = deadline[i];
		if
		:: d && d <= done_until -> sb[SYSMON]!i, 0
		:: d > done_until && d < next -> next = d
		:: else
		fi;
		d = 0;
		i++
	:: else -> i = 0; break
	od
}

proctype sysmon()
{
	byte next, i, d;

	do
	:: true ->
		scan(now);
#ifdef MUT_PUBLISH_AFTER_SCAN
		fence(SYSMON);
		scan(0);
#endif
#ifdef MUT_ARM_UNLOCKED
		sb[SYSMON]!UNTIL, next;
#else
		lock(SYSMON);
		set_until(SYSMON, next);
		unlock(SYSMON);
#endif
#ifndef MUT_PUBLISH_AFTER_SCAN
#ifndef MUT_SYSMON_NO_BARRIER
		mb_rare(SYSMON);
#endif
		scan(0);
#endif
#ifdef MUT_ARM_UNLOCKED
		set_until(SYSMON, next);
#else
		if
		:: next < INF -> lower(SYSMON, next)
		:: else
		fi;
#endif
		d_step { next = 0; sleeping = 1 }
		if
		:: d_step {
			timerfd < INF ->
			now = (timerfd > now -> timerfd : now);
			timerfd = INF;
			sleeping = 0;
			next = 1
		}
		:: sleeping = 0
		fi;
		lock(SYSMON);
		sb[SYSMON]!UNTIL, 0;
		if
		:: next -> armed = 0
		:: else
		fi;
		unlock(SYSMON)
	od
}

proctype producer(byte id)
{
	byte d, n;

	do
	:: n < NDEADLINES ->
		n++;
		atomic { !deadline[id] -> busy++ }
		if
		:: d = 1
		:: d = 2
		:: d = LATEST
		fi;
		sb[id]!id, d;
#ifndef MUT_PRODUCER_NO_BARRIER
		mb_frequent(id);
#endif
		if
		:: until > d -> lower(id, d)
		:: else
		fi;
		d_step { busy--; d = 0 }
	:: else -> break
	od
}

/* Nobody is in the middle of anything, and sysmon is going to oversleep. */
#define oversleeps(i)	(deadline[i] && deadline[i] < timerfd)

active proctype oversleeping()
{
end:
	d_step {
		sleeping && !busy &&
		empty(sb[0]) && empty(sb[NPRODUCERS - 1]) && empty(sb[SYSMON]) &&
		(oversleeps(0) || oversleeps(NPRODUCERS - 1)) ->
		assert(false)
	}
}

init
{
	atomic {
		run sysmon();
#if NPRODUCERS > 1
		run producer(1);
#endif
		run producer(0)
	}
}
