#!/bin/bash
# SPDX-License-Identifier: MIT
# A goroutine that wakes does not wait for loops in libc that hand the P to each other.
exec "${0%/*}/tools/run.sh" parked_turns
