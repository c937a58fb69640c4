/* SPDX-License-Identifier: MIT */
/*
 * Parking and unparking of worker threads: no wake-up is lost, no P either.
 *
 * Modelled: wakep and wakep_slow, startm, stopm, mretire, resetspinning, take_global, injectglist,
 * exitsyscall_after's way to an idle P, and of findrunnable everything that touches nmspinning or
 * the two idle lists (give_up_p, last_look); of the template thread its loop, template_take_spare,
 * template_want, place, give_up_wanting.
 *
 * Two lists of steps mirror each other, with a full barrier in the middle of each:
 *
 *	submitter				M that found nothing
 *	put the task in a queue			sched.lock: P to the idle list
 *	FULL BARRIER				if spinning, nmspinning--
 *	no P idle, or an M spins: done		FULL BARRIER
 *	nmspinning 0 -> 1, take a P, start	any queue not empty: take a P, spin again
 *
 * One of the two sees the other. EVERY M looks again, not only one that was spinning: an M that
 * was not allowed to spin also changes "no P is idle", which a submitter has relied upon
 * (MUT_LAST_LOOK_ONLY_IF_SPINNING). Since every M looks again, the check of the global queue that
 * Go makes together with giving up the P, under sched.lock, is not needed.
 *
 * Who looks for a P that becomes idle without an M, calls idle_p_look: barrier, any queue not
 * empty: wakep. That is the template thread, when it gives up on threads, and each new thread that
 * becomes a spare: before, there may have been nobody to wake.
 *
 * Checked, when nothing can move any more: if a P is idle and a thread is to be had, no task is
 * queued; if one is queued, sysmon watches; nmspinning is 0; no P waits for a
 * thread; every P is idle or runs a task; nmrunning counts those that run. No M ends that was given
 * a P, and a P is given to one M only.
 *
 * Further rules that the mutations show to be necessary:
 * - wakep that finds no idle P takes nmspinning back before it unlocks sched.lock. Later would
 *   be too late: an M may go idle and look, then a submitter sees the stale 1 and relies on it.
 * - an M that moves a batch into its own queue is a submitter: barrier, wakep. While it carried
 *   the batch, others may have looked everywhere and gone idle. A spinning M does it in
 *   resetspinning, take_global in any case.
 * - the last M that stops spinning since it found work looks again as well: nmspinning--, barrier,
 *   any queue not empty: wakep, which tells sysmon if no P is idle. Who queued a task while it spun
 *   has done neither. It may be in any queue, not only in the M's own
 *   (MUT_RESETSPINNING_TELLS_NOBODY). If no P is idle any more it only has sysmon watch.
 * - who relied on a spinning M, which turns out not to exist yet (template_want), relies on the
 *   thread that comes up for it: it begins by spinning (MUT_WANTED_DOES_NOT_SPIN). Else it takes a
 *   task from the global queue and wakes nobody, with another P idle.
 * - a last look that sees work and gets no P has something to tell sysmon: who queued the work saw
 *   a P idle, or an M that spins, and so did not (MUT_LAST_LOOK_TELLS_NOBODY). The P may have gone
 *   to the return of a system call, which runs its own goroutine and wakes nobody.
 * - a thread that has come up leaves `starting', and then looks whether a P wants a thread. The
 *   template thread, poked for that P, may have counted it just before, and sleeps
 *   (MUT_PLACE_NO_SECOND_LOOK).
 * - the template thread that gives up on threads looks for a spare as well as for an idle M: one
 *   may have come after startm has looked (MUT_GIVE_UP_IGNORES_SPARES). If there is neither, wakep
 *   would only ask it for another thread; but sysmon must know: the tasks that wait have to share
 *   the Ms there are, although a P is idle (MUT_GIVE_UP_TELLS_NOBODY).
 * - a thread that fails while it starts says so; else its P waits (MUT_START_FAILS_SILENTLY).
 * - an M whose wait timed out decides by the idle list. nextp is set after sched.lock is
 *   released, so nextp == 0 does not mean that it was not chosen. It counts as running again before
 *   it ends.
 *
 * Memory: each thread has a first-in first-out store buffer, as on x86 (TSO). The stores of the
 * Dekker pattern go through it: the publication of a task, and nmspinning--. On x86 the latter
 * is a locked instruction and would drain the buffer; here it is a delayed addition, so that the
 * explicit barrier is shown to suffice by itself, as it must on a weaker machine. A barrier, a
 * lock acquisition and a compare-and-swap wait until the buffer has drained.
 *
 * With -DMEMBARRIER the pair of barriers is the asymmetric one: mb_frequent, the submitter's, is
 * nothing, and mb_rare drains the buffers of all threads, one after the other, as membarrier does.
 *
 * Abstracted, and why no error can hide there:
 * - Tasks are counted, not named: putting and taking are single steps here. runq.pml shows for
 *   the real steps that no task is taken twice or lost. Each queue is a count of its own.
 * - The global queue's two lines (globq.c) are one count, as they are to all who look: they read the
 *   sum, and who takes one has the lock.
 * - The global queue stands for every place whose work does not come from the P's own M (timers,
 *   netpoll, queues of the nodes): published before the barrier, looked at where the queues are.
 * - A section under a lock is one step.
 * - The limit 2 * nmspinning < busy Ps is replaced by: an M may decline to spin whenever another
 *   spins. Any limit that always admits the first is one of the behaviours explored.
 * - Idle Ps have empty queues, hence are alike: the lowest is taken. Of the idle Ms any may be.
 * - A task may run for ever (a hog), so a task stuck in the queue of a busy P shows as an error
 *   when nothing can move, and no time is needed. sysmon, once told to watch, keeps watching
 *   (timers.pml shows that it does as long as a task waits).
 * - The slots of spares are one, and missing() > starting is one look: what grows meanwhile comes
 *   with a poke, what shrinks makes one thread too many.
 * - A thread can't be made when there are NM, or, FAILURES times, at any time. Then the template
 *   thread tries again when nothing else can move, RETRIES times in all: its 100 ms are longer
 *   than anything else takes. Until then work may wait for an M that was on its way to the idle
 *   list, its look over.
 * - Not here: P.attn, hence stops and GOMAXPROCS (syscall.pml); netpoll (timers.pml).
 * - With -DPLENTY startm waits for an M rather than ask for a thread, and Ms do not end. The search
 *   affords three Ms and two tasks so; with the template thread, three Ms and one task, or two and
 *   two. So two threads that come up at once for two Ps are seen with one task only.
 */

