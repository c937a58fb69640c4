/* SPDX-License-Identifier: MIT */
/*
 * Channels (sched/chan.c, select.c) with tickets (wait.h): close against send, receive, select and
 * deadlines.
 *
 * Modelled: two channels, A (with CAP places) and B (none), each with a lock and two queues; a select
 * that receives from both; a receiver from A and a select with a deadline; senders on A and B that wait as
 * long as it takes; a second select that sends on A or receives from B; somebody who closes both at
 * any time. A wait goes as in the code:
 *
 *	lock, look, entry into the queue		a waker, with the lock: takes the entry out,
 *	the context is saved				claims the ticket, writes the result,
 *	unlock, by the new side				unlocks, readies
 *	ticket OPENING -> PARKED, or is called off	a deadline: OPENING or PARKED -> ENDED
 *	awake: the other entries out, with their locks
 *
 * The new side is a process of its own, since the goroutine may be running again while it goes
 * on: it may look at the goroutine's frame only while that is in use.
 *
 * Checked: nobody is readied twice, nor before its context is saved; nobody looks at a frame that
 * is gone; what was sent was received once or is in the buffer; a closed channel has no waiters; everybody
 * comes to the end, that is, no wake-up is lost and no two wait for each other's locks.
 *
 * Abstracted, and why no error can hide there: memory is sequentially consistent, since all that is
 * shared is under a lock or changed by compare-and-swap; the locks themselves are in chanlock.pml.
 * The look without locks that select begins with is left out: it decides nothing. Tickets have no
 * numbers, as each goroutine waits once.
 */
#ifndef CAP
#define CAP	0
#endif

#define A	0
#define B	1

/* goroutines */
#define SELECT	0
#define RECV	1
#define SEND_A	2
#define SEND_B	3
#define SELECT2	4
#define NG	5

/* entries: whose and where */
#define SELECT_A	0
#define SELECT_B	1
#define RECV_A		2
#define SEND_A_A	3
#define SEND_B_B	4
#define SELECT2_A	5	/* sends */
#define SELECT2_B	6
#define NE		7
#define NONE		NE

#define owner(e)	(e <= SELECT_B -> SELECT : (e >= SELECT2_A -> SELECT2 : e - 1))

mtype = { WAITS, GONE_THROUGH, EPIPE };
mtype = { ALONE, OPENING, PARKED, WOKEN, ENDED };

bit held[2], closed[2];
byte count;				/* in the buffer of A */
chan recvq0 = [4] of { byte };
chan recvq1 = [4] of { byte };
chan sendq0 = [4] of { byte };
chan sendq1 = [4] of { byte };
mtype result[NE] = WAITS;
mtype ticket[NG] = ALONE;		/* ALONE: ticket 0 */
bit saved[NG], runnable[NG];
bit frame[NG];				/* in use: by a call that waits, or has not returned */
byte sent, received, over;	/* over: processes that have come to their end */

inline lock(c)
{
	atomic { !held[c] -> held[c] = 1 }
}

inline unlock(c)
{
	assert(held[c]);
	held[c] = 0
}

inline ready(g)
{
	atomic {
		assert(saved[g] && !runnable[g]);
		runnable[g] = 1
	}
}

/* wait_claim; ok: the caller ends the wait */
inline claim(g)
{
#ifdef MUT_CLAIM_NO_CAS
	ok = ticket[g] != WOKEN && ticket[g] != ENDED;
	if
	:: ok && ticket[g] != ALONE -> ticket[g] = WOKEN
	:: else
	fi
#else
	atomic {
		ok = ticket[g] != WOKEN && ticket[g] != ENDED;
		if
		:: ok && ticket[g] != ALONE -> ticket[g] = WOKEN
		:: else
		fi
	}
#endif
}

/* The first one in q whose wait nobody has ended, or NONE. With the lock. */
inline take_waiter(q)
{
	e = NONE;
	do
	:: e == NONE && nempty(q) ->
		q?e;
		assert(frame[owner(e)]);
		claim(owner(e));
		if
		:: !ok -> e = NONE
		:: else
		fi
	:: e != NONE || empty(q) -> break
	od
}

/*
 * Operations with the lock: done says whether it is over, outcome how, wake whom to ready. No wait is
 * entered here.
 */
inline send_locked(c, rq)
{
	done = 1;
	wake = NONE;
#ifndef MUT_CLOSED_WITHOUT_LOCK
	saw_closed = closed[c];
#endif
	if
	:: saw_closed -> outcome = EPIPE
	:: else ->
		take_waiter(rq);
		if
		:: e != NONE ->
			result[e] = GONE_THROUGH;
			wake = owner(e);
			outcome = GONE_THROUGH
		:: e == NONE && c == A && count < CAP ->
			count++;
			outcome = GONE_THROUGH
		:: else -> done = 0
		fi
	fi;
	e = NONE
}

