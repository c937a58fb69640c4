#!/bin/bash
# SPDX-License-Identifier: MIT
# A thousand calls that block for a second take about that long, and their threads end again.
set -u
output=$(timeout 100 "${URGE_BUILD:-build}/examples/blocking1000" 1000 12) || exit 1
uniq -c <<<"$output"
[[ $(grep -c '^hello$' <<<"$output") == 1000 ]] || { echo 'not 1000 calls'; exit 1; }
read -r seconds peak < <(sed -n 's/^done after \([0-9.]*\) s; \([0-9]*\) threads/\1 \2/p' <<<"$output")
left=$(sed -n '$s/.*: \([0-9]*\) threads/\1/p' <<<"$output")
# a loaded machine makes the threads more slowly; one call after the other would take 1000 s
(( ${seconds%.*} < 20 && peak > 1000 )) || { echo "$seconds s, $peak threads"; exit 1; }
(( left < 20 )) || { echo "$left threads are left"; exit 1; }
