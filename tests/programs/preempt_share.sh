#!/bin/bash
# SPDX-License-Identifier: MIT
# Loops of the program are moved by nearly all requests.
exec "${0%/*}/tools/run.sh" preempt_share preempt_share.shared
