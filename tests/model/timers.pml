/* SPDX-License-Identifier: MIT */
/*
 * Who wakes at a timer's time, and who watches over those that wait for a P.
 *
 * Modelled: timers_cover, timers_earliest, timers_run, timers_after_netpoll; netpoll_claim,
 * netpoll_sleep, wait_in_netpoll; start_running's look at the P's timers; sleep_commit, which adds
 * a timer; sysmon's loop and its second look earliest(); sysmon_watch. The two waiting points are
 * what sysmon_sleep.pml shows them to be: until is lowered under a lock, and the timerfd goes off
 * then.
 *
 * Checked, whenever all Ms run goroutines, are idle or sleep in netpoll, sysmon sleeps, and all
 * stores have arrived:
 * - each timer's time is not before until of a point where somebody sleeps;
 * - if a goroutine waits for a P, sysmon will look within a slice.
 *
 * Netpoll's sleeper and sysmon hand the timers over to each other:
 *
 *	who has a timer to cover	M that leaves netpoll		sysmon before it sleeps
 *	the timer is in its heap	claimed = 0			until = ...
 *	the heap is unlocked		smp_mb				mb_rare
 *	claimed? lower netpoll's	run the expired timers		claimed? lower netpoll's
 *	else lower sysmon's		cover the earliest		else lower its own
 *
 * What the mutations show to be necessary:
 * - start_running covers nothing if sysmon looks in time. So sysmon, which leaves the timers to
 *   netpoll's sleeper when there is one, lowers that one's until: it may know nothing of a timer
 *   that sysmon was going to look at (MUT_SYSMON_DROPS_TIMERS).
 * - sysmon's second look is at timers even when it watches: its next look at the end of a slice
 *   may be later than a timer which was added while it was awake, its until 0
 *   (MUT_WATCHING_HIDES_TIMERS).
 * - a direct switch runs start_running for the next goroutine before the old one's timer is in the
 *   heap. So sleep_commit covers it when a goroutine runs on (MUT_DIRECT_SWITCH_UNCOVERED). (Waits
 *   with a deadline set their timer before the switch, so that start_running sees it.)
 * - an M that gave up a P, found work in its last look and got another P, covers the timers of the
 *   first, which nobody looks after (MUT_OTHER_P_UNCOVERED).
 *
 * sysmon_watching works like until: off, barrier, look. The barrier is waitpoint_sleep's, and the look
 * its second one, which is at those that wait as well.
 *
 * Memory: each thread has a first-in first-out store buffer, as on x86 (TSO). Timers, claimed = 0,
 * sysmon's stores to sysmon_watching, and the work that is queued go through it. With -DMEMBARRIER
 * mb_frequent is nothing, and mb_rare drains the buffers of all threads; only then does sysmon's
 * barrier count here, as until is stored under a lock (sysmon_sleep.pml delays it as well), and only
 * for the work that is queued: the unlock of a heap drains the buffer of who put a timer in.
 *
 * Abstracted, and why no error can hide there:
 * - There is no clock: only the order of times matters, LATEST of them, and INF. A sleeper may wake
 *   at any time, and who runs a heap's timers may find its timer expired at any time. The end of a
 *   slice is the last of the times.
 * - timers_earliest looks at all heaps at one instant, since who adds a timer between two of the
 *   real looks covers it himself.
 * - A heap has at most one timer, since only the earliest counts; NTIMERS are added in all,
 *   besides the one at LATEST for which M 1 sleeps in netpoll at the start. More of them, or of
 *   Ms, are more than the search affords.
 * - Whether a goroutine is there to run is left open, for an M in findrunnable and for one that is
 *   idle, which may get a P at any time.
 * - sysmon's first look, before it publishes until, only makes until earlier. Here it looks for
 *   those that wait, since that decides upon sysmon_watching; not at timers.
 * - With -DWATCH there is, instead of M 1, a thread that queues work when no P is idle, NWORKS
 *   times; somebody takes it at any time. parking.pml shows that when a P is idle nobody needs to
 *   watch.
 * - Not here: system calls (their P's timers stay covered as they were), and Ps that die
 *   (timers_move ends in timers_cover); a stop of the world, during which timers are late; a P that
 *   waits for a thread.
 */

#ifndef NTIMERS
#define NTIMERS	1
#endif
#ifndef NWORKS
#define NWORKS	2
#endif
#ifndef LATEST
#define LATEST	2
#endif
#ifdef WATCH
#define NM	1
#else
#define NM	2	/* M 0 runs; M 1 sleeps in netpoll, for the timer of an idle P at LATEST */
#endif
#define NP	2
#define INF	(LATEST + 1)
#define SLICE	LATEST
#define NONE	7
#define BIT(i)	(1 << (i))

