#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Checks the models of the scheduler's protocols with spin.
#
#	run.sh [scratch folder, default build/tests/model]
#
# Each model must hold in every size listed here, its state space searched to the end. Each mutation
# in a model (a macro MUT_*, which breaks the protocol in one place) must make an assertion fail:
# a model that cannot see a missing barrier shows nothing by passing.
#
# To read a counterexample: cd into the case's folder below the scratch folder, then
#	spin -t -p -g model.pml

set -u

models=$(cd "$(dirname "$0")" && pwd)
scratch=${1:-$models/../../build/tests/model}
jobs=2
seconds=80		# for one case

if ! command -v spin >/dev/null; then
	echo "skipped: spin is not installed (apt-get install spin)"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi
mkdir -p "$scratch" || exit 1
scratch=$(cd "$scratch" && pwd)
cases=()

# Prints what went wrong in a search that had to end without an error, or nothing.
why_not_complete()
{
	if grep -q '^pan:1:' out; then
		grep -m 1 '^pan:1:' out
	elif ! grep -q 'errors: 0$' out; then
		echo "pan did not finish: $(tail -n 1 out)"
	else
		grep -m 1 -i -e 'too small' -e 'not completed' -e 'truncated' -e 'out of memory' out
	fi
}

# check <model> <mutation, or -> <size: -D options>; in the case's folder.
check()
{
	local model=$1 mutation=$2 what problem
	shift 2
	what=$model/$mutation
	if [ "$mutation" = - ]; then
		what=$model${*:+ ${*#-D}}
	else
		set -- "$@" "-D$mutation"
	fi
	{
		# pan.c stores through unchecked indices as far as gcc can see: -w
		cp "$models/$model.pml" model.pml &&
		spin -a "$@" model.pml &&
		gcc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=1000 -o pan pan.c
	} >out 2>&1 || {
		echo "FAILED $what: $(tail -n 1 out)"
		return
	}
	timeout "$seconds" ./pan -m20000 >out 2>&1
	if [ "$mutation" = - ]; then
		problem=$(why_not_complete)
		if [ -z "$problem" ]; then
			echo "ok $what"
		else
			echo "FAILED $what: $problem"
		fi
	elif grep -q '^pan:1: assertion violated' out; then
		echo "ok $what found"
	else
		echo "FAILED $what: not found"
	fi
}

# Starts a case when one of the others has ended.
start()
{
	local folder
	folder=$scratch/$(printf '%s_' "$@")
	folder=${folder%_}
	cases+=("$folder")
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	mkdir -p "$folder"
	(cd "$folder" && check "$@" >result) &
}

# mutations <model> <size, one word each> -- <mutations>
mutations()
{
	local model=$1 size=() mutation
	shift
	while [ "$1" != -- ]; do
		size+=("$1")
		shift
	done
	shift
	for mutation; do
		start "$model" "$mutation" "${size[@]}"
	done
}

mutations_of()
{
	grep -E '^#(el)?if' "$models/$1.pml" | grep -oE 'MUT_[A-Z_]+' | sort -u
}

mapfile -t all < <(mutations_of parking | grep -v MEMBARRIER)
start parking - -DNM=3 -DNP=2 -DNT=2
start parking - -DNM=3 -DNP=3 -DNT=2
start parking - -DNM=2 -DNP=3 -DNT=3
start parking - -DNM=3 -DNP=2 -DNT=2 -DMEMBARRIER
mutations parking -DNM=2 -DNP=2 -DNT=3 -- "${all[@]}"
mutations parking -DNM=2 -DNP=2 -DNT=3 -DMEMBARRIER -- MUT_MEMBARRIER_IS_A_FENCE

# Which one shows needs a full ring, an empty one, or the watcher.
start runq - -DFILL=4
start runq - -DFILL=4 -DOWN=0
start runq - -DFILL=1 -DNEW=3 -DGETS=3 -DWATCHER
mapfile -t all < <(mutations_of runq | grep -v -e GRAB_PUBLISH_FIRST -e EMPTY_NO_SECOND_LOOK)
mutations runq -DFILL=4 -- "${all[@]}"
mutations runq -DFILL=4 -DOWN=0 -- MUT_GRAB_PUBLISH_FIRST
mutations runq -DFILL=0 -DWATCHER -- MUT_EMPTY_NO_SECOND_LOOK

mapfile -t all < <(mutations_of sysmon_sleep | grep -v MEMBARRIER)
start sysmon_sleep -
start sysmon_sleep - -DNDEADLINES=1 -DMEMBARRIER
mutations sysmon_sleep -- "${all[@]}"
mutations sysmon_sleep -DMEMBARRIER -- MUT_MEMBARRIER_IS_A_FENCE

wait
passed=0
failed=0
for folder in "${cases[@]}"; do
	cat "$folder/result"
	if grep -q '^ok ' "$folder/result"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
