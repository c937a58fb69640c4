/* SPDX-License-Identifier: MIT */
/*
 * The ring of the only P: its owner takes by plain stores, until it knows of thieves.
 *
 * Modelled: runq_alone, runq_advance, is_shared with runqgrab, and p_counts, which changes `sharing`.
 * The owner takes TAKES tasks. A visitor stands for whoever makes other Ps and for the thief on such a
 * P: VISITS times it comes (sharing gets odd), steals up to STEALS tasks, and goes (sharing gets
 * even). The ring holds enough for all.
 *
 * Checked: no task is taken twice.
 *
 * Memory: the owner's plain stores pass through a first-in first-out store buffer, as on x86 (TSO);
 * compare-and-swap drains it. The visitor changes `sharing` under a lock, and steals by
 * compare-and-swap: it has nothing in a buffer. That the stores to head and to the owner's word are
 * seen in their order is what release and acquire must give elsewhere (MUT_WORD_FIRST).
 *
 * Abstracted, and why no error can hide there: more thieves (sharing stays odd while there is one); the
 * hand-over of the P from M to M (with a barrier, between two takes); the newest of the ring, which is
 * taken by a store to tail under the same condition.
 */
#ifndef TAKES
#define TAKES	3
#endif
#ifndef VISITS
#define VISITS	2
#endif
#ifndef STEALS
#define STEALS	2
#endif

#define TASKS	(TAKES + VISITS * STEALS)
#define HEAD	0
#define WORD	1		/* p.sharing */

chan sb = [3] of { bit, byte };
byte mem[2];
byte sharing;			/* even: one P */
bool taken[TASKS + 1];

#define fence()	empty(sb)

active proctype memory()
{
	bit at;
	byte value;
end:
	do
	:: d_step { sb?at,value -> mem[at] = value; at = 0; value = 0 }
	od
}

inline take(i)
{
	assert(!taken[i]);
	taken[i] = true
}

active proctype owner()
{
	byte n, s, h, known;	/* what it stored last: it knows its own stores at once */
	byte myhead;
	bool mine;		/* its last store to head is in the buffer */

	do
	:: n < TAKES ->
		s = sharing;
		if
		:: s % 2 == 0 ->
			atomic {
				if
				:: empty(sb) -> h = mem[HEAD]
				:: nempty(sb) && mine -> h = myhead
				:: nempty(sb) && !mine -> h = mem[HEAD]
				fi
			}
#ifdef MUT_WORD_FIRST
			sb!WORD,sharing;
#endif
			take(h);
			sb!HEAD,h + 1;
			myhead = h + 1;
			mine = true;
			n++
		:: else ->
			if
			:: known != s ->
#ifdef MUT_FLAG
				sb!WORD,1;
#else
				sb!WORD,s;
#endif
				known = s
			:: else
			fi;
			mine = false;
			atomic {
				fence() ->
				h = mem[HEAD];
				take(h);
				mem[HEAD] = h + 1
			}
			n++
		fi
	:: else -> break
	od
}

inline looks_shared(yes)
{
#if defined(MUT_NO_WORD)
	yes = true
#elif defined(MUT_FLAG)
	yes = (mem[WORD] == 1)
#else
	yes = (mem[WORD] == sharing)
#endif
}

active proctype visitor()
{
	byte visits, steals, h;
	bool yes;

	do
	:: visits < VISITS ->
		sharing++;
		steals = 0;
		do
		:: steals < STEALS ->
			looks_shared(yes);
			if
			:: yes ->
				h = mem[HEAD];
#ifdef MUT_GONE_TOO_EARLY
				if
				:: steals + 1 == STEALS && sharing % 2 -> sharing++
				:: else
				fi;
#endif
				atomic {
					if
					:: mem[HEAD] == h ->
						take(h);
						mem[HEAD] = h + 1
					:: else
					fi
				}
			:: else
			fi;
			steals++
		:: break
		od;
#ifdef MUT_FLAG
		mem[WORD] = 0;
#endif
		if
		:: sharing % 2 -> sharing++
		:: else
		fi;
		visits++
	:: else -> break
	od
}