inline recv_locked(c, sq)
{
	done = 1;
	wake = NONE;
	take_waiter(sq);
	if
	:: e != NONE ->		/* with a full buffer his goes in and another one out */
		result[e] = GONE_THROUGH;
		wake = owner(e);
		outcome = GONE_THROUGH
	:: e == NONE && c == A && count > 0 ->
		count--;
		outcome = GONE_THROUGH
	:: e == NONE && !(c == A && count > 0) && closed[c] -> outcome = EPIPE
	:: else -> done = 0
	fi;
	e = NONE
}

inline wake_up()
{
	if
	:: wake != NONE -> ready(wake); wake = NONE
	:: else
	fi
}

/* The end of the park on the new side: gopark_until's park_commit. */
inline commit(g)
{
	if
	:: atomic { ticket[g] == OPENING -> ticket[g] = PARKED }
	:: ticket[g] == ENDED -> ready(g)	/* called off */
	:: ticket[g] != OPENING && ticket[g] != ENDED
	fi
}

inline await(g)
{
	runnable[g];
	saved[g] = 0
}

inline finish(g, r, what)
{
	d_step {
		if
		:: r == GONE_THROUGH -> what++
		:: else
		fi;
		r = WAITS;
		frame[g] = 0;
		over++
	}
}

proctype deadline(byte g)
{
	bit was_parked;

	atomic {
		if
		:: ticket[g] == OPENING -> ticket[g] = ENDED
		:: ticket[g] == PARKED -> ticket[g] = ENDED; was_parked = 1
		:: else
		fi
	}
	if
	:: was_parked -> ready(g)
	:: else
	fi;
	over++
}

/* ---- plain senders ------------------------------------------------------------------------- */

proctype sender(byte c, g, mine)
{
	byte e = NONE, wake = NONE;
	bit done, ok, saw_closed;
	mtype outcome = WAITS;

	frame[g] = 1;
	saw_closed = closed[c];
	lock(c);
	if
	:: c == A -> send_locked(c, recvq0)
	:: else -> send_locked(c, recvq1)
	fi;
	if
	:: done -> unlock(c); wake_up()
	:: else ->
		if
		:: c == A -> sendq0!mine
		:: else -> sendq1!mine
		fi;
#ifdef MUT_UNLOCK_BEFORE_SWITCH
		unlock(c);
		saved[g] = 1;
#else
		saved[g] = 1;
		unlock(c);
#endif
		await(g);
		outcome = result[mine]
	fi;
	assert(outcome != WAITS);
	finish(g, outcome, sent)
}

/* ---- a receiver with a deadline ------------------------------------------------------------ */

proctype receiver()
{
	byte e = NONE, wake = NONE;
	bit done, ok;
	mtype outcome = WAITS;

	frame[RECV] = 1;
	lock(A);
	recv_locked(A, sendq0);
	if
	:: done -> unlock(A); wake_up(); over++
	:: else ->
		ticket[RECV] = OPENING;
		recvq0!RECV_A;
		run deadline(RECV);
		saved[RECV] = 1;
		unlock(A);
		commit(RECV);
		await(RECV);
		if
		:: ticket[RECV] == ENDED ->
#ifndef MUT_TIMEOUT_LEAVES_ENTRY
			lock(A);
			if
			:: recvq0??[eval(RECV_A)] -> recvq0??eval(RECV_A)
			:: else
			fi;
			unlock(A)
#endif
			skip
		:: else -> outcome = result[RECV_A]; assert(outcome != WAITS)
		fi
	fi;
	finish(RECV, outcome, received)
}

/* ---- selects ------------------------------------------------------------------------------- */

/* unlock_all and the end of the park, on the new side; the frame holds the order of the channels. */
proctype new_side(byte g)
{
	unlock(A);
	assert(frame[g]);		/* reads what the next one is */
	unlock(B);
	commit(g);
	over++
}

inline remove(c, q, mine)
{
	if
	:: result[mine] == WAITS ->
#ifndef MUT_REMOVE_WITHOUT_LOCK
		lock(c);
#endif
		if
		:: q??[eval(mine)] -> q??eval(mine)
		:: else
		fi;
#ifndef MUT_REMOVE_WITHOUT_LOCK
		unlock(c)
#endif
		skip
	:: else
	fi
}

