#!/bin/bash
# SPDX-License-Identifier: MIT
# The server httpd of examples/, with real clients and bad peers.
exec "${0%/*}/tools/servers.py" httpd
