/* SPDX-License-Identifier: MIT */
/*
 * Who owns a P: system calls against a stop of the world and a smaller GOMAXPROCS.
 *
 * Modelled: urge_entersyscall, urge_exitsyscall, syscall_retake, handoffp, retirep; of stw.c stop,
 * stop_syscalls, gcstopm, pstopped, start; of p.c pdrain, pgrow, pshrink, with procresize around
 * them; preemptone, as far as it can miss; of findrunnable the look at attn, and give_up_p.
 *
 * A P in a system call belongs to whoever wins the compare-and-swap of its status:
 *
 *	M					stopper
 *	status = Psyscall			attn |= STOP
 *	mb_frequent				mb_rare
 *	attn? then cas(status: Pidle), and	cas(status: Pidle), and count it as stopped
 *	hand it off
 *
 * One of the two sees the other. Everything else that the stopper has to wait for comes to
 * findrunnable, by itself or because it is preempted, and looks at attn there.
 *
 * Checked: an M or another thread that takes a P takes it from nobody; p.m is the M that owns it;
 * stopwait reaches 0, and then every P that is not dead is stopped; the stopper never sleeps while
 * a P is in the system call of an M that is through entersyscall: it need not come back and look
 * (it does, for those that run); at the end every P is where it belongs: none above GOMAXPROCS,
 * none lost.
 *
 * Rules that the mutations show to be necessary, besides the two lists:
 * - who takes a P in its last moments before it dies, or brings it to life, looks at STOP, under
 *   sched.lock: pdrain and pshrink leave a P that is wanted by a stop to the stop, which has
 *   counted it (MUT_DRAIN_IGNORES_STOP, MUT_SHRINK_IGNORES_STOP: stopwait never reaches 0). pgrow
 *   makes Ps stopped while the world is (MUT_GROW_IGNORES_STOP: a P runs in a stopped world). The
 *   start hands all of them off, to their end if need be.
 * - exitsyscall sets p.m. syscalltick tells a former call from this one, but it is read before the
 *   compare-and-swap: in between the P may be taken, run by another M, and be in that one's system
 *   call (MUT_EXIT_KEEPS_M). To take it from there is no error, the other M finds that it is gone.
 * - pshrink is a stopper as far as system calls go: it marks, mb_rare, looks. Else an M in
 *   entersyscall may miss the mark as pshrink missed its Psyscall; it leaves the P where it is when
 *   it comes back and sees the mark, and if GOMAXPROCS has grown by then nobody comes for the P
 *   (MUT_SHRINK_NO_BARRIER).
 * - procresize, which asks each P once, has sysmon look until the P is gone: an M on g0 is not
 *   asked (MUT_SHRINK_ASKS_ONCE).
 *
 * Memory: each M has a first-in first-out store buffer, as on x86 (TSO); status = Psyscall goes
 * through it, all else is done by locked instructions or under a lock, which drain it. With
 * -DMEMBARRIER mb_frequent is nothing, and mb_rare drains the buffers of all Ms.
 *
 * Abstracted, and why no error can hide there:
 * - A thread for a P (startm) is a mask of Ps that wait for one; any M without a P takes any of
 *   them, or the template thread gives up on it (retirep). parking.pml has the rest.
 * - Whether there is work is left open wherever it decides: handoffp, the M without a P, that may
 *   take an idle one at any time, and findrunnable.
 * - A goroutine runs, for ever unless it is preempted, or ends, or enters a system call, at most
 *   NCALLS times an M; the call may last for ever.
 * - The stopper's own P is not in the model; nor may it block. One stop, which may be given up once and
 *   tried again (-DGIVE_UP); GOMAXPROCS goes from NP to 1 and back (-DGROW).
 * - sysmon takes Ps away RETAKES times; for a P that is to be drained it does what has to be
 *   done at any time, as long as it is told to watch.
 */

#ifndef NM
#define NM	2
#endif
#define NP	2
#ifndef NCALLS
#define NCALLS	1
#endif
#ifdef ONE_CALLER
#define CALLS(m)	((m) == 0 -> NCALLS : 0)
#else
#define CALLS(m)	NCALLS
#endif
#ifndef RETAKES
#define RETAKES	1
#endif

#define NONE	7
#define OTHER	6	/* an owner that is no M */
#define BIT(i)	(1 << (i))

#define Pidle		0
#define Prunning	1
#define Psyscall	2
#define Pgcstop		3
#define Pdead		4

#define STOP	1
#define DRAIN	2

chan sb[NM] = [1] of { byte };	/* the P whose status is to become Psyscall */

