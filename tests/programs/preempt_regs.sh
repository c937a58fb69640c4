#!/bin/bash
# SPDX-License-Identifier: MIT
# All state of a goroutine survives preemption.
exec "${0%/*}/tools/run.sh" preempt_regs preempt_regs.shared
