#!/bin/bash
# SPDX-License-Identifier: MIT
# A promise about a module lets its goroutines be moved.
exec "${0%/*}/tools/run.sh" preempt_text preempt_text.shared
