/* SPDX-License-Identifier: MIT */
/*
 * Threads that are parked in the handler: preempt/park_sig.c against findrunnable, startlockedm,
 * template_spare, and sysmon, which a handler kicks.
 *
 *	the handler				findrunnable
 *	takes a spare M, by CAS			takes the goroutine out, under parked.lock
 *	gives up the P				releasep
 *	the goroutine into the queue, same lock	nextp = pp; wakes the goroutine's M
 *	nextp of the spare = pp; wakes it	goes into a slot, as a spare
 *	waits; acquires nextp
 *
 * Checked: a P is acquired from nobody, by one M; an M that is woken has been handed a P; at the end no
 * goroutine is left in the queue, however many spares there were, unless every P is kept by one that
 * runs for ever; so each has resumed.
 *
 * Abstracted, and why no error can hide there:
 * - A goroutine in foreign code is preempted at any time, at most PREEMPTS times, runs for ever, or
 *   ends; then its thread is in findrunnable.
 * - Whether others wait in run queues is left open: a handler may take a spare or hand its P to the one
 *   that has waited longest.
 * - The queue is a set: who takes one out takes any. parked.lock makes each change one step; its
 *   release is a full barrier, so that no store buffer needs to be modelled.
 * - sysmon looks when it is kicked, and at any time while it watches.
 * - A P that finds no thread goes to a parked goroutine at once (startm); Ps that wait for a thread
 *   are in parking.pml.
 */
#ifndef NG
#define NG	2	/* goroutines in foreign code, each with a thread; NP of them have Ps */
#endif
#ifndef NS
#define NS	1	/* spare Ms, besides */
#endif
#ifndef NP
#define NP	1
#endif
#ifndef PREEMPTS
#define PREEMPTS	2
#endif

#define NM	(NG + NS)
#define NONE	7
#define BIT(i)	(1 << (i))

byte owner[NP] = NONE;
byte idle;		/* mask of idle Ps */
byte spares;		/* mask of Ms in slots */
byte parked;		/* mask of Ms whose goroutine is queued */
byte nextp[NM] = NONE;
bit park[NM];
bit kicked;
bit watching;
bit hogs;

inline take_idle(pp)
{
	if
	:: idle & 1 -> pp = 0
#if NP > 1
	:: idle & 2 -> pp = 1
#endif
	fi;
	idle = idle & ~BIT(pp)
}

/* An M of a mask. */
inline take_m(mask, m)
{
	if
	:: mask & 1 -> m = 0
	:: mask & 2 -> m = 1
#if NM > 2
	:: mask & 4 -> m = 2
#endif
#if NM > 3
	:: mask & 8 -> m = 3
#endif
	fi;
	mask = mask & ~BIT(m)
}

inline hand(m, pp)
{
#ifdef MUT_WAKE_BEFORE_NEXTP
	park[m] = 1;
	nextp[m] = pp
#else
	nextp[m] = pp;
	park[m] = 1
#endif
}

inline wait_for_p(me, pp)
{
	park[me];
	d_step {
		park[me] = 0;
		pp = nextp[me];
		nextp[me] = NONE;
		assert(pp != NONE);
		assert(owner[pp] == NONE);
		owner[pp] = me
	}
}

proctype m(byte me; byte p; bit goroutine)
{
	byte next = NONE, preempts;

	if
	:: goroutine && p == NONE -> goto stray
	:: goroutine && p != NONE -> goto foreign
	:: else -> goto slot
	fi;

foreign:
	if
	:: preempts < PREEMPTS -> preempts++
	:: goroutine = 0; goto findrunnable		/* it ends */
	:: goto hog
	fi;
	/* the handler */
	next = NONE;
	if
	:: atomic { spares -> take_m(spares, next) }
	:: true						/* nobody else waits, or none is ready */
	fi;
	atomic {
		if
		:: next == NONE && parked -> take_m(parked, next)
		:: else
		fi;
		if
		:: next != NONE ->
#ifndef MUT_PUSH_WITH_THE_P
			owner[p] = NONE;
#endif
			parked = parked | BIT(me)
		:: else
		fi
	}
	if
	:: next == NONE -> goto foreign			/* left alone */
	:: else
	fi;
	hand(next, p);
#ifdef MUT_PUSH_WITH_THE_P
	owner[p] = NONE;
#endif
	p = NONE;
	goto queued;

stray:	/* its P was taken; it is signalled, and queues itself alone */
	parked = parked | BIT(me);
queued:
#ifndef MUT_NO_KICK
	if
	:: idle || !watching -> kicked = 1
	:: else
	fi;
#endif
#ifdef MUT_FORGETS_WAKEUP
	park[me] = 0;
#endif
end_waits:
	wait_for_p(me, p);
	goto foreign;

findrunnable:
	next = NONE;
	if
	:: atomic { parked -> take_m(parked, next); owner[p] = NONE }
		hand(next, p);
		p = NONE;
		goto spare
	:: !parked
	fi;
	/* gives the P up, and looks once more */
	atomic { owner[p] = NONE; idle = idle | BIT(p); p = NONE }
	if
	:: atomic { parked && idle -> take_idle(p); owner[p] = me } goto findrunnable
	:: !parked || !idle
	fi;
spare:
	atomic { spares = spares | BIT(me) }
slot:
end_slot:
	wait_for_p(me, p);
	goto findrunnable;

hog:
	hogs = 1;
end_hog:
	false
}

/* It is told once; then it watches while there is somebody who waits. */
active proctype sysmon()
{
	byte pp = NONE, next = NONE;

end_asleep:
	do
	:: atomic { kicked || (watching && parked && idle) -> kicked = 0; watching = 1 }
		if
		:: atomic { parked && idle -> take_idle(pp) }
			/* wakep, startm: a thread, or else the P goes to one that is parked */
			if
			:: atomic { spares -> take_m(spares, next) }
				hand(next, pp)
			:: atomic { !spares && parked -> take_m(parked, next) }
				hand(next, pp)
			:: atomic { !spares && !parked -> idle = idle | BIT(pp) }
			fi;
			d_step { pp = NONE; next = NONE }
		:: !parked || !idle
		fi
	:: atomic { watching && !parked && !kicked -> watching = 0 }
	od
}

init
{
	byte i;

	atomic {
		i = 0;
		do
		:: i < NG ->
			if
			:: i < NP -> owner[i] = i; run m(i, i, 1)
			:: else -> run m(i, NONE, 1)
			fi;
			i++
		:: i == NG -> break
		od;
		do
		:: i < NM -> spares = spares | BIT(i); run m(i, NONE, 0); i++
		:: i == NM -> break
		od;
		i = 0
	}
	timeout;
	assert(!parked || (hogs && !idle));
	assert(hogs || idle == BIT(NP) - 1)
}
