#!/bin/bash
# SPDX-License-Identifier: MIT
# Code inside libc is preempted, and computes what it computes without.
exec "${0%/*}/tools/run.sh" park_libc park_libc.shared