#ifndef NM
#define NM	3	/* threads that can be; M 0 runs at the start; at most 3 */
#endif
#ifndef NP
#define NP	2	/* at most 3 */
#endif
#ifndef NT
#define NT	2	/* tasks submitted while the model runs, besides the first one */
#endif
/*
 * With -DREFILL an empty slot makes the template thread make a thread, and at the start M 0 is
 * alone. Without it threads are made for Ps that want one, and at the start M 1 is a spare and M 2
 * is idle: else the template thread, which can make no thread beyond NM, would try without end,
 * and look for work each time. With -DLATE M 1 has no thread, and M 2 is on its way to the idle
 * list.
 */
#ifndef FAILURES
#define FAILURES	0
#endif
#ifndef RETRIES
#define RETRIES	2
#endif
/*
 * With -DWATCH all Ps may run hogs, and a task that waits for them must be known to sysmon; a
 * goroutine that comes back from a system call is one of the hogs. Without it a P and an M remain,
 * and no task may be left.
 */
#ifdef WATCH
#define MAXHOGS	NP
#elif NM < NP
#define MAXHOGS	(NM - 1)
#else
#define MAXHOGS	(NP - 1)
#endif

#define FOREIGN	NM		/* the store buffer of a thread that is not an M */
#define TEMPLATE	(NM + 1)
#define NONE	7
#define BIT(i)	(1 << (i))

