#!/bin/bash
# SPDX-License-Identifier: MIT
# The program keeps its SIGURG, and preemption survives lost signals.
exec "${0%/*}/tools/run.sh" sigurg sigurg.shared
