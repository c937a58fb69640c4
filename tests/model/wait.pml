/* SPDX-License-Identifier: MIT */
/*
 * Waits that a waker, a deadline and a context may end (wait.h), and their timer, which moves from
 * heap to heap, expires, and is removed (time.h).
 *
 * Modelled: wait_open, wait_claim, wait_end, park_commit, gopark_until; cancel_one and end_wait;
 * timer_add, take_due, move_some, timer_remove.
 *
 * Checked: a goroutine is made runnable only when it waits, so once a wait, and not before unlockf
 * is through; it comes out of every wait; when timer_remove has returned, the timer is in no heap,
 * and nobody reads its memory, which may be the next wait's by then.
 *
 *	the goroutine		the new side		waker		deadline	context
 *	ticket open		unlockf: queue open	queue locked	timer out	err
 *	entry; timer		OPENING -> PARKED	claim		of the heap	barrier
 *	err? end the wait	or call it off		ready		end the wait	end the wait
 *	switch							ready		ready
 *	timer removed
 *	entry out
 *
 * The new side of one wait may be so slow that the next wait has begun: there are two of them.
 *
 * With NO_DEADLINE and no waker, the context alone ends each wait.
 *
 * A store that is late, as x86 delays it, matters for err and the ticket only, as everything else is
 * under a lock or a compare-and-swap: a missing barrier is a load before the store. The heap's and
 * the queue's locks are words.
 */

#ifndef NWAITS
#define NWAITS	2
#endif
#ifndef NWAKES
#define NWAKES	1
#endif

#define OPENING	0
#define PARKED	1
#define WOKEN	2
#define ENDED	3
#define TICKET(k)	(4 * (k) + 1)

mtype = { RUNNING, WAITING, RUNNABLE };

mtype status = RUNNING;
byte word;			/* g.waitticket */
byte through;			/* unlockf is through with this wait */
bit err;			/* of the context */

bit qlock, queued;
byte entry;			/* the ticket in the queue's entry */

bit hlock[3], in[3];		/* heaps 1 and 2: the timer is in it */
byte heap;			/* t->heap: 0: none */
byte seq;			/* t's ticket */

chan switches = [0] of { byte };

#define lock(l)		atomic { !l -> l = 1 }
#define unlock(l)	l = 0

inline ready()
{
	atomic { assert(status == WAITING); status = RUNNABLE }
}

/* won: this claim has ended the wait; was: the state that it found. */
inline claim(ticket, end, was, won)
{
	do
	:: was = word;
		if
		:: was == ticket || was == ticket + PARKED ->
			if
			:: atomic { word == was -> word = ticket + end; won = 1 } break
			:: atomic { word != was -> skip }
			fi
		:: else -> won = 0; break
		fi
	od
}

inline wait_end(ticket, was, won)
{
	claim(ticket, ENDED, was, won);
#ifndef MUT_ENDS_BEFORE_PARKED
	won = won && was == ticket + PARKED
#endif
}

inline timer_remove()
{
	do
	:: heap == 0 -> break
	:: heap != 0 ->
		at = heap;
		if
		:: at == 0 -> skip
		:: else ->
			lock(hlock[at]);
			if
			:: heap == at -> in[at] = 0; heap = 0; unlock(hlock[at]); break
			:: else -> unlock(hlock[at])
			fi
		fi
	od;
	at = 0
}

active proctype goroutine()
{
	byte k, ticket, was, at;
	bit won, saw;

	do
	:: k < NWAITS ->
		k++;
		ticket = TICKET(k);
		/* wait_open, and the look at the context in gopark_until */
#ifdef MUT_WAIT_NO_BARRIER
		saw = err;
		word = ticket;
#else
		word = ticket;
#endif
		lock(qlock);
		atomic { queued = 1; entry = ticket }
#ifndef NO_DEADLINE
		lock(hlock[1]);
		assert(!in[1] && !in[2]);
		atomic { seq = ticket; in[1] = 1; heap = 1 }
		unlock(hlock[1]);
#endif
#ifndef MUT_WAIT_NO_BARRIER
		saw = err;
#endif
		if
		:: saw -> wait_end(ticket, was, won)
		:: else
		fi;
		atomic { status = WAITING; switches!ticket }
		atomic { status == RUNNABLE -> status = RUNNING }
		assert(through == ticket);
		timer_remove();
		if
		:: word == ticket + ENDED ->
			lock(qlock);
			queued = 0;
			unlock(qlock)
		:: else
		fi;
		assert(!queued);
		/* the timer is the goroutine's own again, and may be anything */
		assert(!in[1] && !in[2]);
		seq = 0
	:: else -> break
	od
}

