#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Checks the models of the scheduler's protocols with spin.
#
#	run.sh [scratch folder, default build/tests/model]
#
# Each model must hold in every size listed here, its state space searched to the end. Each mutation
# in a model (a macro MUT_*, which breaks the protocol in one place) must make an assertion fail:
# a model that cannot see a missing barrier shows nothing by passing. Mutations are searched breadth
# first, which finds the shortest counterexample, mostly at once.
#
# To read a counterexample: cd into the case's folder below the scratch folder, then
#	spin -t -p -g model.pml

set -u

models=$(cd "$(dirname "$0")" && pwd)
scratch=${1:-$models/../../build/tests/model}
jobs=2
seconds=80		# of CPU time, for one case
megabytes=1000		# the same

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

# check <model> <mutation, or -> <size: NAME or NAME=VALUE, ...>; in the case's folder.
check()
{
	local model=$1 mutation=$2 what problem size search=(-O1)
	shift 2
	what="$model${*:+ $*}"
	if [ "$mutation" != - ]; then
		what="$what $mutation"
		set -- "$@" "$mutation"
		search=(-O0 -DBFS)	# most of its time goes into the compiler
	fi
	{
		for size; do
			echo "#define ${size/=/ }"
		done >model.pml
		# pan.c stores through unchecked indices as far as gcc can see: -w
		cat "$models/$model.pml" >>model.pml &&
		spin -a model.pml &&
		gcc "${search[@]}" -w -DSAFETY -DCOLLAPSE -DMEMLIM="$megabytes" -o pan pan.c
	} >out 2>&1 || {
		echo "FAILED $what: $(tail -n 1 out)"
		return
	}
	(ulimit -t "$seconds" && exec ./pan -m200000) >out 2>&1
	if [ "$mutation" = - ]; then
		problem=$(why_not_complete)
		if [ -z "$problem" ]; then
			echo "ok $what"
		else
			echo "FAILED $what: $problem"
		fi
	elif grep -q '^pan:1: assertion violated' out; then
		echo "ok $what: found"
	else
		echo "FAILED $what: not found"
	fi
}

# start <model> <mutation, or -> <size>: starts a case when one of the others has ended.
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

# holds <model> <size>
holds()
{
	start "$1" - "${@:2}"
}

# breaks <model> <size> -- <mutations, without MUT_>
breaks()
{
	local model=$1 size=() mutation
	shift
	while [ "$1" != -- ]; do
		size+=("$1")
		shift
	done
	shift
	for mutation; do
		start "$model" "MUT_$mutation" "${size[@]}"
	done
}

holds parking NM=3 NP=3 NT=2 PLENTY
holds parking NM=3 NP=2 NT=2 PLENTY MEMBARRIER
holds parking NM=2 NP=2 NT=2
holds parking NM=3 NP=3 NT=1
holds parking NM=3 NP=2 NT=1 FAILURES=1
holds parking NM=2 NP=2 NT=1 REFILL
holds parking NM=2 NP=2 NT=1 INJECT
holds parking NM=2 NP=3 NT=1 WATCH
breaks parking NM=2 NP=2 NT=2 -- SUBMIT_NO_BARRIER PARK_NO_BARRIER UNSPIN_AFTER_LOOKING \
	LAST_LOOK_ONLY_IF_SPINNING TAKE_GLOBAL_NO_WAKEP RESETSPINNING_NO_LOOK \
	GIVE_UP_NO_LOOK RETIRE_WITHOUT_LOOKING RETIRE_BY_NEXTP RETIRE_UNCOUNTED
breaks parking NM=2 NP=2 NT=3 -- UNSPIN_AFTER_UNLOCK
breaks parking NM=2 NP=2 NT=2 MEMBARRIER -- MEMBARRIER_IS_A_FENCE
breaks parking NM=2 NP=2 NT=1 REFILL -- PLACE_NO_LOOK PLACE_NO_SECOND_LOOK GIVE_UP_IGNORES_SPARES
breaks parking NM=2 NP=2 NT=2 FAILURES=1 -- START_FAILS_SILENTLY
breaks parking NM=3 NP=3 NT=2 LATE -- WANTED_DOES_NOT_SPIN
breaks parking NM=2 NP=2 NT=1 WATCH -- LAST_LOOK_TELLS_NOBODY
breaks parking NM=2 NP=3 NT=2 WATCH -- RESETSPINNING_TELLS_NOBODY GIVE_UP_TELLS_NOBODY

holds alone TAKES=4 VISITS=3
breaks alone -- FLAG NO_WORD GONE_TOO_EARLY WORD_FIRST

