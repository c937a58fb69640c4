#!/bin/bash
# SPDX-License-Identifier: MIT
# The public names and types are what programs outside were compiled against.
exec "${0%/*}/tools/run.sh" api api.shared
