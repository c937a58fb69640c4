#!/bin/bash
# SPDX-License-Identifier: MIT
# All state of a goroutine survives a million preemptions.
exec "${0%/*}/tools/run.sh" internal/preempt_storm
