#!/bin/bash
# SPDX-License-Identifier: MIT
# Children of goroutines, and of other threads, have a runtime of their own; what they can't have is said.
set -u
run=${0%/*}/tools/run.sh
programs=${URGE_BUILD:-build}/tests/programs
failed=0

"$run" fork fork.shared internal/fork_resize || failed=1
for program in fork fork.shared; do
	while read -r name expected words; do
		output=$("$programs/$program" "$name" 2>&1 </dev/null)
		status=$?
		if [[ $status != "$expected" || $output != *"$words"* ]]; then
			echo "$program $name: status $status, not $expected with the words: $words"
			head -n 20 <<<"$output"
			failed=1
		fi
	done <<-END
		returns 23
		handler 24
		lonely 2 fatal error: all goroutines are asleep - deadlock!
		stopped 2 fatal error: urge: fork while the caller has stopped the world
	END
done
exit $failed