byte status[NP];
byte attn[NP];
byte tick[NP];			/* syscalltick */
byte pm[NP] = NONE;		/* p.m */
byte owner[NP] = NONE;		/* who has it in hand; a P in a system call has no owner */
byte pidle;			/* masks */
byte ready;			/* wait for a thread */
byte gomaxprocs = NP;
bit preempt[NM];
bit curg[NM];			/* the M runs a goroutine */
byte callp[NM] = NONE;		/* the P that the M, through entersyscall, has left behind */
bit stopping;			/* world.stopping */
bit asleep, stopped;		/* the stopper */
#ifdef NO_STOP
bit stopover = 1;
#else
bit stopover;
#endif
byte stopwait;
bit watching;			/* sysmon is to look until no P has an attn */
byte retakes = RETAKES;

#define fence(me)	empty(sb[me])

#ifdef MEMBARRIER
#define mb_frequent(me)	true
#else
#define mb_frequent	fence
#endif
#ifdef MUT_STOP_NO_BARRIER
#define mb_rare()	true
#elif defined(MEMBARRIER)
inline mb_rare()
{
	fence(0);
	fence(1)
}
#else
#define mb_rare()	true	/* the stopper's own stores are not delayed */
#endif

inline memory_step(i)
{
	d_step { sb[i]?w; assert(status[w] == Prunning); status[w] = Psyscall; w = 0 }
}

active proctype memory()
{
	byte w;
end:
	do
	:: memory_step(0)
	:: memory_step(1)
	od
}

/* Each in one step with the access that makes the P ours, or somebody else's. */
inline mine(pp, who)
{
	assert(owner[pp] == NONE);
	owner[pp] = who
}

inline notmine(pp, who)
{
	assert(owner[pp] == who);
	owner[pp] = NONE
}

inline get(list, pp, who)
{
	if
	:: list & 1 -> pp = 0
	:: list & 2 -> pp = 1
	fi;
	list = list & ~BIT(pp);
	mine(pp, who)
}

inline acquirep(pp, who)
{
	assert(pm[pp] == NONE && status[pp] != Prunning && status[pp] != Psyscall);
	pm[pp] = who;
	status[pp] = Prunning
}

inline releasep(pp, who)
{
	assert(pm[pp] == who && status[pp] == Prunning);
	pm[pp] = NONE;
	status[pp] = Pidle
}

/* With sched.lock. */
inline pstopped(pp)
{
	assert(stopwait > 0);
	status[pp] = Pgcstop;
	stopwait--
}

inline pdead(pp)
{
	attn[pp] = attn[pp] & ~DRAIN;
	status[pp] = Pdead
}

inline retirep(pp, who)
{
	atomic {
		notmine(pp, who);
		if
		:: attn[pp] & STOP -> pstopped(pp)
		:: !(attn[pp] & STOP) && pp >= gomaxprocs -> pdead(pp)
		:: else ->
			attn[pp] = attn[pp] & ~DRAIN;
			pidle = pidle | BIT(pp)
		fi;
		pp = NONE
	}
}

inline handoffp(pp, who)
{
	if
	:: atomic { attn[pp] == 0 -> notmine(pp, who); ready = ready | BIT(pp); pp = NONE }
	:: retirep(pp, who)		/* no work; or attn */
	fi
}