/* Receives from A or from B; with a deadline. */
proctype selecter()
{
	byte e = NONE, wake = NONE;
	bit done, ok;
	mtype outcome = WAITS;

	frame[SELECT] = 1;
	lock(A);
	lock(B);
	if
	:: recv_locked(A, sendq0);
		if
		:: !done -> recv_locked(B, sendq1)
		:: else
		fi
	:: recv_locked(B, sendq1);
		if
		:: !done -> recv_locked(A, sendq0)
		:: else
		fi
	fi;
	if
	:: done -> unlock(A); unlock(B); wake_up(); over = over + 2
	:: else ->
		ticket[SELECT] = OPENING;
		recvq0!SELECT_A;
		recvq1!SELECT_B;
		run deadline(SELECT);
		saved[SELECT] = 1;
		run new_side(SELECT);
		await(SELECT);
#ifndef MUT_LOSERS_STAY
		remove(A, recvq0, SELECT_A);
		remove(B, recvq1, SELECT_B);
#endif
		assert(result[SELECT_A] == WAITS || result[SELECT_B] == WAITS);
		outcome = (result[SELECT_A] != WAITS -> result[SELECT_A] : result[SELECT_B]);
		assert(outcome != WAITS || ticket[SELECT] == ENDED)
	fi;
	finish(SELECT, outcome, received)
}

/* Sends on A or receives from B, as long as it takes. */
proctype selecter2()
{
	byte e = NONE, wake = NONE;
	bit done, ok, sends, saw_closed;
	mtype outcome = WAITS;

	frame[SELECT2] = 1;
	saw_closed = closed[A];
#ifdef MUT_LOCK_IN_ANY_ORDER
	lock(B);
	lock(A);
#else
	lock(A);
	lock(B);
#endif
	send_locked(A, recvq0);
	sends = done;
	if
	:: !done -> recv_locked(B, sendq1)
	:: else
	fi;
	if
	:: done -> unlock(A); unlock(B); wake_up(); over++
	:: else ->
		ticket[SELECT2] = OPENING;
		sendq0!SELECT2_A;
		recvq1!SELECT2_B;
		saved[SELECT2] = 1;
		run new_side(SELECT2);
		await(SELECT2);
		remove(A, sendq0, SELECT2_A);
		remove(B, recvq1, SELECT2_B);
		assert(result[SELECT2_A] == WAITS || result[SELECT2_B] == WAITS);
		sends = result[SELECT2_A] != WAITS;
		outcome = (sends -> result[SELECT2_A] : result[SELECT2_B]);
		assert(outcome != WAITS)
	fi;
	if
	:: sends -> finish(SELECT2, outcome, sent)
	:: else -> finish(SELECT2, outcome, received)
	fi
}

/* ---- close --------------------------------------------------------------------------------- */

inline close(c, rq, sq)
{
	lock(c);
	closed[c] = 1;
	n = 0;
	do
	:: take_waiter(rq);
		if
		:: e != NONE -> result[e] = EPIPE; list[n] = owner(e); n++
		:: else -> break
		fi
#ifdef MUT_CLOSE_WAKES_ONE
		;
		break
#endif
	od;
#ifndef MUT_CLOSE_FORGETS_SENDERS
	do
	:: take_waiter(sq);
		if
		:: e != NONE -> result[e] = EPIPE; list[n] = owner(e); n++
		:: else -> break
		fi
	od;
#endif
	e = NONE;
	assert(empty(rq) && empty(sq));
	unlock(c);
	do
	:: n > 0 -> n--; ready(list[n])
	:: else -> break
	od
}

proctype closer()
{
	byte e = NONE, n, list[4];
	bit ok;

	close(A, recvq0, sendq0);
	close(B, recvq1, sendq1);
	over++
}

init
{
	byte all;

	atomic {
		run closer();
		all = 1;
#ifdef WITH_SELECT
		run selecter();
		all = all + 3;
#endif
#ifdef WITH_SELECT2
		run selecter2();
		all = all + 2;
#endif
#ifdef WITH_RECV
		run receiver();
		all = all + 2;
#endif
#ifdef WITH_SEND_A
		run sender(A, SEND_A, SEND_A_A);
		all++;
#endif
#ifdef WITH_SEND_B
		run sender(B, SEND_B, SEND_B_B);
		all++;
#endif
	}
	timeout;
	assert(over == all);
	assert(sent == received + count);
	assert(empty(recvq0) && empty(recvq1) && empty(sendq0) && empty(sendq1));
	assert(!held[A] && !held[B])
}
