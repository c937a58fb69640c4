#!/bin/bash
# SPDX-License-Identifier: MIT
# The world stops and starts; who misuses that is told so.
set -u
run=${0%/*}/tools/run.sh
programs=${URGE_BUILD:-build}/tests/programs
failed=0

"$run" stw || failed=1
export STOPS=200 # in a row; a thousand once
"$run" stw.shared || failed=1
for program in stw stw.shared; do
	for mode in resize lock; do
		echo "-- $program $mode"
		"$programs/$program" "$mode" </dev/null || failed=1
	done
	output=$("$programs/$program" long 2>&1 </dev/null) || failed=1
	line='^urge: stopping the world \(to be told\) has taken 1 s: waits for goroutine [0-9]+ holds, '
	line+='started with holder: urge_nopreempt, or the attribute$'
	if (($(grep -cE "$line" <<<"$output") != 2 || $(wc -l <<<"$output") != 2)); then
		echo "$program long: not twice: $line"
		head -n 20 <<<"$output"
		failed=1
	fi
	while read -r misuse words; do
		output=$("$programs/$program" "$misuse" 2>&1 </dev/null)
		status=$?
		if [[ $status != 2 || $output != *"fatal error: $words"* ]]; then
			echo "$program $misuse: status $status, not 2 with the words: $words"
			head -n 20 <<<"$output"
			failed=1
		fi
	done <<-END
		start urge_start_the_world: the caller has not stopped it
		sleep urge: the goroutine that stopped the world blocks
		wait urge: the goroutine that stopped the world blocks
	END
done
exit $failed
