#!/bin/bash
# SPDX-License-Identifier: MIT
# Goroutines are preempted as the process wants, and as they want themselves.
exec "${0%/*}/tools/run.sh" preempt_policy preempt_policy.shared
