#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Takes one protection after the other out of the library, and looks whether the test that is there
# for it fails: a test that passes without what it tests shows nothing. Sources are changed in a
# scratch folder, where one object is compiled and linked with the others of the build.
#
# usage: mutations.sh [NAME...]
#
# shellcheck disable=SC2016 # the dollars are sed's
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top" || exit 1
build=${URGE_BUILD:-build}
scratch=$build/tests/mutations
cc=${CC:-gcc}
chosen=("$@")
failed=()

if [[ $($cc -dumpmachine) != x86_64* ]]; then
	echo 'written for x86-64'
	exit 77
fi

flags=(-std=gnu11 -O2 -g -fvisibility=hidden -fPIC -ftls-model=initial-exec -fno-plt
	-fasynchronous-unwind-tables -D_GNU_SOURCE= -I. "-I$build/include"
	-include kernelshim/kconfig.h)
sig_flags=(-fno-stack-protector -fno-builtin -mgeneral-regs-only)
[[ $cc == *clang* ]] || sig_flags+=(-fno-tree-loop-distribute-patterns)
libraries=(-lurcu-memb -lpthread -lm)
grep -q CONFIG_NUMA=y "$build/.config" && libraries+=(-lnuma)

sources=() # of the library
for source in {kernelshim,numa,sched,preempt}/*.[cS]; do
	[[ -e $source && $source != *_arm64* ]] && sources+=("$source")
done

# What a program of the tests is linked from beside the library.
objects_of() { # program
	echo "$build/tests/programs/$1.o"
	[[ $1 != pins ]] || echo "$build/preempt/pins/locks.o"
	[[ $1 != preempt_regs ]] || echo "$build/tests/programs/regs_amd64.o"
}

compile() { # source in scratch
	local own=()
	[[ $1 != *_sig.c ]] || own=("${sig_flags[@]}")
	$cc "${flags[@]}" "${own[@]}" -c -o "$scratch/${1%.*}.o" "$scratch/$1"
}

# Links a program with the library, in which the objects of some sources are those of the scratch.
link() { # program, source...
	local program=$1 source objects=() own
	shift
	for source in "${sources[@]}"; do
		[[ " $* " == *" $source "* ]] && own=$scratch || own=$build
		objects+=("$own/${source%.*}.o")
	done
	mapfile -t own < <(objects_of "$program")
	ld -r --force-group-allocation -T sched/liburge.lds -o "$scratch/liburge.o" "${objects[@]}" &&
		$cc -o "$scratch/${program##*/}" "${own[@]}" "$scratch/liburge.o" "${libraries[@]}"
}

run() { # program, seconds
	local status=0
	{ SECONDS=$2 INJECTIONS=3000 timeout -k 1 $(($2 + 5)) "$scratch/${1##*/}" </dev/null \
		>"$scratch/output" 2>&1 || status=$?; } 2>/dev/null # the shell's words about a signal
	((status <= 128)) || echo "FAILED: ended by signal $((status - 128))" >>"$scratch/output"
	return $status
}

