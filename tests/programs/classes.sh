#!/bin/bash
# SPDX-License-Identifier: MIT
# urge_attr.class_ does what urge.h says.
exec "${0%/*}/tools/run.sh" classes classes.shared
