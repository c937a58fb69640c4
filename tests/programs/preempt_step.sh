#!/bin/bash
# SPDX-License-Identifier: MIT
# Preemptions at every instruction of what gcc and clang make of a few functions. With MINUTES, for
# torture, that many at each level.
set -u
tools=${0%/*}/tools
"$tools/run.sh" internal/preempt_step || exit
if [[ ${MINUTES:-} ]]; then
	export ROUNDS=$((MINUTES * 40)) SECONDS=$((MINUTES * 120 + 120))
else
	export POLICIES=2
fi
ARCHIVE=liburge-internal.a "$tools/compile_levels.sh" internal/preempt_step.c