#define NETPOLL	0	/* the waiting points */
#define SYSMON	1

/* Store buffers: those of the Ms, sysmon's, the producer's. */
#define SB_SYSMON	NM
#define SB_PRODUCER	(NM + 1)

/* The words a store buffer entry names. 0 .. NP-1: minwhen */
#define CLAIMED		NP
#define WATCHING	(NP + 1)
#define WORK		(NP + 2)

chan sb[NM + 2] = [3] of { byte, byte };

byte minwhen[NP] = INF;
byte until[2];			/* 0: nobody sleeps */
bit sleeping[2];
bit claimed = NM - 1;
byte pidle = BIT(1);
byte timers = NTIMERS;
byte busy = 2;			/* threads that are in the middle of something: M 0, sysmon */
bit watching, work;

#define fence(me)	empty(sb[me])

#ifdef MEMBARRIER
#define mb_frequent(me)	true
inline mb_rare(me)
{
	fence(me);
#ifndef MUT_MEMBARRIER_IS_A_FENCE
	fence(0);
#ifdef WATCH
	fence(SB_PRODUCER)
#else
	fence(1)
#endif
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
		:: word < NP -> minwhen[word] = value
		:: word == CLAIMED -> claimed = value
		:: word == WATCHING -> watching = value
		:: else -> work = value
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
#ifndef WATCH
	:: memory_step(1)
#else
	:: memory_step(SB_SYSMON)
	:: memory_step(SB_PRODUCER)
#endif
	od
}

inline set_until(me, wp, new)
{
	atomic { fence(me) -> until[wp] = new }
}

inline waitpoint_lower(me, wp, when)
{
	if
	:: until[wp] > when ->
		atomic {
			fence(me) ->
			if
			:: until[wp] > when -> until[wp] = when
			:: else
			fi
		}
	:: else
	fi
}

/* Into w. */
inline timers_earliest()
{
	d_step { w = minwhen[0]; w = (minwhen[1] < w -> minwhen[1] : w) }
}

inline timers_cover(me, when)
{
	if
	:: when == INF
	:: else ->
		if
		:: claimed -> waitpoint_lower(me, NETPOLL, when)
		:: else -> waitpoint_lower(me, SYSMON, when)
		fi
	fi
}

inline timers_run(p)
{
	if
	:: atomic { minwhen[p] < INF -> minwhen[p] = INF }
	:: true
	fi
}

/* Until the timerfd goes off, or for any other cause. */
inline wake(me, wp)
{
	atomic { fence(me) -> until[wp] = 0; sleeping[wp] = 0; busy++ }
}

proctype worker(byte id; byte p)
{
	byte w = INF, was = NONE;
	bit direct;

	if
	:: p != NONE -> goto running
	:: else -> goto asleep
	fi;

findrunnable:
	fence(id);
	timers_run(p);
	if
	:: true -> goto start_running
	:: true			/* nothing to run */
	fi;
	atomic { fence(id); pidle = pidle | BIT(p); was = p; p = NONE }
	/* last_look */
	mb_rare(id);
	if
	:: atomic { pidle & 1 -> pidle = pidle & ~1; p = 0 }
	:: atomic { pidle & 2 -> pidle = pidle & ~2; p = 1 }
	:: true
	fi;
	if
	:: p != NONE ->
#ifndef MUT_OTHER_P_UNCOVERED
		if
		:: p != was -> w = minwhen[was]; timers_cover(id, w); w = INF
		:: else
		fi;
#endif
		was = NONE;
		goto findrunnable
	:: else -> was = NONE
	fi;
	/* wait_in_netpoll */
	timers_earliest();
	if
	:: w == INF -> goto stopm
	:: else
	fi;
	if
	:: atomic { fence(id) && !claimed -> claimed = 1 }
	:: atomic { fence(id) && claimed -> skip } timers_cover(id, w); goto stopm
	fi;
	set_until(id, NETPOLL, w);
	fence(id);
	timers_earliest();
	waitpoint_lower(id, NETPOLL, w);
	w = INF;
	atomic { sleeping[NETPOLL] = 1; busy-- }
asleep:
	wake(id, NETPOLL);
	sb[id]!CLAIMED, 0;
#ifndef MUT_NETPOLL_NO_BARRIER
	fence(id);
#endif
	if
	:: atomic { fence(id) && (pidle & 1) -> pidle = pidle & ~1; p = 0 }
	:: atomic { fence(id) && (pidle & 2) -> pidle = pidle & ~2; p = 1 }
	:: true
	fi;
	/* timers_after_netpoll */
	atomic { timers_run(0); timers_run(1) }
#ifndef MUT_NETPOLL_COVERS_NOTHING
	timers_earliest();
	timers_cover(id, w);
#endif
	if
	:: p != NONE -> w = INF; goto findrunnable
	:: else
	fi;
stopm:
	atomic { w = INF; busy-- }
idle:
end_idle:
	if
	:: atomic { pidle & 1 -> pidle = pidle & ~1; p = 0; busy++ }
	:: atomic { pidle & 2 -> pidle = pidle & ~2; p = 1; busy++ }
	fi;
	goto findrunnable;

start_running:
	if
	:: minwhen[p] < until[SYSMON] -> w = minwhen[p]; timers_cover(id, w); w = INF
	:: else
	fi;
	if
	:: direct -> goto add
	:: else
	fi;
running:
	busy--;
	/* a goroutine runs, perhaps for ever */
	if
	:: atomic { timers && minwhen[p] == INF -> timers--; busy++ }
		/* it sleeps: the next one runs directly, or g0 */
		if
		:: direct = 1; goto start_running
		:: true
		fi
	:: atomic { true -> busy++ } goto findrunnable
	:: true ->
end_run:
		false
	fi;
add:
	if
	:: w = 1
	:: w = LATEST
	fi;
	sb[id]!p, w;
#ifndef MUT_UNLOCK_NO_BARRIER
	fence(id);	/* the heap's unlock */
#endif
	if
	:: direct ->
		direct = 0;
#ifndef MUT_DIRECT_SWITCH_UNCOVERED
		timers_cover(id, w);
#endif
		w = INF;
		goto running
	:: else -> w = INF; goto findrunnable
	fi
}