proctype worker(byte id; byte p)
{
	byte mytick, oldp = NONE, calls;

	if
	:: p != NONE -> goto findrunnable
	:: else -> goto nop
	fi;

nop:
end_nop:
	if
	:: atomic { ready -> get(ready, p, id) }
	:: atomic { pidle -> get(pidle, p, id) }
	fi;
	atomic { acquirep(p, id) }
findrunnable:
	if
	:: atomic { attn[p] & STOP ->
		/* gcstopm */
		if
		:: stopping -> releasep(p, id); notmine(p, id); pstopped(p); p = NONE
		:: else
		fi
	}
		if
		:: p == NONE -> goto nop
		:: else -> goto findrunnable
		fi
	:: attn[p] == DRAIN ->
		atomic {
			/* pdrain */
			if
			:: p < gomaxprocs -> attn[p] = attn[p] & ~DRAIN
#ifndef MUT_DRAIN_IGNORES_STOP
			:: p >= gomaxprocs && (attn[p] & STOP)
			:: p >= gomaxprocs && !(attn[p] & STOP) ->
#else
			:: p >= gomaxprocs ->
#endif
				releasep(p, id);
				notmine(p, id);
				pdead(p);
				p = NONE
			fi
		}
		if
		:: p == NONE -> goto nop
		:: else -> goto findrunnable
		fi
	:: attn[p] == 0
	fi;
	if
	:: atomic {
		attn[p] == 0 ->
		releasep(p, id);
		notmine(p, id);
		pidle = pidle | BIT(p);
		p = NONE
	}
		goto nop
	:: atomic { true -> preempt[id] = 0; curg[id] = 1 }	/* start_running */
	fi;

running:
	if
	:: atomic { true -> curg[id] = 0 } goto findrunnable
	:: calls < CALLS(id) -> calls++
	/* it runs for ever, unless it is preempted */
	:: atomic { preempt[id] -> curg[id] = 0; preempt[id] = 0 } goto findrunnable
	:: goto hog
	fi;

	/* urge_entersyscall */
	d_step { mytick = tick[p] + 1; tick[p] = mytick; oldp = p }
	atomic { notmine(p, id); sb[id]!p }
	mb_frequent(id);
#ifndef MUT_ENTER_DOES_NOT_LOOK
	if
	:: attn[p] ->
		atomic {
			fence(id);
			if
			:: status[p] == Psyscall -> status[p] = Pidle; mine(p, id)
			:: else -> p = NONE
			fi
		}
		if
		:: p != NONE -> pm[p] = NONE; handoffp(p, id)
		:: else
		fi
	:: else
	fi;
#endif
	d_step { callp[id] = p; p = NONE }
	if
	:: true
	:: true ->
end_call:
		false
	fi;

	/* urge_exitsyscall */
	d_step { p = oldp; oldp = NONE; callp[id] = NONE }
	if
	:: attn[p] == 0 ->
		if
		:: tick[p] == mytick ->
			atomic {
				fence(id);
				if
#ifdef MUT_EXIT_NO_CAS
				:: true ->
#else
				:: status[p] == Psyscall ->
#endif
					status[p] = Prunning;
					mine(p, id)
#ifdef MUT_EXIT_NO_CAS
#else
				:: else -> p = NONE
#endif
				fi
			}
		:: else -> p = NONE
		fi
	:: else -> p = NONE
	fi;
	if
	:: p != NONE ->
#ifndef MUT_EXIT_KEEPS_M
		pm[p] = id;
#endif
		d_step { tick[p] = mytick + 1; mytick = 0 }
		goto running
	:: else
	fi;
	/* exitsyscall_after: an idle P, or the goroutine goes to others */
	atomic { curg[id] = 0; mytick = 0 }
	goto nop;

hog:
end_hog:
	atomic { preempt[id] -> curg[id] = 0; preempt[id] = 0 }
	goto findrunnable
}

/* preemptone would ask: while it is on g0 it is not. */
#define ASKABLE(i)	(status[i] == Prunning && pm[i] < NM && curg[pm[i]] && !preempt[pm[i]])

inline preemptone(pp)
{
	atomic {
		if
		:: pm[pp] < NM && curg[pm[pp]] -> preempt[pm[pp]] = 1
		:: else
		fi
	}
}

/* sysmon, and the template thread where it can make no thread. */
proctype sysmon()
{
	byte pp = NONE;

end:
	do
	:: atomic { retakes && status[0] == Psyscall -> retakes--; pp = 0 } goto retake
	:: atomic { retakes && status[1] == Psyscall -> retakes--; pp = 1 } goto retake
	:: atomic { watching && status[1] == Psyscall && attn[1] -> pp = 1 } goto retake
	:: atomic { watching && attn[1] && ASKABLE(1) -> preempt[pm[1]] = 1 }
	:: atomic { ready -> get(ready, pp, OTHER) } retirep(pp, OTHER)
	od;
retake:
	atomic {
		if
		:: status[pp] == Psyscall -> status[pp] = Pidle; mine(pp, OTHER)
		:: else -> pp = NONE
		fi
	}
	if
	:: pp != NONE ->
		pm[pp] = NONE;
		tick[pp]++;
		handoffp(pp, OTHER)
	:: else
	fi;
	goto end
}

inline stop_one(i)
{
	if
	:: status[i] == Psyscall ->
		mine(i, OTHER);
		notmine(i, OTHER);
		pm[i] = NONE;
		tick[i]++;
		pstopped(i)
	:: else
	fi
}

inline count_one(i)
{
	if
	:: status[i] == Pdead
	:: else -> attn[i] = attn[i] | STOP; stopwait++
	fi
}

inline start_one(i)
{
	attn[i] = attn[i] & ~STOP;
	if
	:: status[i] == Pgcstop -> status[i] = Pidle; mine(i, OTHER); run_ = run_ | BIT(i)
	:: else
	fi
}

inline start()
{
	atomic { stopping = 0; start_one(0); start_one(1) }
	do
	:: atomic { run_ & 1 -> run_ = run_ & ~1; pp = 0 } handoffp(pp, OTHER)
	:: atomic { run_ & 2 -> run_ = run_ & ~2; pp = 1 } handoffp(pp, OTHER)
	:: !run_ -> break
	od
}

