#!/bin/bash
# SPDX-License-Identifier: MIT
# A thread that blocks in the kernel without saying so loses its P, and gets no signal.
exec "${0%/*}/tools/run.sh" syscall_undeclared syscall_undeclared.shared
