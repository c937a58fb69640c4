/* SPDX-License-Identifier: MIT */
/*
 * A change of GOMAXPROCS: what a P that goes away holds for others, and the snapshots of all Ps.
 *
 * Modelled: of procresize.c grow, shrink, still_there, procs_trim; of p.c pdrain, pdead, retirep; of
 * allp.c publishing, read sections and the reclaimer; of findrunnable.c stealing, the last
 * look, wakep, resetspinning; timers that are added to a P and moved off a dead one; urge_entersyscall
 * and exitsyscall, as far as the P gets lost in between. Who owns a P, and stops of the world, are
 * syscall.pml's; wake-ups among many, parking.pml's.
 *
 * Checked:
 * - nobody touches a snapshot that was freed, and each that was replaced is freed;
 * - at the end, when nothing moves any more: no goroutine waits while a P is idle, each that was made
 *   has run or waits, every timer has gone off, no P above GOMAXPROCS holds anything that others
 *   need, unless its goroutine never comes to a scheduling point; and the snapshot has exactly the
 *   Ps below GOMAXPROCS and those that are not dead.
 *
 * What the mutations show to be necessary:
 * - thieves look into draining Ps: their owner may be in a goroutine that cannot be preempted, and
 *   somebody who found the work in his last look would look for ever (MUT_STEAL_SKIPS_DRAINING).
 * - they stay in the snapshot, for their timers (MUT_SHRINK_DROPS_DRAINING), until they are dead
 *   and the timers have moved (MUT_TRIM_IGNORES_TIMERS).
 * - a P is published before somebody may own it (MUT_GROW_PUBLISHES_LATE): a last look at the old
 *   snapshot would miss its work, which was queued before there was an idle P to be woken for.
 * - who buries a P wakes somebody for its goroutines (MUT_DRAIN_WAKES_NOBODY).
 * - the caller leaves to sysmon to wake threads and to ask owners: it has to say so when there are
 *   idle Ps (MUT_GROW_TELLS_NOBODY) or draining ones (MUT_SHRINK_TELLS_NOBODY), and sysmon has to
 *   clear the word before it looks (MUT_SYSMON_CLEARS_LATE) and to go on asking while the P drains
 *   (MUT_SYSMON_ASKS_ONCE): the goroutine may be another one by then.
 *
 * Memory is sequentially consistent here; the barriers stand in syscall.pml and parking.pml.
 *
 * Abstracted, and why no error can hide there:
 * - Queues and heaps are counters: what is in them is alike. Thieves take one.
 * - A thread for a P that wakep has taken is a mask (ready), from which any M without a P helps
 *   itself.
 * - A goroutine that runs makes another one, or a timer, or enters a system call which may last for
 *   ever, or computes for ever, preemptible or not, or ends; as often as the budgets allow.
 * - There are two Ms: a P for which neither is free stays in ready; a third would be made (template.c).
 * - sysmon's look, from the clearing on, is one step: what happens in between is as good as before.
 * - Timers go off at any time, as soon as somebody who looks at all Ps sees them: sysmon, which
 *   stands for netpoll's sleeper as well.
 * - GOMAXPROCS goes from 2 to 1 and, with -DGROW, back to 2. With -DBOTH both Ps run at first. With
 *   -DFULL there is no room for timers in the first P's heap, so they stay where they are.
 */

#ifndef SPAWNS
#define SPAWNS	2
#endif
#ifndef TIMERS
#define TIMERS	1
#endif
#ifndef CALLS
#define CALLS	0
#endif
#define NONE	7
#define BIT(i)	(1 << (i))
#define NS	6	/* snapshots */

#define Pidle		0	/* in the idle list, or on its way to an M */
#define Prunning	1
#define Psyscall	2
#define Pdead		3

