#!/bin/bash
# SPDX-License-Identifier: MIT
# A million goroutines at once.
exec "${0%/*}/tools/run.sh" million
