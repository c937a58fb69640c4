#!/bin/bash
# SPDX-License-Identifier: MIT
# errno belongs to the goroutine, whatever compiler and level; with glibc's own errno it does not.
set -u
tools=${0%/*}/tools
"$tools/run.sh" errno_kept errno_kept.shared || exit
export INJECTIONS=500
"$tools/compile_levels.sh" errno_kept.c || exit
compiler=$(command -v gcc >/dev/null && echo gcc || echo clang)
if ! COMPILERS=$compiler LEVELS=-O2 "$tools/compile_levels.sh" errno_kept.c -DURGE_KEEP_ERRNO |
	grep -q '^FAILED: errno'; then
	echo "with glibc's declaration of errno it passes as well: this test shows nothing"
	exit 1
fi
