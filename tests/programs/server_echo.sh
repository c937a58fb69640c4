#!/bin/bash
# SPDX-License-Identifier: MIT
# The server echo of examples/, with real clients and bad peers.
exec "${0%/*}/tools/servers.py" echo
