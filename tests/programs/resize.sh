#!/bin/bash
# SPDX-License-Identifier: MIT
# GOMAXPROCS changes a thousand times a second, and nothing is lost. PHASE_MS=60000:
# a minute of each kind of work.
exec "${0%/*}/tools/run.sh" internal/resize
