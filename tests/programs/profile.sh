#!/bin/bash
# SPDX-License-Identifier: MIT
# The goroutine profile counts all goroutines by their stacks, in a form that pprof reads.
set -u
programs=${URGE_BUILD:-build}/tests/programs
failed=0

# As the comments of the groups have it: count, then the program's own functions, from the inside out.
groups() {
	awk '
		/^---/ { exit }
		/^[0-9]+ @/ { count = $1; stack = "" }
		/^#/ { sub(/\+.*/, "", $3)
			if ($3 ~ /^(sleeper|waiter|waits_deep|caller|looper|fresh|start)$/) stack = stack " " $3 }
		/^$/ && count { print count stack; count = 0 }' "$1" | sort -k 1,1nr -k 2
}

for program in profile profile.shared; do
	echo "-- $program"
	output=$(mktemp) || exit 1
	if ! "$programs/$program" >"$output" </dev/null ||
		! groups "$output" | diff - <(
			echo '300 sleeper'
			echo '20 waits_deep waits_deep waits_deep waits_deep waiter'
			echo '5 fresh'
			echo '3 caller'
			echo '1 looper'
			echo '1 start'
		) || ! grep -qx 'goroutine profile: total 330' "$output" ||
		! grep -qx -e '--- Memory map: ---' "$output" ||
		! grep -q "^[0-9a-f]*-[0-9a-f]* r-xp .*/$program\$" "$output"; then
		failed=1
		cat "$output"
	fi
	rm "$output"
done
exit $failed