active [2] proctype new_side()
{
	byte ticket;

end:
	do
	:: atomic { switches?ticket -> skip }
		/* unlockf; status is WAITING */
#ifdef MUT_PARKED_BEFORE_UNLOCKF
		if
		:: atomic { word == ticket -> word = ticket + PARKED }
		:: atomic { word != ticket -> skip }
		fi;
#endif
		atomic { through = ticket; unlock(qlock) }
#ifndef MUT_PARKED_BEFORE_UNLOCKF
		if
		:: atomic { word == ticket -> word = ticket + PARKED }
		:: atomic { word != ticket -> skip }
			if
			:: word == ticket + ENDED ->
#ifndef MUT_NOT_CALLED_OFF
				ready()
#endif
			:: else
			fi
		fi;
#endif
		ticket = 0
	od
}

active proctype waker()
{
	byte wakes, ticket, was;
	bit won;

	do
	:: wakes < NWAKES ->
		wakes++;
		lock(qlock);
		if
		:: queued ->
			queued = 0;
			ticket = entry;
#ifdef MUT_WAKER_DOES_NOT_CLAIM
			atomic { word = ticket + WOKEN; won = 1 }
#else
			claim(ticket, WOKEN, was, won)
#endif
		:: else
		fi;
		unlock(qlock);
		if
		:: won -> ready(); won = 0
		:: else
		fi
	:: else -> break
	od
}

/* Whoever runs expired timers. */
active proctype runner()
{
	byte at, ticket, was;
	bit won;

end:
	if
	:: in[1] -> at = 1
	:: in[2] -> at = 2
	fi;
	lock(hlock[at]);
	if
	:: in[at] ->
#ifdef MUT_COPIES_LATE
		in[at] = 0;
		heap = 0;
		ticket = seq;
		assert(ticket);		/* else: it is another's memory */
#else
		ticket = seq;
		assert(ticket);
		in[at] = 0;
		heap = 0;
#endif
		unlock(hlock[at]);
		wait_end(ticket, was, won);
		if
		:: won -> ready()
		:: else
		fi
	:: else -> unlock(hlock[at])
	fi;
	atomic { at = 0; ticket = 0; was = 0; won = 0 }
	goto end
}

/* A P dies: what is in heap 1 moves to heap 2. */
active proctype mover()
{
	lock(hlock[1]);
#ifndef MUT_MOVES_THROUGH_NOWHERE
	lock(hlock[2]);
	if
	:: in[1] -> in[1] = 0; in[2] = 1; heap = 2
	:: else
	fi;
	unlock(hlock[2]);
	unlock(hlock[1])
#else
	if
	:: in[1] ->
		in[1] = 0;
		heap = 0;
		unlock(hlock[1]);
		lock(hlock[2]);
		in[2] = 1;
		heap = 2;
		unlock(hlock[2])
	:: else -> unlock(hlock[1])
	fi
#endif
}

active proctype context()
{
	byte was, ticket, now;
	bit won;

#ifndef MUT_CANCEL_NO_BARRIER
	err = 1;
	now = word;
#else
	now = word;
	err = 1;
#endif
	if
	:: now % 4 == 1 + OPENING -> ticket = now
	:: now % 4 == 1 + PARKED -> ticket = now - PARKED
	:: else -> ticket = 0
	fi;
	if
	:: ticket ->
		wait_end(ticket, was, won);
		if
		:: won -> ready()
		:: else
		fi
	:: else
	fi
}

/* When nobody can do anything any more. */
active proctype watcher()
{
	timeout -> assert(status != WAITING)
}
