#!/bin/bash
# SPDX-License-Identifier: MIT
# A per-thread free list in the program is never shared; without the rule for it, it is.
exec "${0%/*}/tools/run.sh" freelist freelist.shared internal/freelist_moved
