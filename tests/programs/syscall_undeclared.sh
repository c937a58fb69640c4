#!/bin/bash
# SPDX-License-Identifier: MIT
# A thread that blocks in the kernel without saying so loses its P, and gets no signal.
set -u
status=0
"${0%/*}/tools/run.sh" syscall_undeclared syscall_undeclared.shared || status=1
pins=${URGE_BUILD:-build}/liburge-pins.so
LD_PRELOAD=$pins "${0%/*}/tools/run.sh" syscall_undeclared.shared || status=1
NO_MEMBARRIER=1 "${0%/*}/tools/run.sh" syscall_undeclared || status=1
exit $status
