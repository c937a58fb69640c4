#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The controller of urge_gomaxprocs_auto on the loads of the laboratory: it says what it does, never goes
# above what is granted, and settles: each turn (more after fewer, or back) comes four times as
# late as the one before, whatever else the machine does.
#
# LENGTH (0.4): an eighth of the seconds of each load. LOADS: which ones.
set -u
cd "$(dirname "$0")/../.." || exit 1
lab=${URGE_BUILD:-build}/urge-lab
length=${LENGTH:-0.4}
failed=0

for load in ${LOADS:-forkjoin mixed echo}; do
	trace=$(URGEDEBUG=autoprocstrace=1 timeout 300 "$lab" --cell maxprocs auto "$load" 4 "$length" 2>&1) ||
		{ echo "$load: exit status $?" && failed=1; }
	awk -v load="$load" -v seconds="$(awk "BEGIN { print 8 * $length }")" '
		match($0, /gomaxprocs=[0-9]+->[0-9]+ granted=[0-9]+/) {
			split(substr($0, RSTART, RLENGTH), n, /[^0-9]+/) # n[2] -> n[3], n[4] granted
			looks++
			if (n[3] > n[2] && n[3] > n[4])
				bad = bad "\n" $0
			direction = n[3] > n[2] ? 1 : n[3] < n[2] ? -1 : 0
			if (direction) {
				changes++
				turns += direction == -last
				last = direction
			}
		}
		END {
			most = int(log(seconds / 0.5) / log(4)) + 1
			printf "%s: %d looks, %d changes, %d turns of at most %d\n",
				load, looks, changes, turns, most
			exit turns > most || looks < 2 || bad != ""
		}' <<<"$trace" || { echo "$trace" && failed=1; }
done
exit $failed
