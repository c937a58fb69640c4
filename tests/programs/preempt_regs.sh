#!/bin/bash
# SPDX-License-Identifier: MIT
# All state of a goroutine survives preemption.
run=${0%/*}/tools/run.sh
"$run" preempt_regs && INJECTIONS=20000 "$run" preempt_regs.shared
