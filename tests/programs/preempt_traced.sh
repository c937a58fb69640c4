#!/bin/bash
# SPDX-License-Identifier: MIT
# Preemption goes on under those who watch: a tracer that swallows requests, profilers that walk the
# stacks from inside, gdb that attaches and detaches, perf.
set -u
tools=${0%/*}/tools
build=${URGE_BUILD:-build}
program=$build/tests/programs/internal/preempt_profiled
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

"$tools/run.sh" preempt_traced preempt_traced.shared
[[ $? == 1 ]] && failed=1
"$tools/run.sh" internal/preempt_profiled || failed=1

if command -v gdb >/dev/null; then
	exec {running}> >(exec "$program" hold >"$scratch/output" 2>&1)
	pid=$!
	until grep -qs '^urge-m' /proc/$pid/task/*/comm || ! kill -0 $pid 2>/dev/null; do
		sleep 0.01
	done
	for ((i = 0; i < 2; i++)); do
		timeout -k 5 60 gdb -nx -batch -p $pid -ex 'thread apply all bt' -ex detach \
			</dev/null >"$scratch/gdb" 2>&1
		if grep -q 'ptrace: Operation not permitted' "$scratch/gdb"; then
			echo 'gdb may not attach here, left out'
		elif ! grep -q '^#0 ' "$scratch/gdb"; then
			cat "$scratch/gdb"
			failed=1
		fi
	done
	exec {running}>&-
	if ! wait $pid; then
		cat "$scratch/output"
		failed=1
	else
		echo 'gdb attached and detached'
	fi
else
	echo 'gdb is not installed: without it'
fi

# Only a few samples find a thread in the runtime, one or two a second where others need the processors
# too: it is tried again, for longer, if there is none.
all=0
for ((seconds = 1; all == 0 && seconds <= 32; seconds *= 2)); do
	if ! command -v perf >/dev/null; then
		echo 'perf (linux-perf) is not installed: without it'
		break
	fi
	if ! sleep $seconds | perf record -q -e cpu-clock:u -F 2000 --call-graph dwarf,8192 \
		-o "$scratch/data" "$program" hold >"$scratch/output" 2>&1; then
		echo "perf may not record here, left out: $(head -n 1 "$scratch/output")"
		break
	fi
	# What is behind asyncpreempt in each sample that has it. One in the handler has none of it:
	# perf copies a piece of one stack.
	perf script -i "$scratch/data" --no-inline -F ip,sym 2>/dev/null |
		awk '$2 ~ /^(__restore_rt|preempt_handler_sig)$/ { handler = 1 }
			$2 == "asyncpreempt" && !handler { on = 1; line = ""; next }
			NF == 0 { if (on) print line; on = handler = 0 }
			on { line = line " " $2 }' >"$scratch/walks"
	good=$(grep -cE '^( inner_loop)?( outer_function)* looper gostart$|^ in_libc gostart$' \
		"$scratch/walks")
	all=$(wc -l <"$scratch/walks")
	echo "perf: $good of $all walks through asyncpreempt reach the first frame"
	if ((good < all)); then
		sort "$scratch/walks" | uniq -c
		failed=1
	fi
done
((all > 0 || seconds <= 32)) || failed=1
exit $failed
