#!/bin/bash
# SPDX-License-Identifier: MIT
# The servers of examples/ on a bad network and with thousands of idle peers; `make test-faults` does more.
exec "${0%/*}/tools/faults.py" echo httpd kv