wanted() {
	((${#chosen[@]} == 0)) || [[ " ${chosen[*]} " == *" $1 "* ]]
}

# mutate NAME PROGRAM WORDS {SOURCE SED-SCRIPT}...: without it, the program fails with these words. If they
# are that it does not end, this takes a while; else it ends long before.
mutate() {
	local name=$1 program=$2 words=$3 seconds=60 changed=()
	shift 3
	[[ $words != 'no end' ]] || seconds=6
	wanted "$name" || return
	while (($# > 0)); do
		mkdir -p "$scratch/${1%/*}"
		sed -E "$2" "$1" >"$scratch/$1"
		if cmp -s "$1" "$scratch/$1"; then
			echo "$name: nothing in $1 fits $2"
			failed+=("$name")
			return
		fi
		if ! compile "$1"; then
			failed+=("$name")
			return
		fi
		changed+=("$1")
		shift 2
	done
	if ! link "$program" "${changed[@]}"; then
		failed+=("$name")
	elif run "$program" "$seconds"; then
		echo "$name: $program passes without it"
		failed+=("$name")
	elif ! grep -q "^FAILED: .*$words" "$scratch/output"; then
		echo "$name: $program fails, but not with the words: $words"
		tail -n 20 "$scratch/output"
		failed+=("$name")
	else
		echo "$name: $program fails, as it should: $words"
	fi
}

# object NAME TEXT: a function of signal-side code that check-signal must not accept.
object() {
	wanted "$1" || return
	mkdir -p "$scratch/preempt"
	printf '%s\n' "$2" >"$scratch/preempt/bad_sig.c"
	if ! compile preempt/bad_sig.c; then
		failed+=("$1")
	elif .ci/check-signal preempt/signal-side.allow "$build/liburge.so.0" \
		"$scratch/preempt/bad_sig.o" >"$scratch/output" 2>&1; then
		echo "$1: check-signal accepts it"
		failed+=("$1")
	else
		echo "$1: check-signal complains, as it should"
	fi
}

mkdir -p "$scratch"
for program in yield_once preempt_regs preempt_refused freelist pins sigurg internal/preempt_step; do # as they are, all pass
	if ! link "$program" || ! run "$program" 60; then
		echo "$program fails as it is"
		cat "$scratch/output"
		exit 1
	fi
done

# ---- the switch: into the queue before the goroutine has been left

mutate enqueue-first yield_once 'made twice\|ended by signal 11' sched/proc.c \
	's/switch_to\(mp, mp->curg, next, yield_after\);/{ struct g *g = mp->curg; yield_after(mp, g); for (volatile int i = 0; i < 3000; i++) ; switch_to(mp, g, next, NULL); }/'

# ---- the injected call

mutate cld preempt_regs 'DF is set' preempt/async_amd64.S 's/^\tcld$//'
mutate red-zone preempt_regs 'general: word' \
	kernelshim/sigframe_amd64_sig.c 's/gregs\[REG_RSP\] - SIGFRAME_REDZONE/gregs[REG_RSP]/' \
	preempt/async_amd64.S 's/^\tret	\$128$/\tret/'
mutate flags preempt_regs 'general: word 15' preempt/async_amd64.S \
	's/^\tpopfq$/\taddq	$8, %rsp/'
mutate vectors preempt_regs 'mm.*: word' kernelshim/sigframe_amd64_sig.c \
	's/(xstate_mask = xcr0 & )X_GOROUTINE;/\1(X_X87 | X_SSE);/'
mutate x87 preempt_regs 'x87, mxcsr: word' kernelshim/sigframe_amd64_sig.c \
	's/(xstate_mask = xcr0 & X_GOROUTINE);/\1 \& ~1u;/'
mutate one-register internal/preempt_step 'differences, the first in general' preempt/async_amd64.S \
	's/^\trestore_reg r11$/\tleaq	8(%rsp), %rsp/'
mutate one-instruction internal/preempt_step 'differences, the first in red zone' \
	kernelshim/sigframe_amd64_sig.c 's/(SIGFRAME_REDZONE)\);$/\1 + 64);/' \
	preempt/async_amd64.S 's/^\tret	\$128$/\tret	$64/'
mutate modes preempt_regs 'x87 control word' preempt/async_amd64.S 's/fninit|ldmxcsr.*//'

# ---- the decision

mutate return-addresses preempt_refused 'in a comparator' preempt/safepoint_sig.c \
	's/reason = scan_frames\(gp, sp\);/(void)scan_frames;/'
mutate tls-on-stack preempt_refused 'in the red zone' preempt/safepoint_sig.c \
	's/if \(tls_pointer_in\(/if (0 \&\& tls_pointer_in(/'
mutate tls-in-red-zone preempt_refused 'in the red zone' preempt/safepoint_sig.c \
	's/sp - SIGFRAME_REDZONE/sp/'
mutate tls-in-registers preempt_refused 'in a register' kernelshim/sigframe_amd64_sig.c \
	's/\(uintptr_t\)mc->gregs\[r\] - lo < hi - lo/0 \&\& lo < hi/'
mutate tls-in-vectors preempt_refused 'in xmm' kernelshim/sigframe_amd64_sig.c \
	's/words_point\(fp \+ FXSAVE_XMM, 16 \* 16, lo, hi\)/0/'
mutate tls-in-mmx preempt_refused 'in mmx' kernelshim/sigframe_amd64_sig.c \
	's/words_point\(fp \+ FXSAVE_X87, 8 \* 16, lo, hi\)/0/'
mutate module-rule freelist injected preempt/safepoint_sig.c 's/!text\.movable/0/'
mutate headroom preempt_refused 'no room' preempt/safepoint_sig.c 's/< text\.headroom/< 0/'
mutate depth preempt_refused 'deep stack' preempt/safepoint_sig.c \
	's/WORDS_MAX = 1024/WORDS_MAX = 1 << 20/'
mutate nopreempt preempt_refused urge_nopreempt preempt/safepoint_sig.c \
	's/gp->nopreempt > 0 \|\|//'
mutate attribute preempt_refused attribute preempt/safepoint_sig.c 's/\|\| gp->attr & GATTR_NOPREEMPT//'
mutate library-pc preempt_refused 'no end' preempt/safepoint_sig.c \
	's/!in_program_text\(pc\)/0/'

mutate pins pins 'lock\|inside\|another thread' preempt/pin.c \
	's/mp->pins\+\+ == 0/0/'

# ---- the signal

mutate resend sigurg 'no end' preempt/request.c \
	's/now - sent < 2 \* load_rlx_i64\(&time_slice\)/1/'
mutate without-value sigurg 'no end' preempt/handler_sig.c \
	's/si_code == SI_USER/si_code == 12345/'
mutate others sigurg 'no end' preempt/handler_sig.c 's/handler_chain_sig\(&former_sigurg.*;//'

# ---- signal-side objects

object calls-libc 'void closelog(void); void bad_sig(void); void bad_sig(void) { closelog(); }'
object uses-tls 'extern __thread int t; int bad_sig(void); int bad_sig(void) { return t; }'
object copies-a-struct 'struct s { char c[99999]; } *a, *b; void bad_sig(void);
void bad_sig(void) { *a = *b; }'

((${#failed[@]} == 0)) || { echo "failed: ${failed[*]}"; exit 1; }
