/* SPDX-License-Identifier: MIT */
/*
 * Parking and unparking of worker threads: no wake-up is lost.
 *
 * Modelled: wakep, startm, stopm, resetspinning, and of findrunnable everything that touches
 * nmspinning or the two idle lists; the exit of an M that was idle for too long; and startm when
 * no thread can be had.
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
 * (MUT_IDLE_WITHOUT_LOOKING). Go looks again only after spinning, and for the others has the
 * flag needspinning, which makes each submitter take sched.lock when all Ps are busy; looking
 * again costs only those who go idle.
 *
 * Since every M looks again, the check of the global queue that Go makes together with giving up
 * the P, under sched.lock, is not needed, and not here.
 *
 * Checked: when nothing can move any more while a P and an M are free, no task is queued,
 * nmspinning is 0 and every P is either idle or running a task; no M exits that was given a P; a
 * P is given to one M only.
 *
 * Further rules that the mutations show to be necessary:
 * - wakep that finds no idle P takes nmspinning back before it unlocks sched.lock. Later would
 *   be too late: an M may go idle and look, then a submitter sees the stale 1 and relies on it.
 * - startm that gets no M sets sched.mwanted under sched.lock, with P and nmspinning given back,
 *   and stopm looks at it under the same lock: an M may be on its way to the idle list, its look
 *   over.
 * - an M that moves a batch into its own queue is a submitter: barrier, wakep. While it carried
 *   the batch, others may have looked everywhere and gone idle. A spinning M does it in
 *   resetspinning.
 * - an M whose wait timed out decides by the idle list. nextp is set after sched.lock is
 *   released, so nextp == 0 does not mean that it was not chosen.
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
 * - The global queue stands for every place whose work does not come from the P's own M (timers,
 *   netpoll, queues of the nodes): published before the barrier, looked at where the queues are.
 * - A section under sched.lock is one step. startm that gets no M changes two words that wakep
 *   reads without the lock, pidle and nmspinning; a submitter that sees only one of the two
 *   changes does nothing, as it would have just before the section.
 * - The limit 2 * nmspinning < busy Ps is replaced by: an M may decline to spin whenever another
 *   spins. Any limit that always admits the first is one of the behaviours explored.
 * - Idle Ps have empty queues, hence are alike: the lowest is taken. Of the idle Ms any may be.
 * - A task may run for ever (a hog) as long as one P and one M remain for the rest; so a task
 *   stuck in the queue of a busy P shows as an error when nothing can move, and no time is
 *   needed.
 * - An M that exits is a spare at once. In between, startm behaves as without spares, and the
 *   thread that makes Ms lets each new one enter through stopm, which looks at mwanted.
 */

#ifndef NM
#define NM	3	/* threads: one runs at the start, the others are spares; at most 3 */
#endif
#ifndef NP
#define NP	3	/* at most 3 */
#endif
#ifndef NT
#define NT	2	/* tasks submitted while the model runs, besides the first one */
#endif
#if NM < NP
#define MAXHOGS	(NM - 1)
#else
#define MAXHOGS	(NP - 1)
#endif

#define FOREIGN	NM		/* the store buffer of a thread that is not an M */
#define NONE	7
#define BIT(i)	(1 << (i))

/* The words a store buffer entry names. 0 .. NP-1 are the local queues. */
#define GLOBAL		NP
#define NQUEUES		(NP + 1)
#define NMSPINNING	NQUEUES

chan sb[NM + 1] = [2] of { byte };

byte queue[NQUEUES];
byte nmspinning;
byte pidle = BIT(NP) - 2;	/* mask; P 0 is running */
byte midle;			/* mask: the idle list */
byte mspare = BIT(NM) - 2;	/* mask: threads made but not in use */
bit mwanted;
byte nextp[NM] = NONE;
bit wake[NM];			/* the word an M waits on */
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

