#!/bin/bash
# SPDX-License-Identifier: MIT
# A program's own RCU read sections in goroutines, beside the runtime's.
exec "${0%/*}/tools/run.sh" internal/urcu_user
