#!/bin/bash
# SPDX-License-Identifier: MIT
# Descriptors are looked after while every P runs a loop.
exec "${0%/*}/tools/run.sh" poll_under_loops poll_under_loops.shared