holds waitgroup
holds waitgroup WAITERS=1 DONES=3
breaks waitgroup -- LOCK_ALTHOUGH_ZERO WITHDRAW_WITHOUT_LOCK WAKE_FIRST ZERO_IS_ENOUGH \
	WITHDRAW_UNCOUNTS FINISH_BY_STORE RELEASE_WITHOUT_LOCK
breaks waitgroup WAITERS=1 -- WITHDRAW_GOES_ON

# Which one shows needs a full ring, an empty one, a low threshold, or the watcher.
holds runq FILL=4 NEW=1
holds runq FILL=4 NEW=1 SAME_EPOCH
holds runq FILL=4 NEW=1 NEWEST=1
holds runq FILL=2 OWN=1 NEWEST=1
holds runq FILL=4 OWN=0 NEW=1 TSO
holds runq FILL=3 OWN=0 NEW=1 NEWEST=1 TSO
holds runq FILL=0 NEW=3 GETS=3 WATCHER
holds runq FILL=1 OWN=0 NEWEST=1 TSO WATCHER
breaks runq FILL=4 NEW=1 -- PUT_TAIL_FIRST GET_NO_CAS GRAB_NO_CAS GRAB_NO_BOUND GRAB_SWAP_FIRST \
	PUTSLOW_NO_CAS NEWEST_NO_CAS NEWEST_TAIL_AFTER_SWAP NEWEST_NO_RESTORE
breaks runq FILL=4 NEW=1 NEWEST=1 -- NEWEST_SAME_EPOCH GRAB_IGNORES_EPOCH
breaks runq FILL=4 NEW=1 NEWEST=1 TSO -- NEWEST_SWAP_DRAINS_NOTHING
breaks runq FILL=2 OWN=1 -- GET_RUNNEXT_NO_CAS GRAB_RUNNEXT_NO_CAS
breaks runq FILL=4 OWN=0 -- GRAB_PUBLISH_FIRST
breaks runq FILL=0 WATCHER -- EMPTY_NO_SECOND_LOOK

holds syscall RETAKES=0 ONE_CALLER
holds syscall NO_RESIZE
holds syscall NO_RESIZE RETAKES=0 MEMBARRIER
holds syscall NO_STOP GROW
holds syscall NO_STOP GROW MEMBARRIER
holds syscall NCALLS=0 GROW
holds syscall NCALLS=2 NO_STOP NO_RESIZE
breaks syscall NO_RESIZE RETAKES=0 -- ENTER_DOES_NOT_LOOK EXIT_NO_CAS STOP_LOOKS_ONCE
breaks syscall NO_RESIZE RETAKES=0 MEMBARRIER -- STOP_NO_BARRIER
holds syscall NO_RESIZE RETAKES=0 GIVE_UP
holds syscall NO_RESIZE RETAKES=0 GIVE_UP MEMBARRIER
holds syscall RETAKES=0 ONE_CALLER GIVE_UP
breaks syscall NO_RESIZE RETAKES=0 GIVE_UP -- STOP_AGAIN_COUNTS_ON
breaks syscall NO_STOP NO_RESIZE -- EXIT_KEEPS_M
breaks syscall RETAKES=0 -- DRAIN_IGNORES_STOP SHRINK_IGNORES_STOP
breaks syscall RETAKES=0 GROW -- GROW_IGNORES_STOP
breaks syscall NO_STOP RETAKES=0 -- SHRINK_ASKS_ONCE
breaks syscall NO_STOP GROW MEMBARRIER -- SHRINK_NO_BARRIER

holds timers
holds timers MEMBARRIER LATEST=1
holds timers WATCH
holds timers WATCH MEMBARRIER
breaks timers -- NETPOLL_NO_BARRIER NETPOLL_COVERS_NOTHING SYSMON_DROPS_TIMERS \
	DIRECT_SWITCH_UNCOVERED OTHER_P_UNCOVERED UNLOCK_NO_BARRIER
breaks timers WATCH -- WATCHING_HIDES_TIMERS PRODUCER_NO_BARRIER
breaks timers WATCH MEMBARRIER -- MEMBARRIER_IS_A_FENCE SYSMON_NO_BARRIER

holds wait
holds wait NWAKES=2 NWAITS=1
holds wait NO_DEADLINE NWAKES=0
breaks wait -- ENDS_BEFORE_PARKED PARKED_BEFORE_UNLOCKF NOT_CALLED_OFF WAKER_DOES_NOT_CLAIM \
	COPIES_LATE MOVES_THROUGH_NOWHERE
breaks wait NO_DEADLINE NWAKES=0 -- WAIT_NO_BARRIER CANCEL_NO_BARRIER

