#!/bin/bash
# SPDX-License-Identifier: MIT
# Leaked goroutines are listed, others never: random graphs.
export URGEDEBUG=leaks=1
exec "${0%/*}/tools/run.sh" leaks leaks.shared
