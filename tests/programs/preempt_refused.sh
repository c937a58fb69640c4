#!/bin/bash
# SPDX-License-Identifier: MIT
# What must not be moved is not, and the reason is counted.
exec "${0%/*}/tools/run.sh" preempt_refused preempt_refused.shared
