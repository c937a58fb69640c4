#!/bin/bash
# SPDX-License-Identifier: MIT
# Declared system calls see no EINTR of ours.
exec "${0%/*}/tools/run.sh" syscall_declared syscall_declared.shared
