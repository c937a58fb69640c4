/* SPDX-License-Identifier: MIT */
/*
 * The mutex of goroutines (sched/mutex.c) on the table of those who wait (sched/sema.c): normal and
 * starving mode, hand-over, spinning, and waiters that give up at any time.
 *
 * Modelled: mutex_lock_slow with spin, take, join and leave_queue; let_go_quickly, pass_on and let_go;
 * sempop with its claims. Each access to the word is one step, and a swap that fails is tried again, as
 * there; all of them are sequentially consistent, so there are no store buffers here. What depends on
 * time (who starves, whose turn is over, whose deadline passes) may happen at any time.
 *
 * Checked:
 * - one at a time is inside;
 * - nobody waits for ever: when nothing moves any more, all have come to their end, and the word is 0.
 *
 * NL goroutines lock NOPS times each; the first NTIMED of them may give up.
 */
#ifndef NL
#define NL 3
#endif
#ifndef NOPS
#define NOPS 2
#endif
#ifndef NTIMED
#define NTIMED 1
#endif

#define LOCKED 1
#define WAITERS 2
#define WOKEN 4
#define STARVING 8

#define OPEN 0		/* claims */
#define BY_WAKER 1
#define BY_DEADLINE 2

#define TRY_AGAIN 1	/* what a waker tells */
#define GRANTED 2

#define NOBODY 255

byte word;
bit root;		/* its lock */
byte queue[NL];
byte queued;
byte claim[NL];
byte told[NL];
byte inside;
byte ended;

inline lock_root()
{
	atomic { !root -> root = 1 }
}

inline unlock_root()
{
	root = 0
}

/* With the root locked, so at once. */
inline enqueue(me, front)
{
	d_step {
		if
		:: front ->
			i = queued;
			do
			:: i > 0 -> queue[i] = queue[i - 1]; i--
			:: else -> break
			od;
			queue[0] = me
		:: else -> queue[queued] = me
		fi;
		queued++;
		i = 0
	}
}

/* Takes who out of the queue; found tells whether it was in there. */
inline dequeue(who, found)
{
	d_step {
		found = 0;
		i = 0;
		do
		:: i < queued && !found && queue[i] == who -> found = 1
		:: i < queued && !found && queue[i] != who -> i++
		:: i < queued && found ->
			if
			:: i + 1 < queued -> queue[i] = queue[i + 1]
			:: else
			fi;
			i++
		:: else -> break
		od;
		queued = queued - found;
		if
		:: found -> queue[queued] = 0
		:: else
		fi;
		i = 0
	}
}

proctype goroutine(byte me; bool timed)
{
	byte old, next, ops, i, w = NOBODY;
	bool awoke, starving, waited, gives_up, found, over, won;

again:
	if
	:: ops == NOPS -> goto end
	:: else -> ops++
	fi;
	awoke = 0; starving = 0; waited = 0; gives_up = 0;
lock:
	/* spin */
	if
	:: !gives_up && !awoke ->
		atomic {
			if
			:: (word & (LOCKED | STARVING)) == LOCKED &&
			   (word & (WOKEN | WAITERS)) == WAITERS ->
				word = word | WOKEN; awoke = 1
			:: true
			fi
		}
	:: else
	fi;
take:
	old = word;
	if
	:: !(old & LOCKED) ->
		next = old | LOCKED;
		if
		:: awoke -> next = next & ~WOKEN
		:: else
		fi;
		atomic {
			if
			:: word == old -> word = next; goto got
			:: else -> goto take
			fi
		}
	:: (old & LOCKED) && gives_up && awoke ->
#ifndef MUT_GIVE_UP_KEEPS_WOKEN
		atomic {
			if
			:: word == old -> word = old & ~WOKEN
			:: else -> goto take
			fi
		}
#endif
		goto again
	:: (old & LOCKED) && gives_up && !awoke -> goto again
	:: else
	fi;
	if
	:: timed -> gives_up = 1; goto lock	/* no room for a timer */
	:: true -> atomic { claim[me] = OPEN; told[me] = 0 }
	fi;
	lock_root();
join:
	old = word;
	if
#ifndef MUT_JOIN_UNSEEN
	:: !(old & LOCKED) -> unlock_root(); goto lock
	:: else
#else
	:: true
#endif
	fi;
	next = old | WAITERS;
#ifndef MUT_JOIN_KEEPS_WOKEN
	if
	:: awoke -> next = next & ~WOKEN
	:: else
	fi;
#endif
	if
	:: starving -> next = next | STARVING
	:: else
	fi;
	atomic {
		if
		:: word == old -> word = next; awoke = 0
		:: else -> goto join
		fi
	}
	enqueue(me, waited);
	unlock_root();
	/* parked */
	if
	:: atomic { told[me] == TRY_AGAIN -> awoke = 1 }
	:: told[me] == GRANTED -> goto got
	:: atomic { timed && claim[me] == OPEN -> claim[me] = BY_DEADLINE; gives_up = 1 }
		lock_root();
		dequeue(me, found);
#ifndef MUT_LEAVE_FORGETS_OTHERS
		found = found && queued == 0;
#endif
		if
		:: found -> atomic { word = word & ~(WAITERS | STARVING) }
		:: else
		fi;
		found = 0;
		unlock_root()
	fi;
	waited = 1;
	if
	:: true -> starving = 1
	:: true
	fi;
	goto lock;

got:
	awoke = 0; starving = 0; waited = 0; gives_up = 0; old = 0; next = 0;
	inside++;
	assert(inside == 1);
	inside--;
	if
	:: true -> over = 1
	:: true -> over = 0
	fi;
unlock:
	old = word;
	assert(old & LOCKED);
	if
	:: (old & WAITERS) && ((old & (WOKEN | STARVING)) != WOKEN || over)
	:: else ->
		atomic {
			if
			:: word == old -> word = old & ~LOCKED; goto again
			:: else -> goto unlock
			fi
		}
	fi;
	/* pass_on */
	lock_root();
	w = NOBODY; won = 0;
	do
	:: queued > 0 && !won ->
		w = queue[0];
		dequeue(w, found);
		found = 0;
		atomic {
			if
#ifndef MUT_POP_CLAIMS_NOTHING
			:: claim[w] == OPEN -> claim[w] = BY_WAKER; won = 1
			:: else -> w = NOBODY
#else
			:: true -> won = 1
#endif
			fi
		}
	:: else -> break
	od;
	next = 0;
#ifndef MUT_PASS_ON_FORGETS_OTHERS
	if
	:: queued > 0 -> next = WAITERS
	:: else
	fi;
#endif
	if
	:: !won
	:: won && ((word & STARVING) || over) ->
#ifndef MUT_GRANT_LETS_GO
		next = next | LOCKED;
#endif
		if
		:: (word & STARVING) && (next & WAITERS) -> next = next | STARVING
		:: true
		fi;
		over = 1
	:: won && !(word & STARVING) ->
		next = next | WOKEN;
		over = 0
	fi;
let_go:
	old = word;
	atomic {
		if
		:: word == old -> word = (old & WOKEN) | next
		:: else -> goto let_go
		fi
	}
	unlock_root();
	if
	:: won -> told[w] = (over -> GRANTED : TRY_AGAIN)
	:: else
	fi;
	w = NOBODY; won = 0; old = 0; next = 0;
	goto again;
end:
	ended++
}

active proctype watcher()
{
	timeout -> assert(ended == NL && word == 0 && queued == 0)
}

init
{
	byte n;

	atomic {
		do
		:: n < NL -> run goroutine(n, n < NTIMED); n++
		:: else -> break
		od
	}
}
