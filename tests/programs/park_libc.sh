#!/bin/bash
# SPDX-License-Identifier: MIT
# Code inside libc is preempted, and computes what it computes without.
set -u
build=${URGE_BUILD:-build}
status=0
"${0%/*}/tools/run.sh" park_libc || status=1
LD_PRELOAD=$build/liburge-pins.so "${0%/*}/tools/run.sh" park_libc.shared || status=1
exit $status