/* Under sched.lock. */
inline pidleget(pp)
{
	if
	:: pidle & 1 -> pp = 0
	:: !(pidle & 1) && (pidle & 2) -> pp = 1
	:: else -> pp = 2
	fi;
	assert(pidle & BIT(pp));
	pidle = pidle & ~BIT(pp)
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

/* pp and mp are the caller's scratch variables, NONE outside. */
inline startm(me, pp, mp)
{
	atomic {
		fence(me);
		if
		:: midle -> mget(midle, mp)
		:: !midle && mspare -> mget(mspare, mp)
		:: else ->
			pidle = pidle | BIT(pp);
			nmspinning--;
#ifndef MUT_STARTM_FAILS_SILENTLY
			mwanted = 1;
#endif
			pp = NONE
		fi
	}
	if
	:: atomic {
		pp != NONE ->
		assert(!(mspare & BIT(mp)));	/* else the chosen M exited with our P */
		assert(nextp[mp] == NONE && !wake[mp]);
		nextp[mp] = pp;
		wake[mp] = 1;
		pp = NONE;
		mp = NONE
	}
	:: else
	fi
}

inline wakep(me, pp, mp)
{
	if
	:: pidle == 0
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
					:: pidle -> pidleget(pp)
					:: else ->
						pp = NONE;
#ifndef MUT_UNSPIN_AFTER_UNLOCK
						nmspinning--
#endif
					fi
				}
				if
				:: pp != NONE -> startm(me, pp, mp)
				:: else ->
#ifdef MUT_UNSPIN_AFTER_UNLOCK
					nmspinning--
#endif
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
	wakep(me, pp, mp)
}

/* A step of its own for each queue: others submit between two looks. */
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

/* From a queue of somebody else possibly two, as runqgrab and the global batches do. */
inline take_from(where)
{
	if
	:: atomic { queue[where] -> queue[where]-- } goto execute
	:: atomic { where != p && queue[where] >= 2 -> queue[where] = queue[where] - 2; batch = 1 }
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

proctype worker(byte id; byte p)
{
	byte pp = NONE, mp = NONE, i;
	bit spinning, found, batch;

	if
	:: p != NONE -> goto execute
	:: else -> goto park
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
#ifdef MUT_IDLE_WITHOUT_LOOKING
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
		atomic {
			fence(id);
			if
			:: pidle -> pidleget(p)
			:: else -> goto stopm
			fi
		}
		goto spin
	:: else
	fi;

stopm:
	atomic {
		fence(id);
		if
		:: mwanted && pidle ->
			mwanted = 0;
			pidleget(p);
			goto spin
		:: else -> midle = midle | BIT(id)
		fi
	}
park:
end_park:
	if
	:: atomic {
		wake[id] ->
		wake[id] = 0;
		p = nextp[id];
		nextp[id] = NONE;
		assert(p != NONE && !(pidle & BIT(p)));
		spinning = 1
	}
		goto findrunnable
#if defined(MUT_EXIT_WITHOUT_LOOKING)
	:: atomic { !(mspare & BIT(id)) -> midle = midle & ~BIT(id); mspare = mspare | BIT(id) }
		goto park
#elif defined(MUT_EXIT_BY_NEXTP)
	:: atomic {
		!(mspare & BIT(id)) && nextp[id] == NONE ->
		midle = midle & ~BIT(id);
		mspare = mspare | BIT(id)
	}
		goto park
#else
	/* Timed out. Not on the list: chosen, and the wake-up is on its way. */
	:: atomic { midle & BIT(id) -> midle = midle & ~BIT(id); mspare = mspare | BIT(id) }
		goto park
#endif
	fi;

execute:
	i = 0;
	if
	:: batch ->
		batch = 0;
		sb[id]!p;
#ifndef MUT_BATCH_NO_WAKEP
		if
		:: !spinning -> mb_frequent(id); wakep(id, pp, mp)
		:: else		/* resetspinning is about to do it */
		fi
#endif
	:: else
	fi;
	if
	:: spinning ->
		atomic { fence(id); spinning = 0; assert(nmspinning > 0); nmspinning-- }
#ifndef MUT_RESETSPINNING_NO_WAKEP
		wakep(id, pp, mp)
#endif
	:: else
	fi;
	do
	:: atomic { unsubmitted -> unsubmitted-- } submit(id, p, pp, mp)
	:: atomic { hogs < MAXHOGS -> hogs++ }
end_hog:
		false
	:: goto findrunnable
	od
}

proctype foreign()
{
	byte pp = NONE, mp = NONE;

	do
	:: atomic { unsubmitted -> unsubmitted-- } submit(FOREIGN, GLOBAL, pp, mp)
	:: break
	od
}

init
{
	byte i;

	atomic {
		run worker(0, 0);
		run worker(1, NONE);
#if NM > 2
		run worker(2, NONE);
#endif
		run foreign()
	}
	timeout;
	/* Nothing can move, and a P and an M are free: then nothing may wait. */
	d_step {
		for (i : 0 .. NQUEUES - 1) {
			assert(!queue[i])
		}
		assert(nmspinning == 0);
		i = 0;
		do
		:: pidle -> i = i + (pidle & 1); pidle = pidle >> 1
		:: else -> break
		od;
		assert(i + hogs == NP)	/* no P was lost */
	}
}