byte status[2];
bit attn[2];		/* PATTN_DRAIN */
byte q[2], gq;		/* goroutines in rings, in the global queue */
byte tm[2];		/* timers in heaps */
byte pidle, ready;	/* masks */
byte nspinning;
byte gomaxprocs = 2;
byte spawns = SPAWNS, timers = TIMERS, calls = CALLS;
byte made = 1, ran;
bit stuck[2];		/* its owner computes for ever and can't be preempted */
byte away;		/* Ms that never come back to the scheduler */

bit asked;		/* sysmon has seen that P 1 drains, and asks its goroutines to stop */
bit resized;		/* sysmon_resized was called */

byte cur;		/* allp */
byte nsnapshots = 1;
byte sn_n[NS], sn_count[NS];
bit sn_freed[NS], sn_retired[NS];
bit reading[3];		/* M 0, M 1, sysmon */
bit resizing = 1;	/* procresize_lock */

#define touch(s)	assert(!sn_freed[s])
/* Thieves look into so many. */
#ifdef MUT_STEAL_SKIPS_DRAINING
#define victims(s)	sn_n[s]
#else
#define victims(s)	sn_count[s]
#endif
#define waits		(gq + q[0] + q[1] > 0)

/* ---- snapshots ---- */

/* The current one is replaced by {n, count}. */
inline publish(n, c)
{
	d_step {
		sn_n[nsnapshots] = n;
		sn_count[nsnapshots] = c;
		sn_retired[cur] = 1;
		cur = nsnapshots;
		nsnapshots++
	}
}

#define is_gone(i)	(status[i] == Pdead && (tm[i] == 0 || trim_ignores_timers))
#ifdef MUT_TRIM_IGNORES_TIMERS
#define trim_ignores_timers	1
#else
#define trim_ignores_timers	0
#endif

/* Each retired one: every reader has been out of a section once since, then it is freed. */
active proctype reclaimer()
{
	byte s;
end:
	do
	:: d_step { s < NS && sn_retired[s] -> skip }
#ifndef MUT_NO_GRACE_PERIOD
		!reading[0];
		!reading[1];
		!reading[2];
#endif
		d_step { sn_freed[s] = 1; s++ }
	od
}

/* ---- Ps ---- */

inline take(list, pp)
{
	if
	:: list & 1 -> pp = 0
	:: !(list & 1) && (list & 2) -> pp = 1
	fi;
	list = list & ~BIT(pp)
}

inline wakep()
{
	d_step {
		if
		:: pidle && nspinning == 0 ->
			nspinning = 1;
			if
			:: pidle & 1 -> pidle = pidle & ~1; ready = ready | 1
			:: else -> pidle = pidle & ~2; ready = ready | 2
			fi
		:: else
		fi
	}
}

inline pdead(pp)
{
	gq = gq + q[pp];
	q[pp] = 0;
	attn[pp] = 0;
	asked = 0;
	status[pp] = Pdead
}

inline timers_move(pp)
{
#ifdef FULL
	skip
#else
	d_step { tm[0] = tm[0] + tm[pp]; tm[pp] = 0 }
#endif
}

/* handoffp and retirep, of a P that the caller took from a system call. */
inline handoffp(pp)
{
	d_step {
		if
		:: pp >= gomaxprocs -> pdead(pp)
		:: else ->
			attn[pp] = 0;
			gq = gq + q[pp];
			q[pp] = 0;
			pidle = pidle | BIT(pp)
		fi
	}
	if
	:: pp == 1 && status[1] == Pdead -> timers_move(1)
	:: else
	fi;
	if
	:: waits -> wakep()
	:: else
	fi
}

/* ---- Ms ---- */