/* The words a store buffer entry names. 0 .. NP-1 are the local queues. */
#define GLOBAL		NP
#define NQUEUES		(NP + 1)
#define NMSPINNING	NQUEUES

chan sb[NM + 2] = [2] of { byte };

byte queue[NQUEUES];
byte nmspinning;
#ifdef LATE
byte nmrunning = 2;
#else
byte nmrunning = 1;
#endif
byte pidle = BIT(NP) - 2;	/* mask; P 0 is running */
#if !defined(REFILL) && !defined(LATE) && NM > 2
byte midle = BIT(2);		/* mask: the idle list */
#else
byte midle;
#endif
#ifdef WATCH
bit watching;			/* sysmon_watching */
#define sysmon_watch()	watching = 1
#else
#define sysmon_watch()	skip
#endif
byte nextp[NM] = NONE;
bit wake[NM];			/* the word an M waits on */
byte startspinning;		/* mask, of Ms that were woken: m.spinning */

#ifdef REFILL
byte slot = NONE;		/* the M in it */
byte unmade = BIT(NM) - 2;	/* mask: structs without a thread */
#define EMPTY_SLOTS	(slot == NONE)
#elif defined(LATE)
byte slot = NONE;
byte unmade = BIT(1);
#define EMPTY_SLOTS	0
#else
byte slot = 1;
byte unmade;
#define EMPTY_SLOTS	0
#endif
byte wanting;			/* mask */
byte nwanting;
byte starting;
bit poke = 1;
bit start_failed;
byte born;			/* mask: threads made that are about to come up */
byte failures = FAILURES;
bit retry_due;

byte unsubmitted = NT;
byte hogs;

#define fence(me)	empty(sb[me])

#ifdef MEMBARRIER
#define mb_frequent(me)	true
inline mb_rare(me)
{
	fence(me);
#ifndef MUT_MEMBARRIER_IS_A_FENCE
	fence(0);
	fence(1);
#if NM > 2
	fence(2);
#endif
	fence(FOREIGN)
#endif
}
#else
#define mb_frequent	fence
#define mb_rare		fence
#endif

inline memory_step(i)
{
	d_step {
		sb[i]?w;
		if
		:: w == NMSPINNING -> assert(nmspinning > 0); nmspinning--
		:: else -> queue[w]++
		fi;
		w = 0
	}
}

active proctype memory()
{
	byte w;
end:
	do
	:: memory_step(0)
	:: memory_step(1)
#if NM > 2
	:: memory_step(2)
#endif
	:: memory_step(FOREIGN)
	od
}

/* Under the list's lock. */
inline pget(list, pp)
{
	if
	:: list & 1 -> pp = 0
	:: !(list & 1) && (list & 2) -> pp = 1
	:: else -> pp = 2
	fi;
	assert(list & BIT(pp));
	list = list & ~BIT(pp)
}

inline mget(list, mp)
{
	if
	:: list & 1 -> mp = 0
	:: list & 2 -> mp = 1
	:: list & 4 -> mp = 2
	fi;
	list = list & ~BIT(mp)
}

/* nmspinning is counted already for a spinning one. pp and mp: scratch variables, NONE outside. */
inline startm(me, pp, mp, spins)
{
	atomic {
		fence(me);
		if
		:: midle -> mget(midle, mp); nmrunning++
		:: else
		fi
	}
	if
	:: mp == NONE ->
		if
		:: atomic { slot != NONE -> mp = slot; slot = NONE; nmrunning++; poke = 1 }
#ifdef PLENTY
		:: atomic { slot == NONE && midle -> mget(midle, mp); nmrunning++ }
#else
		:: else ->
			/* template_want */
			if
			:: spins -> nmspinning--
			:: else
			fi;
			atomic {
				nmrunning++;
				wanting = wanting | BIT(pp);
				nwanting++;
				pp = NONE;
				poke = 1
			}
#endif
		fi
	:: else
	fi;
	if
	:: atomic {
		mp != NONE ->
		assert(!((unmade | born) & BIT(mp)));	/* else the chosen M ended with our P */
		assert(nextp[mp] == NONE && !wake[mp]);
		nextp[mp] = pp;
		wake[mp] = 1;
		startspinning = startspinning | (spins << mp);
		pp = NONE;
		mp = NONE
	}
	:: else
	fi
}