proctype sysmon()
{
	byte w = INF, next = INF;

	do
	:: true ->
		atomic { timers_run(0); timers_run(1) }
#ifdef WATCH
		if
		:: work
		:: else ->
			sb[SB_SYSMON]!WATCHING, 0
		fi;
		if
		:: work -> next = SLICE; sb[SB_SYSMON]!WATCHING, 1
		:: else
		fi;
#endif
		set_until(SB_SYSMON, SYSMON, next);
#ifndef MUT_SYSMON_NO_BARRIER
		mb_rare(SB_SYSMON);
#endif
		/* earliest() */
		next = INF;
#ifdef WATCH
		if
		:: watching || work ->
			next = SLICE;
#ifdef MUT_WATCHING_HIDES_TIMERS
			goto lower
#endif
		:: else
		fi;
#endif
		if
		:: claimed ->
#ifndef MUT_SYSMON_DROPS_TIMERS
			timers_earliest();
			waitpoint_lower(SB_SYSMON, NETPOLL, w)
#endif
		:: else ->
			timers_earliest();
			next = (w < next -> w : next)
		fi;
		w = INF;
lower:		waitpoint_lower(SB_SYSMON, SYSMON, next);
		next = INF;
		atomic { sleeping[SYSMON] = 1; busy-- }
		wake(SB_SYSMON, SYSMON)
	od
}

#ifdef WATCH
proctype producer()
{
	byte n;

	do
	:: n < NWORKS ->
		n++;
		atomic { !work -> busy++ }
		/* goroutine into a queue; wakep, with no P idle */
		sb[SB_PRODUCER]!WORK, 1;
#ifndef MUT_PRODUCER_NO_BARRIER
		mb_frequent(SB_PRODUCER);
#endif
		if
		:: !watching ->
			/* sysmon_watch */
			if
			:: atomic { fence(SB_PRODUCER) && !watching -> watching = 1 }
				waitpoint_lower(SB_PRODUCER, SYSMON, SLICE)
			:: atomic { fence(SB_PRODUCER) && watching -> skip }
			fi
		:: else
		fi;
		busy--;
		if
		:: atomic { work -> work = 0 }	/* somebody runs it */
		:: true -> break
		fi
	:: else -> break
	od
}
#endif

#define covered(when)								\
	((claimed && sleeping[NETPOLL] && until[NETPOLL] <= (when)) || until[SYSMON] <= (when))

active proctype watcher()
{
end:
	d_step {
		!busy && sleeping[SYSMON] && empty(sb[0]) && empty(sb[NM - 1]) &&
		empty(sb[SB_SYSMON]) && empty(sb[SB_PRODUCER]) &&
		((minwhen[0] < INF && !covered(minwhen[0])) ||
		 (minwhen[1] < INF && !covered(minwhen[1])) ||
		 (work && until[SYSMON] > SLICE)) ->
		assert(false)
	}
}

init
{
	atomic {
		run worker(0, 0);
#ifdef WATCH
		run producer();
#else
		minwhen[1] = LATEST;
		until[NETPOLL] = LATEST;
		sleeping[NETPOLL] = 1;
		run worker(1, NONE);
#endif
		run sysmon()
	}
}