holds sysmon_sleep
holds sysmon_sleep MEMBARRIER
holds sysmon_sleep NPRODUCERS=1 NDEADLINES=3
breaks sysmon_sleep -- PRODUCER_NO_BARRIER SYSMON_NO_BARRIER PUBLISH_AFTER_SCAN ARM_UNLOCKED \
	LOWER_NO_SECOND_LOOK
breaks sysmon_sleep MEMBARRIER -- MEMBARRIER_IS_A_FENCE

holds resize BOTH SPAWNS=1
holds resize BOTH FULL SPAWNS=1
holds resize GROW SPAWNS=1 TIMERS=0
holds resize GROW SPAWNS=0
holds resize GROW BOTH SPAWNS=0 TIMERS=0 CALLS=1
holds resize SPAWNS=0 CALLS=1
breaks resize BOTH -- NO_GRACE_PERIOD STEAL_SKIPS_DRAINING SHRINK_DROPS_DRAINING DRAIN_WAKES_NOBODY \
	SHRINK_TELLS_NOBODY SYSMON_ASKS_ONCE
breaks resize BOTH FULL -- TRIM_IGNORES_TIMERS
breaks resize BOTH GROW SPAWNS=1 TIMERS=0 -- GROW_PUBLISHES_LATE GROW_TELLS_NOBODY \
	SYSMON_CLEARS_LATE

holds chan WITH_RECV WITH_SEND_A
holds chan WITH_RECV WITH_SEND_A CAP=1
holds chan WITH_SELECT WITH_RECV
holds chan WITH_SELECT WITH_SEND_A WITH_SEND_B
holds chan WITH_SELECT WITH_SELECT2
holds chan WITH_SELECT2 WITH_RECV WITH_SEND_A CAP=1
breaks chan WITH_RECV WITH_SEND_A -- CLAIM_NO_CAS CLOSED_WITHOUT_LOCK UNLOCK_BEFORE_SWITCH \
	TIMEOUT_LEAVES_ENTRY CLOSE_FORGETS_SENDERS
breaks chan WITH_SELECT WITH_RECV -- CLOSE_WAKES_ONE
breaks chan WITH_SELECT WITH_SEND_A WITH_SEND_B -- REMOVE_WITHOUT_LOCK LOSERS_STAY
breaks chan WITH_SELECT WITH_SELECT2 -- LOCK_IN_ANY_ORDER

holds chanlock ROUNDS=2
holds chanlock OTHERS=1 ROUNDS=3
holds chanlock ROUNDS=2 WITHOUT_MEMBARRIER
holds chanlock OTHERS=1 ROUNDS=3 ADOPT
breaks chanlock OTHERS=1 ROUNDS=2 ADOPT -- ADOPT_LATE
breaks chanlock ROUNDS=1 -- SLEEPER_NOT_COUNTED SLEEPER_NO_BARRIER REVOKE_NOT_COUNTED \
	REVOKE_NO_BARRIER MEMBARRIER_IS_A_FENCE OWNER_LOOKS_ONCE BACK_OUT_TELLS_NOBODY

holds mutex NL=2 NOPS=3 NTIMED=2
holds mutex NL=3 NOPS=1 NTIMED=3
breaks mutex NL=3 NOPS=1 NTIMED=2 -- GIVE_UP_KEEPS_WOKEN JOIN_UNSEEN JOIN_KEEPS_WOKEN \
	LEAVE_FORGETS_OTHERS POP_CLAIMS_NOTHING PASS_ON_FORGETS_OTHERS GRANT_LETS_GO

holds revoke
holds revoke MEMBARRIER
breaks revoke -- LOOK_BEFORE_LOCKS ENTER_KEEPS_REVOKING LOCKS_DO_NOT_MATTER ANY_P NO_CAS LEFT_OVER
breaks revoke MEMBARRIER -- NO_BARRIER

holds parked NG=2 NS=1 NP=1
holds parked NG=3 NS=1 NP=1 PREEMPTS=1
holds parked NG=2 NS=1 NP=2
holds parked NG=3 NS=0 NP=2 PREEMPTS=1
breaks parked NG=2 NS=1 NP=1 -- WAKE_BEFORE_NEXTP PUSH_WITH_THE_P NO_KICK FORGETS_WAKEUP

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
for model in "$models"/*.pml; do
	name=$(basename "$model" .pml)
	while read -r mutation; do
		if [[ " ${cases[*]} " != *"/${name}_$mutation"* ]]; then
			echo "FAILED $name $mutation: not listed here"
			failed=$((failed + 1))
		fi
	done < <(grep -E '^#(el)?if' "$model" | grep -oE 'MUT_[A-Z_]+' | sort -u)
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
