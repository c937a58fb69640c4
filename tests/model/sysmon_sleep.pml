/* SPDX-License-Identifier: MIT */
/*
 * sysmon's sleep: it never sleeps beyond a deadline.
 *
 * Modelled: sysmon_sleep, sysmon_arm. sysmon_until is the time at which sysmon will look next:
 * INF in the deep sleep, 0 while it is awake. Again two lists of steps with a full barrier in
 * the middle:
 *
 *	producer				sysmon
 *	publish the deadline			sysmon.lock: until = next look, arm the timerfd
 *	FULL BARRIER				FULL BARRIER
 *	until <= deadline: done			scan all deadlines
 *	else sysmon_arm(deadline)		an earlier one: sysmon_arm(it); epoll_wait
 *
 * sysmon_arm(d), for both: take sysmon.lock; if until is still later than d, until = d and arm
 * the timerfd for d. So the timerfd goes off at until, except while sysmon is awake; it is a
 * re-armed timerfd that shortens a sleep, and no eventfd is needed. A producer that sees 0 does
 * nothing: sysmon, awake, has yet to publish and then to scan.
 *
 * The lock must cover the compare, the store and the arming, on both sides. A sysmon that arms
 * outside it (MUT_ARM_UNLOCKED) may replace the earlier deadline which a producer armed after
 * sysmon had scanned.
 *
 * Checked: whenever sysmon sleeps, the producers are through and the buffers are empty, the
 * timerfd is armed for no later than the earliest deadline.
 *
 * Memory: each thread has a first-in first-out store buffer, as on x86 (TSO); deadlines, until
 * and the release of the lock go through it. Taking the lock drains the buffer; arming the
 * timerfd does not, although the kernel's path would: the barrier is shown to suffice without
 * it.
 * With -DMEMBARRIER the producer's barrier is nothing (mb_frequent), and sysmon's drains the
 * buffers of all threads, one after the other, as membarrier does (mb_rare).
 *
 * Abstracted, and why no error can hide there:
 * - Only the order of times matters: three of them, and INF. The clock jumps to the armed time
 *   when the timerfd goes off. It may also go off late, since anything else may happen first.
 * - A producer has one deadline at a time and publishes another when sysmon has cleared it.
 *   Dropping one only wakes sysmon for nothing. A word that its producer may change while sysmon
 *   clears it is not covered: it must be cleared by compare-and-swap, or not by sysmon at all.
 * - What sysmon does for a deadline (retake, ready, preempt) publishes nothing but further
 *   deadlines, and it is awake.
 * - Other causes to wake (I/O, break) end a sleep early: sysmon may wake at any time.
 */

#define NPRODUCERS	2
#ifndef NDEADLINES
#define NDEADLINES	2	/* each producer's, one after the other */
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
byte armed = INF;		/* the kernel's: when the timerfd goes off */
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
	fence(1)
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
	:: memory_step(2)
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

/* until is read from memory: lock() has drained our own store to it. */
inline sysmon_arm(me, d)
{
	lock(me);
	if
#ifdef MUT_ARM_NO_SECOND_LOOK
	:: true ->
#else
	:: until > d ->
#endif
		sb[me]!UNTIL, d;
		armed = d
#ifndef MUT_ARM_NO_SECOND_LOOK
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
	:: sb[SYSMON]!UNTIL, 0;
		scan(now);
#ifdef MUT_PUBLISH_AFTER_SCAN
		fence(SYSMON);
		scan(0);
#endif
#ifdef MUT_ARM_UNLOCKED
		sb[SYSMON]!UNTIL, next;
#else
		lock(SYSMON);
		sb[SYSMON]!UNTIL, next;
		armed = next;
		unlock(SYSMON);
#endif
#ifndef MUT_PUBLISH_AFTER_SCAN
#ifndef MUT_SYSMON_NO_BARRIER
		mb_rare(SYSMON);
#endif
		scan(0);
#endif
#ifdef MUT_ARM_UNLOCKED
		armed = next;
		sb[SYSMON]!UNTIL, next;
#else
		if
		:: next < INF -> sysmon_arm(SYSMON, next)
		:: else
		fi;
#endif
		d_step { next = 0; sleeping = 1 }
		if
		:: d_step {
			armed < INF ->
			now = (armed > now -> armed : now);
			sleeping = 0
		}
		:: sleeping = 0
		fi
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
		:: until > d -> sysmon_arm(id, d)
		:: else
		fi;
		d_step { busy--; d = 0 }
	:: else -> break
	od
}

/* Nobody is in the middle of anything, and sysmon is going to oversleep. */
#define oversleeps(i)	(deadline[i] && deadline[i] < armed)

active proctype oversleeping()
{
end:
	d_step {
		sleeping && !busy && empty(sb[0]) && empty(sb[1]) && empty(sb[SYSMON]) &&
		(oversleeps(0) || oversleeps(1)) ->
		assert(false)
	}
}

init
{
	atomic {
		run sysmon();
		run producer(0);
		run producer(1)
	}
}
