#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: tools/run.sh PROGRAM...
#
# Runs programs below $URGE_BUILD/tests/programs, one after the other. Exit status: 1 when one of
# them failed, 77 when all of them were skipped, else 0.
set -u
directory=${URGE_BUILD:-build}/tests/programs
failed=() skipped=0
for program; do
	echo "-- $program"
	"$directory/$program" </dev/null
	case $? in
	0) ;;
	77) ((skipped++)) ;;
	*) failed+=("$program: $?") ;;
	esac
done
((${#failed[@]} == 0)) || { printf 'failed with status: %s\n' "${failed[*]}"; exit 1; }
((skipped < $#)) || exit 77
