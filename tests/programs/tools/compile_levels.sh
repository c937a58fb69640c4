#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: tools/compile_levels.sh SOURCE [FLAG...]
#
# Compiles a program of this directory with gcc and clang at -O0 to -O3, with $URGE_BUILD/liburge.a,
# and runs each. A compiler that is missing is left out, and said so. COMPILERS, LEVELS and ARCHIVE
# choose others.
set -u
source=$1
shift
cd "$(dirname "$0")/../../.." || exit 1
build=${URGE_BUILD:-build}
failed=() numa=()
grep -q CONFIG_NUMA=y "$build/.config" && numa=(-lnuma)
for compiler in ${COMPILERS:-gcc clang}; do
	if ! command -v "$compiler" >/dev/null; then
		echo "-- $compiler: not installed, left out"
		continue
	fi
	for level in ${LEVELS:--O0 -O1 -O2 -O3}; do
		program=$build/tests/programs/$(basename "$source" .c).$compiler$level
		echo "-- $compiler $level $*"
		"$compiler" -std=gnu11 "$level" -Wall -Wextra -Werror -D_GNU_SOURCE= "$@" -I. \
			-I"$build/include" -include kernelshim/kconfig.h -o "$program" \
			"tests/programs/$source" "$build/${ARCHIVE:-liburge.a}" -lurcu-memb \
			"${numa[@]}" -lpthread -lm &&
			"$program" </dev/null || failed+=("$compiler$level")
	done
done
((${#failed[@]} == 0)) || { echo "failed: ${failed[*]}"; exit 1; }
