#!/bin/bash
# SPDX-License-Identifier: MIT
# A goroutine that yields among thieves goes on once.
exec "${0%/*}/tools/run.sh" yield_once yield_once.shared
