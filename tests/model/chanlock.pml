/* SPDX-License-Identifier: MIT */
/*
 * The lock of a channel (sched/chanlock.h): one is inside at a time, and nobody sleeps for ever.
 *
 * Modelled: chanlock_take, chanlock_release, chanlock_adopt (with ADOPT there is no owner at first), chanlock_slow, chanlock_revoke, chanlock_wake. The owner,
 * a P, takes the lock with plain stores until it is revoked; OTHERS more threads take it by
 * compare-and-swap. Each takes it ROUNDS times.
 *
 * Checked: mutual exclusion; everybody comes to the end.
 *
 * Memory: each thread has a first-in first-out store buffer, as on x86 (TSO). Atomic operations drain
 * the buffer of their thread; mb_rare, which is a membarrier, those of all threads, one after the
 * other; mb_frequent is nothing. (Without membarrier no channel has an owner, and the barrier of
 * the sleepers' protocol is a fence on both sides: WITHOUT_MEMBARRIER.)
 *
 * Abstracted, and why no error can hide there: the spinning before the sleep, which only makes sleeps
 * rarer. A wake-up wakes any one sleeper on the word, as futex does; spurious ones only repeat the
 * look. The kernel's futex_wake has a full barrier before it looks for sleepers, without which a release
 * by a plain store could be seen too late: that is in the model, and was found by it.
 */
#ifndef OTHERS
#define OTHERS	2		/* at most 2 */
#endif
#ifndef ROUNDS
#define ROUNDS	1
#endif

#define OWNER	OTHERS		/* its number: 0 .. OTHERS-1 are the others' */
#define NT	(OTHERS + 1)

#define HELD	0
#define OWNER_IN	1
#define REVOKED	2
#define ADOPTED	3		/* there is an owner */
#define NWORDS	4
#define AWAKE	NWORDS

chan sb[NT] = [4] of { byte, bit };
bit word[NWORDS];
byte sleepers;
byte asleep[NT] = AWAKE;	/* on which word */
byte inside, over;

#define fence(me)	empty(sb[me])

#ifdef WITHOUT_MEMBARRIER
#define mb_frequent(me)	fence(me)
#else
#define mb_frequent(me)	true
#endif

inline mb_rare(me)
{
	fence(me);
#if !defined(WITHOUT_MEMBARRIER) && !defined(MUT_MEMBARRIER_IS_A_FENCE)
	fence(0);
#if OTHERS > 1
	fence(1);
#endif
	fence(OWNER)
#endif
}

active proctype memory()
{
	byte w;
	bit v;
end:
	do
	:: d_step { sb[0]?w,v -> word[w] = v; w = 0; v = 0 }
	:: d_step { sb[1]?w,v -> word[w] = v; w = 0; v = 0 }
#if OTHERS > 1
	:: d_step { sb[2]?w,v -> word[w] = v; w = 0; v = 0 }
#endif
	od
}

inline wake(w)
{
	atomic {
		if
		:: asleep[0] == w -> asleep[0] = AWAKE
		:: asleep[1] == w -> asleep[1] = AWAKE
#if OTHERS > 1
		:: asleep[2] == w -> asleep[2] = AWAKE
#endif
		:: else
		fi
	}
}

inline wake_sleepers(me)
{
	if
	:: sleepers > 0 ->
		fence(me);	/* futex_wake's own, before it looks for sleepers */
		wake(HELD);
		wake(OWNER_IN)
	:: else
	fi
}

inline futex_wait(me, w)
{
	atomic {
		if
		:: word[w] -> asleep[me] = w
		:: else
		fi
	}
	asleep[me] == AWAKE
}

inline count_sleeper(me)
{
	atomic { fence(me) -> sleepers++ }
}

inline uncount_sleeper(me)
{
	atomic { fence(me) -> sleepers-- }
}

inline cas_held(me)
{
	atomic {
		fence(me) ->
		got = !word[HELD];
		word[HELD] = 1
	}
}

inline slow(me)
{
#ifndef MUT_SLEEPER_NOT_COUNTED
	count_sleeper(me);
#endif
#ifndef MUT_SLEEPER_NO_BARRIER
	mb_rare(me);
#endif
	do
	:: cas_held(me);
		if
		:: got -> break
		:: else -> futex_wait(me, HELD)
		fi
	od;
#ifndef MUT_SLEEPER_NOT_COUNTED
	uncount_sleeper(me)
#endif
}

inline revoke(me)
{
	sb[me]!REVOKED,1;
#ifdef MUT_REVOKE_NOT_COUNTED
	fence(me);
#else
	count_sleeper(me);
#endif
#ifndef MUT_REVOKE_NO_BARRIER
	mb_rare(me);
#endif
	do
	:: word[OWNER_IN] -> futex_wait(me, OWNER_IN)
	:: else -> break
	od;
#ifndef MUT_REVOKE_NOT_COUNTED
	uncount_sleeper(me)
#endif
}

inline take_by_cas(me)
{
	cas_held(me);
	if
	:: got
	:: else -> slow(me)
	fi;
#ifndef WITHOUT_MEMBARRIER
	if
	:: word[ADOPTED] && !word[REVOKED] -> revoke(me)	/* read with an empty buffer */
	:: else
	fi
#endif
}

inline release_by_store(me)
{
	sb[me]!HELD,0;
	mb_frequent(me);
	wake_sleepers(me)
}

inline critical_section()
{
	inside++;
	assert(inside == 1);
	inside--
}

proctype other(byte me)
{
	byte n;
	bit got;

	do
	:: n < ROUNDS ->
		n++;
		take_by_cas(me);
		critical_section();
		release_by_store(me)
	:: else -> break
	od;
	over++
}

proctype owner()
{
	byte n;
	bit got, mine, adopted;

#ifndef ADOPT
	adopted = 1;
#endif
	do
	:: n < ROUNDS ->
		n++;
		mine = 0;
#ifndef WITHOUT_MEMBARRIER
		if
		:: adopted && !word[REVOKED] ->
#ifndef MUT_OWNER_LOOKS_ONCE
			sb[OWNER]!OWNER_IN,1;
			if
			:: !word[REVOKED] -> mine = 1
			:: else ->
				sb[OWNER]!OWNER_IN,0;
#ifndef MUT_BACK_OUT_TELLS_NOBODY
				wake_sleepers(OWNER)
#endif
				skip
			fi
#else
			sb[OWNER]!OWNER_IN,1;
			mine = 1
#endif
		:: else
		fi;
#endif
		if
		:: mine -> critical_section(); sb[OWNER]!OWNER_IN,0; wake_sleepers(OWNER)
		:: else ->
			take_by_cas(OWNER);
			critical_section();
#if defined(ADOPT) && !defined(MUT_ADOPT_LATE)
			if
			:: !adopted -> sb[OWNER]!ADOPTED,1; adopted = 1
			:: else
			fi;
#endif
			release_by_store(OWNER);
#ifdef MUT_ADOPT_LATE
			if
			:: !adopted -> sb[OWNER]!ADOPTED,1; adopted = 1
			:: else
			fi
#endif
		fi
	:: else -> break
	od;
	over++
}

init
{
	atomic {
		run other(0);
#if OTHERS > 1
		run other(1);
#endif
#ifndef ADOPT
		word[ADOPTED] = 1;
#endif
		run owner()
	}
	timeout;
	assert(over == NT && sleepers == 0)
}
