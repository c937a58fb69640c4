#!/bin/bash
# SPDX-License-Identifier: MIT
# Whoever waits for a lock of a goroutine that waits in the signal handler does not wait for long.
exec "${0%/*}/tools/run.sh" grace