/*
 * tells: sysmon is told when no P is idle. Not by an M in the scheduler that does not know of a
 * task which waits: it is about to run something.
 */
inline wakep(me, pp, mp, tells)
{
	if
	:: pidle == 0 && tells -> sysmon_watch()
	:: pidle == 0 && !tells
	:: else ->
		if
		:: nmspinning != 0
		:: else ->
			atomic {
				fence(me);
				if
				:: nmspinning == 0 -> nmspinning = 1; pp = 0
				:: else
				fi
			}
			if
			:: pp == 0 ->
				atomic {
					fence(me);
					if
					:: pidle -> pget(pidle, pp)
					:: else ->
						pp = NONE;
#ifndef MUT_UNSPIN_AFTER_UNLOCK
						nmspinning--
#endif
					fi
				}
				if
				:: pp != NONE -> startm(me, pp, mp, 1)
				:: else ->
#ifdef MUT_UNSPIN_AFTER_UNLOCK
					nmspinning--;
#endif
					sysmon_watch()
				fi
			:: else
			fi
		fi
	fi
}

inline submit(me, where, pp, mp)
{
	sb[me]!where;
#ifndef MUT_SUBMIT_NO_BARRIER
	mb_frequent(me);
#endif
	wakep(me, pp, mp, 1)
}

/* anyone_waits: a step of its own for each queue: others submit between two looks. */
inline look_into_queues(i, found)
{
	i = 0;
	do
	:: i < NQUEUES && queue[i] -> found = 1; break
	:: i < NQUEUES && !queue[i] -> i++
	:: i == NQUEUES -> break
	od;
	i = 0
}

inline idle_p_look(me, pp, mp, i, found, tells)
{
	mb_rare(me);
	look_into_queues(i, found);
	if
	:: found -> found = 0; wakep(me, pp, mp, tells)
	:: else
	fi
}

/* From a queue of somebody else possibly two, as runqgrab and globrunqget do. */
inline take_from(where)
{
	if
	:: atomic { queue[where] -> queue[where]-- } goto execute
	:: atomic { where != p && queue[where] >= 2 -> queue[where] = queue[where] - 2; batch = 1 }
#ifndef MUT_TAKE_GLOBAL_NO_WAKEP
		global = (where == GLOBAL);
#endif
		goto execute
	:: else
	fi
}

inline stop_spinning()
{
	if
	:: spinning -> spinning = 0; sb[id]!NMSPINNING
	:: else
	fi
}

inline come_up()
{
	starting--;
#ifndef MUT_PLACE_NO_SECOND_LOOK
	if
	:: nwanting -> poke = 1
	:: else
	fi
#endif
}

