#!/bin/bash
# SPDX-License-Identifier: MIT
# Compiled leaf functions keep their red zone over preemption and migration.
set -u
tools=${0%/*}/tools
"$tools/run.sh" preempt_redzone preempt_redzone.shared || exit
INJECTIONS=2000 "$tools/compile_levels.sh" preempt_redzone.c
