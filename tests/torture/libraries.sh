#!/bin/bash
# SPDX-License-Identifier: MIT
# Real libraries compute what they compute without preemption. MINUTES: for so long, each time.
set -u
build=${URGE_BUILD:-build}
status=0
for slice in 100 50; do
	echo "-- slices of $slice us"
	SLICE=$slice "$build/tests/torture/libraries" </dev/null || status=1
	SLICE=$slice LD_PRELOAD=$build/liburge-pins.so "$build/tests/torture/libraries.shared" \
		</dev/null || status=1
done
exit $status
