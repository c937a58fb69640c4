#!/bin/bash
# SPDX-License-Identifier: MIT
# A trace is JSON, its slices nest, no goroutine is in two places at once, and it holds all that happened.
set -u
programs=${URGE_BUILD:-build}/tests/programs
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

for program in trace trace.shared; do
	echo "-- $program"
	if ! "$programs/$program" "$scratch/trace.json" </dev/null ||
		! "${0%/*}/tools/trace_check.py" "$scratch/trace.json"; then
		failed=1
	fi
done
exit $failed