proctype worker(byte id; byte p)
{
	byte pp = NONE, mp = NONE, i;
	bit spinning, found, batch, global;

	if
	:: p != NONE -> goto execute
#ifdef REFILL
	:: else -> goto unborn
#elif defined(LATE)
	:: p == NONE && id == 1 -> goto unborn
	:: p == NONE && id == 2 -> goto stopm
#else
	:: else -> goto park
#endif
	fi;

spin:
	atomic { nmspinning++; spinning = 1 }
findrunnable:
	fence(id);	/* runqget ends in a compare-and-swap */
	take_from(p);
	take_from(GLOBAL);
	if
	:: spinning
	:: atomic { !spinning -> spinning = 1; nmspinning++ }
	:: !spinning && nmspinning -> goto idle
	fi;
	do
	:: i < NP && i != p -> take_from(i); i++
	:: i == p -> i++
	:: i == NP -> break
	od;

idle:
	i = 0;
	atomic {
		fence(id);
		assert(!queue[p]);
		pidle = pidle | BIT(p);
		p = NONE
	}
	/* last_look */
#ifdef MUT_LAST_LOOK_ONLY_IF_SPINNING
	if
	:: spinning
	:: else -> goto stopm
	fi;
#endif
#ifndef MUT_UNSPIN_AFTER_LOOKING
	stop_spinning();
#endif
#ifndef MUT_PARK_NO_BARRIER
	mb_rare(id);
#endif
	look_into_queues(i, found);
#ifdef MUT_UNSPIN_AFTER_LOOKING
	stop_spinning();
#endif
	if
	:: found ->
		found = 0;
		if
		:: atomic { fence(id) && pidle -> pget(pidle, p) } goto spin
		:: atomic { fence(id) && !pidle -> skip }
#ifndef MUT_LAST_LOOK_TELLS_NOBODY
			sysmon_watch()
#endif
		fi
	:: else
	fi;

stopm:
	atomic { fence(id); midle = midle | BIT(id); nmrunning-- }
park:
end_park:
	if
	:: atomic {
		wake[id] ->
		wake[id] = 0;
		p = nextp[id];
		nextp[id] = NONE;
		assert(p != NONE && !(pidle & BIT(p)));
		spinning = (startspinning >> id) & 1;
		startspinning = startspinning & ~BIT(id)
	}
		goto findrunnable
	/* Timed out. Not on the list: chosen, and the wake-up is on its way. */
#if defined(MUT_RETIRE_WITHOUT_LOOKING)
	:: atomic { id != 0 && slot != id -> midle = midle & ~BIT(id) }
		goto gone
#elif defined(MUT_RETIRE_BY_NEXTP)
	:: atomic {
		id != 0 && slot != id && nextp[id] == NONE ->
		midle = midle & ~BIT(id)
	}
		goto gone
#elif !defined(PLENTY)
	:: atomic {
		id != 0 && (midle & BIT(id)) ->
		midle = midle & ~BIT(id);
#ifndef MUT_RETIRE_UNCOUNTED
		nmrunning++
#endif
	}
		nmrunning--;	/* world_mexit */
		goto gone
#endif
	fi;

execute:
	i = 0;
	if
	:: batch ->
		batch = 0;
		sb[id]!p;
		if
		:: global -> global = 0; mb_frequent(id); wakep(id, pp, mp, 0)
		:: else		/* resetspinning is about to do it */
		fi
	:: else
	fi;
	if
	:: spinning ->
		atomic { fence(id); spinning = 0; assert(nmspinning > 0); nmspinning-- }
#if defined(MUT_RESETSPINNING_NO_LOOK)
#elif defined(MUT_RESETSPINNING_TELLS_NOBODY)
		idle_p_look(id, pp, mp, i, found, 0)
#else
		if
		:: pidle -> idle_p_look(id, pp, mp, i, found, 1)
		:: else -> sysmon_watch()
		fi
#endif
	:: else
	fi;
#ifdef WATCH
	fence(id);
	if
	:: queue[p] -> sysmon_watch()
	:: else
	fi;
#endif
	do
	:: atomic { unsubmitted -> unsubmitted-- } submit(id, p, pp, mp)
	:: atomic { hogs < MAXHOGS -> hogs++ }
end_hog:
		false
	:: goto findrunnable
	od;

gone:
	unmade = unmade | BIT(id);
unborn:
end_unborn:
	atomic { born & BIT(id) -> born = born & ~BIT(id) }
	if
	:: atomic { failures -> failures-- }	/* minit */
#ifndef MUT_START_FAILS_SILENTLY
		start_failed = 1;
#endif
		starting--;
#ifndef MUT_START_FAILS_SILENTLY
		poke = 1;
#endif
		goto gone
	:: true
	fi;
	/* place */
	if
	:: atomic { wanting -> pget(wanting, p); nwanting-- }
		come_up();
#ifdef MUT_WANTED_DOES_NOT_SPIN
		goto findrunnable
#else
		goto spin
#endif
	:: else
	fi;
	if
	:: atomic { slot == NONE -> slot = id } found = 1
	:: else
	fi;
	come_up();
	if
	:: found ->
		found = 0;
#ifndef MUT_PLACE_NO_LOOK
		idle_p_look(id, pp, mp, i, found, 1);
#endif
		goto park
	:: else -> goto gone
	fi
}

