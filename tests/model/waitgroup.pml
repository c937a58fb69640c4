/* SPDX-License-Identifier: MIT */
/*
 * The WaitGroup (sched/waitgroup.c): who waits is woken exactly once, and nobody touches the memory when
 * it may be gone.
 *
 * Modelled: enqueue, withdraw, finish, release, add of -1, with the word in its parts (counter, LOCK,
 * waiters), which compare-and-swap sees as one. WAITERS goroutines wait, of which the first may
 * give up; DONES others count down. The memory may be gone when all waiters have returned, one of them
 * because it was over.
 *
 * Checked: no access to the word or the list after that; no waiter is woken twice, nor after it has
 * given up; everybody comes to the end; nothing stays in the word or in the list. If the only waiter has
 * given up, nobody who has counted down is still going to release: the next round may begin, since no
 * wait of this one is left (with others it would be misuse).
 *
 * Memory is sequentially consistent: every access to the word but one is an atomic instruction. That
 * one, the store which releases LOCK, comes before the wake-up in program order and is a release, so
 * who is woken sees it, and frees nothing that is still to be written.
 */
#ifndef WAITERS
#define WAITERS	2
#endif
#ifndef DONES
#define DONES	2
#endif

byte counter = DONES, waiters;
bit held;
bool listed[WAITERS], claimed[WAITERS], gave_up[WAITERS], woken[WAITERS];
byte returned, over;
bool at_zero;		/* somebody returned because of the counter */

#define gone	(returned == WAITERS && at_zero)
#define touch()	assert(!gone)

#ifdef MUT_ZERO_IS_ENOUGH
#define is_over	(counter == 0)
#else
#define is_over	(counter == 0 && !held && waiters == 0)
#endif

inline take_lock()
{
	atomic { !held -> touch(); held = 1 }
}

/* One store to the upper half. */
inline unlock_with(n)
{
	atomic {
		touch();
		assert(held);
		waiters = n;
		held = 0
	}
}

active [WAITERS] proctype waiter()
{
	byte me = _pid;

	/* enqueue */
	atomic {
		if
		:: is_over -> at_zero = true; returned++; goto end
#ifdef MUT_LOCK_ALTHOUGH_ZERO
		:: !held -> held = 1
#else
		:: counter > 0 && !held -> held = 1
#endif
		fi
	}
	touch();
	listed[me] = true;
	unlock_with(waiters + 1);

	if
	:: woken[me] -> at_zero = true
	:: me == 0 ->
		atomic {	/* the deadline: who claims the wait ends it */
			if
			:: !claimed[me] -> claimed[me] = true; gave_up[me] = true
			:: else
			fi
		}
		if
		:: gave_up[me] ->
#ifdef MUT_WITHDRAW_WITHOUT_LOCK
			held = 1;
#else
			take_lock();
#endif
			if
			:: listed[me] ->
				listed[me] = false;
				atomic {
					touch();
					assert(held);
#ifdef MUT_WITHDRAW_UNCOUNTS
					waiters--;
#else
					waiters = waiters - (counter > 0);
#endif
					held = 0
				}
			:: else ->
				unlock_with(waiters)
			fi;
#ifndef MUT_WITHDRAW_GOES_ON
			atomic { is_over || counter > 0 -> touch() };
#endif
			assert(WAITERS > 1 || (!held && waiters == 0))
		:: else ->
			woken[me];
			at_zero = true
		fi
	fi;
	returned++;
end:
	over++
}

inline release()
{
	i = 0;
	do
	:: i < WAITERS ->
		atomic {
			touch();
			mine[i] = listed[i] && !claimed[i];
			claimed[i] = claimed[i] || listed[i];
			listed[i] = false
		}
		i++
	:: else -> break
	od;
#ifndef MUT_WAKE_FIRST
	unlock_with(0);
#endif
	i = 0;
	do
	:: i < WAITERS ->
		if
		:: mine[i] ->
			assert(!woken[i] && !gave_up[i]);
			woken[i] = true
		:: else
		fi;
		i++
	:: else -> break
	od;
#ifdef MUT_WAKE_FIRST
	unlock_with(0)
#endif
}

active [DONES] proctype done()
{
	bool mine[WAITERS], last, locked;
	byte i, c, w;
	bit h;

	/* finish */
	atomic { touch(); c = counter; w = waiters; h = held }
	if
	:: c == 1 && w > 0 && !h ->
		atomic {
			touch();
#ifdef MUT_FINISH_BY_STORE
			locked = true;
#else
			locked = (counter == c && waiters == w && held == h);
#endif
			if
			:: locked -> counter = 0; held = 1
			:: else
			fi
		}
	:: else
	fi;
	if
	:: locked -> release()
	:: else ->
		atomic {
			touch();
			counter--;
			last = (counter == 0 && (held || waiters > 0))
		}
		if
		:: last ->
#ifndef MUT_RELEASE_WITHOUT_LOCK
			take_lock();
#endif
			release()
		:: else
		fi
	fi;
	over++
}

active proctype check()
{
	timeout;
	assert(over == WAITERS + DONES);
	assert(counter == 0 && !held && waiters == 0)
}
