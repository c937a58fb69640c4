/* SPDX-License-Identifier: MIT */
/*
 * Taking the P from a thread that is blocked in the kernel: preempt/revoke.c against enter, leave and
 * the handler, which enters like everybody.
 *
 *	sysmon					the M's thread
 *	attn: 0 -> REVOKING
 *	mb_rare					locks = 1
 *	locks != 0, or another P? never mind	barrier
 *	cas(attn: REVOKING -> REVOKED)		attn? then cas(attn: REVOKING -> 0)
 *
 * Checked: sysmon takes a P only from a thread that is outside the runtime, and only the P that it
 * meant; a thread in the runtime has the P that it thinks it has, or knows that it has none; at the
 * end no attn is left over.
 *
 * Memory: the thread's stores to locks go through a first-in first-out buffer, as on x86 (TSO). All
 * other accesses that matter are compare-and-swaps, which drain it. MEMBARRIER: entering costs
 * nothing, and mb_rare drains the buffer. Else the thread finds FENCE in attn each time, and drains
 * it by itself.
 *
 * Abstracted: whether the thread is blocked or computes outside the runtime makes no difference to the
 * protocol; sysmon tries at any time. A thread without a P gets any that is free. There are two Ps, so
 * that sysmon's look at p.m may be out of date.
 */
#ifndef ENTRIES
#define ENTRIES	3
#endif
#ifndef TRIES
#define TRIES	3
#endif

#define REVOKING	1
#define REVOKED		2
#define NONE		2	/* no P */

chan sb = [2] of { bit };	/* values for locks */
bit locks;
byte attn;
byte mp = 0;			/* mp->p */
bit free[2];			/* a P that is nobody's */
bit inside;			/* the thread is in the runtime, and has its P */

active proctype memory()
{
	bit value;
end:
	do
	:: d_step { sb?value; locks = value; value = 0 }
	od
}

#ifdef MEMBARRIER
#define enter_fence()	true
#else
#define enter_fence()	empty(sb)
#endif
#if defined(MUT_NO_BARRIER)
#define mb_rare()	true
#elif defined(MEMBARRIER)
#define mb_rare()	empty(sb)
#else
#define mb_rare()	true	/* its own compare-and-swap was a barrier */
#endif

active proctype thread()
{
	byte n, seen;

	do
	:: n < ENTRIES ->
		n++;
#ifdef MUT_LOOK_BEFORE_LOCKS
		seen = attn;
		sb!1;
		enter_fence();
#else
		sb!1;
		enter_fence();
		seen = attn;
#endif
		if
		:: seen ->
			atomic {
				empty(sb);
				if
#ifndef MUT_ENTER_KEEPS_REVOKING
				:: attn == REVOKING -> attn = 0
#endif
				:: attn == REVOKED -> attn = 0; mp = NONE
				:: else
				fi
			}
			if
			:: mp == NONE ->
				if
				:: atomic { free[0] -> free[0] = 0; mp = 0 }
				:: atomic { free[1] -> free[1] = 0; mp = 1 }
				fi
			:: else
			fi
		:: else
		fi;
		d_step { inside = 1; assert(!free[mp]) }
		/* it may also come to another P in the runtime */
		if
		:: atomic { free[0] && mp == 1 -> free[0] = 0; free[1] = 1; mp = 0 }
		:: atomic { free[1] && mp == 0 -> free[1] = 0; free[0] = 1; mp = 1 }
		:: true
		fi;
		d_step { assert(!free[mp]); inside = 0 }
		sb!0
	:: n == ENTRIES -> break
	od
}

active proctype sysmon()
{
	byte n, pp;
	bit ours;

	do
	:: n < TRIES ->
		n++;
		atomic { mp != NONE -> pp = mp }	/* pp->m is the M; looked at before */
		if
		:: atomic { attn == 0 -> attn = REVOKING }
			mb_rare();
#ifdef MUT_LOCKS_DO_NOT_MATTER
			ours = mp == pp;
#elif defined(MUT_ANY_P)
			ours = locks == 0;
#else
			ours = locks == 0;
			if
			:: ours -> ours = mp == pp
			:: else
			fi;
#endif
			if
			:: ours ->
				atomic {
					if
#ifdef MUT_NO_CAS
					:: true -> attn = REVOKED
#else
					:: attn == REVOKING -> attn = REVOKED
#endif
					:: else -> ours = 0
					fi;
					if
					:: ours ->
						assert(!inside);
						assert(!free[pp] && mp == pp);
						free[pp] = 1
					:: else
					fi
				}
			:: else ->
				atomic {
					if
#ifdef MUT_LEFT_OVER
					:: true
#else
					:: attn == REVOKING -> attn = 0
					:: else
#endif
					fi
				}
			fi
		:: attn != 0
		fi;
		ours = 0
	:: n == TRIES -> break
	od
}

init
{
	d_step { free[1] = 1 }
	timeout;
	assert(attn == 0 || attn == REVOKED)
}