proctype foreign()
{
	byte pp = NONE, mp = NONE;

	do
	:: atomic { unsubmitted -> unsubmitted-- }
		sb[FOREIGN]!GLOBAL;
#ifdef INJECT
		/* injectglist: an M for the task itself, then one that spins */
		if
		:: atomic { fence(FOREIGN) && pidle -> pget(pidle, pp) }
			startm(FOREIGN, pp, mp, 0)
		:: atomic { fence(FOREIGN) && !pidle -> skip }
		fi;
#endif
		mb_frequent(FOREIGN);
		wakep(FOREIGN, pp, mp, 1)
#ifdef WATCH
	/* exitsyscall_after gets a P */
	:: atomic { pidle -> pget(pidle, pp); pp = NONE; hogs++; nmrunning++ }
#endif
	:: break
	od
}

/* missing() > starting: at one instant here. */
#define MISSING	(nwanting + EMPTY_SLOTS > starting)

proctype template()
{
	byte pp = NONE, mp = NONE, i;
	bit found;

again:
	if
	:: atomic {
		MISSING && !start_failed && unmade ->
		mget(unmade, mp);
		born = born | BIT(mp);
		mp = NONE;
		starting++
	}
		goto again
	:: atomic {
		start_failed || (MISSING && (!unmade || failures)) ->
		failures = failures - (!start_failed && unmade);
		start_failed = 0
	}
		/* give_up_wanting */
		do
		:: atomic { wanting -> pget(wanting, pp); nwanting-- }
			atomic {
				assert(!queue[pp]);
				pidle = pidle | BIT(pp);
				pp = NONE;
				nmrunning--
			}
		:: else -> break
		od;
#ifdef MUT_GIVE_UP_IGNORES_SPARES
		found = (midle != 0);
#else
		found = (midle != 0 || slot != NONE);
#endif
		if
		:: found ->
			found = 0;
#ifndef MUT_GIVE_UP_NO_LOOK
			idle_p_look(TEMPLATE, pp, mp, i, found, 1)
#endif
		:: else ->
#ifndef MUT_GIVE_UP_TELLS_NOBODY
			sysmon_watch()
#endif
		fi;
		retry_due = 1
	:: else
	fi;
end_wait:
	atomic { poke -> poke = 0 }
	goto again
}

init
{
	byte i, waiting, retries = RETRIES;

	atomic {
		run worker(0, 0);
		run worker(1, NONE);
#if NM > 2
		run worker(2, NONE);
#endif
		run foreign();
#ifndef PLENTY
		run template()
#endif
	}
	do
	:: timeout ->
		if
		:: atomic {
			retry_due && retries ->
			retries--;
			retry_due = 0;
#ifndef REFILL
			start_failed = 1;	/* it fails to fill the slot as well */
#endif
			poke = 1
		}
		:: else -> break
		fi
	od;
	/* Nothing can move. */
	skip;
	d_step {
		for (i : 0 .. NQUEUES - 1) {
			waiting = waiting + queue[i]
		}
#ifdef WATCH
		assert(!waiting || watching);
#endif
		/* who cannot be woken: no thread, and none could be made */
		assert(!waiting || !pidle || (!midle && slot == NONE && retry_due));
		assert(nmspinning == 0);
		assert(!wanting && !nwanting && !starting);
		assert(nmrunning == hogs);
		i = 0;
		do
		:: pidle -> i = i + (pidle & 1); pidle = pidle >> 1
		:: else -> break
		od;
		assert(i + hogs == NP)	/* no P was lost */
	}
}
