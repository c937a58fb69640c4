#!/bin/bash
# SPDX-License-Identifier: MIT
# Declared system calls see no EINTR of ours.
run=${0%/*}/tools/run.sh
"$run" syscall_declared && CALLS=5000 "$run" syscall_declared.shared
