#!/bin/bash
# SPDX-License-Identifier: MIT
#
# urge-lab topology on made-up machines: what it prints of nodes and Ps, and that it says why a machine
# is taken for one node.
set -u
cd "$(dirname "$0")/../.." || exit 1
lab=${URGE_BUILD:-build}/urge-lab
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

failed=0
expect() { # machine, arguments, expected output on stdin
	local machine=$1
	shift
	[[ -d $scratch/$machine ]] || tests/fakesysfs/make "$machine" "$scratch/$machine"
	cat >"$scratch/expected"
	"$lab" topology --root "$scratch/$machine" "$@" >"$scratch/printed"
	diff "$scratch/expected" "$scratch/printed" ||
		{ echo "urge-lab topology, $machine $*: see above" && failed=1; }
}

expect two_socket --procs 5 <<'END'
node 0: CPUs 0-3,8-11; caches: 0-3,8-11; memory: own
  distances: 0:10 1:21
  nearest with CPUs: 0 1
node 1: CPUs 4-7,12-15; caches: 4-7,12-15; memory: own
  distances: 0:21 1:10
  nearest with CPUs: 1 0
GOMAXPROCS=5:
  node 0: 3 Ps 0 2 4
  node 1: 2 Ps 1 3
END
expect cpu_only --cpus 2-3,5 <<'END'
node 1: CPUs 2-3; memory: of node 2
  distances: 1:10 2:15 0:20
  nearest with CPUs: 1 2
node 2: CPUs 5; memory: own
  distances: 1:15 2:10 0:20
  nearest with CPUs: 2 1
node 0: CPUs -; memory: own
  distances: 1:20 2:20 0:10
  nearest with CPUs: 1 2
GOMAXPROCS=3:
  node 1: 2 Ps 0 2
  node 2: 1 P 1
END
expect broken_distance --procs 2 <<'END'
taken for one node: /sys/devices/system/node/node1/distance: not one distance for each node
node 0: CPUs 0-15; caches: 0-3,8-11 4-7,12-15; memory: own
  distances: 0:10
  nearest with CPUs: 0
GOMAXPROCS=2:
  node 0: 2 Ps 0 1
END
"$lab" topology --root "$scratch/two_socket" --cpus x 2>/dev/null
(($? == 2)) || { echo '--cpus x is no usage error' && failed=1; }
"$lab" topology | grep -q '^GOMAXPROCS=[1-9]' || { echo 'this machine has no P' && failed=1; }
exit $failed