proctype worker(byte id; byte p)
{
	bit spinning, found;
	byte s;

findrunnable:
	if
	:: p == NONE ->
end_parked:
		d_step { ready -> take(ready, p); status[p] = Prunning; spinning = 1 }
		goto findrunnable
	:: else
	fi;
	if
	:: attn[p] ->
		/* pdrain */
		d_step {
			if
			:: p < gomaxprocs -> attn[p] = 0; asked = 0
			:: else ->
				nspinning = nspinning - spinning;
				spinning = 0;
				pdead(p);
				found = 1
			fi
		}
		if
		:: found ->
			timers_move(p);
#ifndef MUT_DRAIN_WAKES_NOBODY
			wakep();
#endif
			d_step { found = 0; p = NONE }
		:: else
		fi;
		goto findrunnable
	:: else
	fi;
	/* look_around */
	if
	:: d_step { q[p] > 0 -> q[p]--; ran++ } goto running
	:: q[p] == 0
	fi;
	if
	:: d_step { gq > 0 -> gq--; ran++ } goto running
	:: gq == 0
	fi;
	d_step {
		if
		:: !spinning -> spinning = 1; nspinning++
		:: else
		fi;
		reading[id] = 1
	}
	s = cur;
	touch(s);
	d_step {
		if
		:: 1 - p < victims(s) && q[1 - p] > 0 ->
			touch(s);
			q[1 - p]--;
			ran++;
			found = 1
		:: else -> touch(s)
		fi;
		s = 0;
		reading[id] = 0
	}
	if
	:: d_step { found -> found = 0 } goto running
	:: else
	fi;
	/* give_up_p */
	if
	:: d_step { !attn[p] -> status[p] = Pidle; pidle = pidle | BIT(p); p = NONE }
	:: attn[p] -> goto findrunnable
	fi;
	/* last_look */
	d_step { nspinning = nspinning - spinning; spinning = 0; reading[id] = 1 }
	s = cur;
	touch(s);
	found = gq > 0;
	d_step {
		touch(s);
		found = found || (sn_count[s] > 0 && q[0] > 0) || (sn_count[s] > 1 && q[1] > 0);
		/* what nobody else will run it can steal, or it would look again and again */
		assert(!(sn_count[s] > 1 && q[1] > 0 && stuck[1] && victims(s) <= 1));
		s = 0;
		reading[id] = 0
	}
	d_step {
		if
		:: found && pidle ->
			take(pidle, p);
			status[p] = Prunning;
			spinning = 1;
			nspinning++
		:: else
		fi;
		found = 0
	}
	goto findrunnable;

running:
#ifdef MUT_SYSMON_ASKS_ONCE
	asked = asked && p == 0;
#endif
	if
	:: spinning ->
		/* resetspinning */
		d_step { spinning = 0; nspinning-- }
		if
		:: waits -> wakep()
		:: else
		fi
	:: else
	fi;
	if
	:: true	/* it ends */
	:: d_step { spawns > 0 -> spawns--; made++; q[p]++ } wakep(); goto running
	:: d_step { timers > 0 -> timers--; tm[p]++ } goto running
	:: d_step { calls > 0 -> calls--; status[p] = Psyscall } goto call
	:: true ->	/* it computes until it is preempted */
end_preemptible:
		waits || (p == 1 && asked)
	:: true ->	/* it can't be */
		d_step { stuck[p] = 1; away++ }
end_stuck:
		false
	fi;
	goto findrunnable;

call:
	if
	:: d_step { attn[p] && status[p] == Psyscall -> status[p] = Pidle } handoffp(p)
	:: else
	fi;
end_call:
	if
	:: true
	:: true ->
		away++;
end_blocked:
		false
	fi;
	if
	:: d_step { !attn[p] && status[p] == Psyscall -> status[p] = Prunning } goto running
	:: else
	fi;
	/* its goroutine takes its turn with the others */
	d_step { made++; gq++; p = NONE }
	wakep();
	goto findrunnable
}

inline wake_for_idle()
{
	if
	:: waits && pidle && nspinning == 0 ->
		nspinning = 1;
		take(pidle, i);
		ready = ready | BIT(i);
		i = 0
	:: else
	fi
}

