#!/bin/bash
# SPDX-License-Identifier: MIT
# What acts on the whole process: other programs, ids, the loader, cancellation, under preemption.
set -u
build=${URGE_BUILD:-build}
failed=0

PLUGIN=$(realpath "$build")/tests/programs/plugin.so
export PLUGIN
${CC:-gcc} -O1 -shared -fPIC -o "$PLUGIN" "${0%/*}/tools/plugin.c" || exit 1
for program in process_wide process_wide.shared; do
	for call in programs ids loader cancellation; do
		echo "-- $program $call"
		"$build/tests/programs/$program" "$call" </dev/null || failed=1
	done
done
exit $failed
