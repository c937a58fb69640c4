#!/bin/bash
# SPDX-License-Identifier: MIT
# urge_dump and gdb walk from a preempted goroutine through the injected call to its first frame.
set -u
programs=${URGE_BUILD:-build}/tests/programs
failed=0

# Whether the names of the frames match a pattern; else says so.
expect() { # what, names, pattern, output
	[[ $2 =~ $3 ]] && return
	printf '%s: the frames are: %s\nnot: %s\n%s\n' "$1" "$2" "$3" "$4"
	failed=1
}

for program in preempt_unwind preempt_unwind.shared; do
	output=$("$programs/$program" </dev/null 2>&1) || failed=1
	names=$(awk '/^goroutine 2 /{ on = 1 } on && /\(\.\.\.\)$/{ sub(/\(.*/, ""); print }' \
		<<<"$output" | tr '\n' ' ')
	expect "$program: urge_dump" "$names" \
		'asyncpreempt2 asyncpreempt inner_loop (outer_function )+looper gostart $' "$output"

	command -v gdb >/dev/null || continue
	output=$(timeout -k 5 100 gdb -nx -batch -ex 'set pagination off' -ex 'set width 0' \
		-ex 'handle SIGURG nostop noprint pass' -ex 'set breakpoint pending on' \
		-ex 'break asyncpreempt2' -ex run -ex bt -ex kill "$programs/$program" 2>&1 </dev/null)
	if [[ $output == *'ptrace: Operation not permitted'* ]]; then
		echo "$program: gdb may not trace here, left out"
		continue
	fi
	# asyncpreempt is marked as a signal's frame: all registers are live in it
	names=$(sed -n 's/^#[0-9]* *\(0x[0-9a-f]* in \)\?\(<signal handler called>\|[a-z_0-9]*\).*/\2/p' \
		<<<"$output" | tr '\n' ' ')
	expect "$program: gdb" "$names" \
		'^asyncpreempt2 <signal handler called> inner_loop (outer_function )+looper gostart $' \
		"$output"
done
command -v gdb >/dev/null || echo 'gdb is not installed: without it'
exit $failed
