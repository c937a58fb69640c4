#!/bin/bash
# SPDX-License-Identifier: MIT
# Who holds a lock of libc's stays on its thread: with the archive, and with the preloaded library;
# which exports the functions that it interposes, and no others.
set -u
build=${URGE_BUILD:-build}
if [[ ! -e $build/liburge-pins.so ]]; then
	echo 'not built with sanitizers'
	exit 77
fi
status=0
"${0%/*}/tools/run.sh" pins || status=1
LD_PRELOAD=$build/liburge-pins.so "${0%/*}/tools/run.sh" pins.shared || status=1
others=$(nm -D --defined-only "$build/liburge-pins.so" | awk '{ print $3 }' |
	grep -vE '^(pthread_(mutex|rwlock|spin)_[a-z]*lock|f(try|un)?lockfile|syscall)$')
if [[ $others ]]; then
	echo "liburge-pins.so exports: $others"
	status=1
fi
exit $status