active proctype sysmon()
{
	byte s, i;
	bit found;
end:
	do
	:: tm[0] > 0 || (sn_count[cur] > 1 && tm[1] > 0) ->
		/* timers_run_all */
		reading[2] = 1;
		s = cur;
		touch(s);
		d_step {
			touch(s);
			if
			:: sn_count[s] > 0 && tm[0] > 0 -> tm[0]--; found = 1
			:: else ->
				if
				:: sn_count[s] > 1 && tm[1] > 0 -> tm[1]--; found = 1
				:: else
				fi
			fi;
			s = 0;
			reading[2] = 0
		}
		if
		:: found -> d_step { made++; gq++; found = 0 } wakep()
		:: else
		fi
	:: resized ->
		/* retake; what happens between the clearing and the look sets it again */
#ifdef MUT_SYSMON_CLEARS_LATE
		wake_for_idle();
#endif
		d_step {
			resized = 0;
			asked = attn[1];
#ifndef MUT_SYSMON_CLEARS_LATE
			wake_for_idle()
#endif
		}
	:: d_step { status[0] == Psyscall && (waits || attn[0]) -> status[0] = Pidle; i = 0 }
		handoffp(i)
	:: d_step { status[1] == Psyscall && (waits || attn[1]) -> status[1] = Pidle; i = 1 }
		handoffp(i)
	:: d_step { !resizing && sn_count[cur] > gomaxprocs && is_gone(1) -> resizing = 1 }
		/* procs_trim */
		publish(gomaxprocs, gomaxprocs);
		resizing = 0
	od
}

proctype resizer()
{
	/* shrink */
	d_step {
		gomaxprocs = 1;
		attn[1] = 1;
		if
		:: pidle & 2 -> pidle = pidle & ~2; pdead(1)
		:: else
		fi
	}
	d_step {
		if
		:: status[1] == Psyscall -> pdead(1)
		:: else
		fi
	}
	if
	:: status[1] == Pdead -> timers_move(1)
	:: else
	fi;
#ifdef MUT_SHRINK_DROPS_DRAINING
	publish(1, 1);
#else
	if
	:: is_gone(1) -> publish(1, 1)
	:: else -> publish(1, 2)
	fi;
#endif
#ifndef MUT_SHRINK_TELLS_NOBODY
	resized = resized || status[1] != Pdead;
#endif
	resizing = 0;
#ifdef GROW
	d_step { !resizing -> resizing = 1 }
#ifndef MUT_GROW_PUBLISHES_LATE
	publish(2, 2);
#endif
	d_step {
		gomaxprocs = 2;
		if
		:: status[1] == Pdead -> status[1] = Pidle; pidle = pidle | 2
		:: else -> attn[1] = 0; asked = 0
		fi
	}
#ifndef MUT_GROW_TELLS_NOBODY
	resized = resized || pidle;
#endif
#ifdef MUT_GROW_PUBLISHES_LATE
	publish(2, 2);
#endif
	resizing = 0
#endif
}

init
{
	d_step {
		sn_n[0] = 2;
		sn_count[0] = 2;
		status[0] = Prunning;
#ifdef BOTH
		status[1] = Prunning;
#else
		pidle = 2;
#endif
		q[0] = 1
	}
	atomic {
		run worker(0, 0);
#ifdef BOTH
		run worker(1, 1);
#else
		run worker(1, NONE);
#endif
		run resizer();
		skip
	}
	timeout;
	skip;
	d_step {
		assert(!resizing);
		assert(made == ran + gq + q[0] + q[1]);
		assert(!waits || (!pidle && !ready) || away == 2);
		assert(tm[0] + tm[1] == 0);
		assert(status[1] != Pdead || q[1] == 0);
		assert(gomaxprocs == 2 || status[1] == Pdead || stuck[1] || (ready & 2));
		assert(sn_n[cur] == gomaxprocs);
		assert(sn_count[cur] == 2 || (gomaxprocs == 1 && status[1] == Pdead));
		assert(sn_count[cur] == gomaxprocs || status[1] != Pdead);
		assert(nsnapshots < 2 || sn_freed[nsnapshots - 2])
	}
}