proctype stopper()
{
	byte pp = NONE, run_, i;
#ifdef GIVE_UP
	bit gave_up;
#endif

again:
	atomic {
		stopping = 1;
#ifndef MUT_STOP_AGAIN_COUNTS_ON
		stopwait = 0;
#endif
		count_one(0);
		count_one(1);
		do
		:: pidle -> get(pidle, pp, OTHER); notmine(pp, OTHER); pstopped(pp); pp = NONE
		:: else -> break
		od
	}
	mb_rare();
	do
	:: stopwait == 0 -> break
#ifdef GIVE_UP
	:: stopwait != 0 && !gave_up ->
		gave_up = 1;
		start();
		goto again
#endif
	:: stopwait != 0 ->
		atomic { stop_one(0); stop_one(1) }
		preemptone(0);
		preemptone(1);
		asleep = 1;
		/* 100 us later it looks again; in vain, unless there is somebody to ask */
#ifdef MUT_STOP_LOOKS_ONCE
		stopwait == 0;
#else
		stopwait == 0 || ASKABLE(0) || ASKABLE(1);
#endif
		asleep = 0
	od;
	stopped = 1;
	stopped = 0;
	start();
	stopover = 1
}

proctype resizer()
{
	/* procresize(1) */
	atomic {
		gomaxprocs = 1;
		attn[1] = attn[1] | DRAIN;
		if
		:: pidle & BIT(1) ->
			pidle = pidle & ~BIT(1);
			mine(1, OTHER);
			pdead(1);
			notmine(1, OTHER)
		:: else
		fi
	}
#ifndef MUT_SHRINK_NO_BARRIER
	mb_rare();
#endif
	atomic {
		if
#ifdef MUT_SHRINK_IGNORES_STOP
		:: status[1] == Psyscall ->
#else
		:: status[1] == Psyscall && !(attn[1] & STOP) ->
#endif
			mine(1, OTHER);
			pm[1] = NONE;
			pdead(1);
			notmine(1, OTHER)
		:: else
		fi
	}
	if
	:: status[1] != Pdead ->
		preemptone(1);
#ifndef MUT_SHRINK_ASKS_ONCE
		watching = 1
#endif
	:: else
	fi;
#ifdef GROW
	/* procresize(2) */
	atomic {
		gomaxprocs = 2;
		if
		:: status[1] != Pdead -> attn[1] = attn[1] & ~DRAIN
#ifdef MUT_GROW_IGNORES_STOP
		:: status[1] == Pdead -> pidle = pidle | BIT(1); status[1] = Pidle
#else
		:: status[1] == Pdead && stopping -> attn[1] = attn[1] | STOP; status[1] = Pgcstop
		:: status[1] == Pdead && !stopping -> pidle = pidle | BIT(1); status[1] = Pidle
#endif
		fi
	}
#endif
}

/* The stopper sleeps, and would have to come back for a P in a system call. */
#define overlooked(m)	(callp[m] < NP && status[callp[m]] == Psyscall && pm[callp[m]] == m)

active proctype watcher()
{
end:
	d_step {
		(asleep && stopwait && (overlooked(0) || overlooked(1))) ||
		(stopped && (status[0] == Prunning || status[1] == Prunning)) ->
		assert(false)
	}
}

#define incall(i)	((callp[0] == i && pm[i] == 0) || (callp[1] == i && pm[i] == 1))

inline check_one(i)
{
	if
	:: status[i] == Pidle -> assert(pidle & BIT(i)); assert(i < gomaxprocs)
	:: status[i] == Prunning -> assert(pm[i] == owner[i] && i < gomaxprocs)
	:: status[i] == Psyscall -> assert(incall(i) && i < gomaxprocs)
	:: status[i] == Pdead -> assert(i >= gomaxprocs)
	:: else -> assert(false)
	fi
}

init
{
	d_step {
		status[0] = Prunning;
		pm[0] = 0;
		owner[0] = 0;
#ifdef BOTH
		status[1] = Prunning;
		pm[1] = 1;
		owner[1] = 1
#else
		pidle = BIT(1)
#endif
	}
	atomic {
		run worker(0, 0);
#ifdef BOTH
		run worker(1, 1);
#else
		run worker(1, NONE);
#endif
		run sysmon();
#ifndef NO_STOP
		run stopper();
#endif
#ifndef NO_RESIZE
		run resizer();
#endif
		skip
	}
	timeout;
	skip;
	d_step {
		assert(stopover);
		assert(stopwait == 0 && !ready);
		check_one(0);
		check_one(1)
	}
}
