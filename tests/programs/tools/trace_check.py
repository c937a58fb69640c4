#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Check the trace of tests/programs/trace.c. usage: trace_check.py FILE"""

import collections
import json
import re
import sys

WORKERS = 100
YIELDS = 10
failures = 0


def check(holds, words):
    global failures
    if not holds:
        failures += 1
        print(f"FAILED: {words}")


def ns(microseconds):
    return round(microseconds * 1000)


with open(sys.argv[1], encoding="utf-8") as file:
    trace = json.load(file)
events = trace["traceEvents"]
check(trace["otherData"]["dropped"] == "0", "nothing is dropped")

# ---- form ----------------------------------------------------------------------------------------

slices = collections.defaultdict(list)  # by track: (begin, end, name, args)
for event in events:
    check(event["ph"] in "XMCisf", f"phase {event['ph']}")
    if event["ph"] == "X":
        begin = ns(event["ts"])
        slices[event["tid"]].append(
            (begin, begin + ns(event["dur"]), event["name"], event.get("args", {}), event["cat"]))

named = {event["tid"] for event in events if event["ph"] == "M"}
check(named >= set(slices), "every track has a name")

for track, found in slices.items():
    stack = []
    for begin, end, name, _, _ in sorted(found, key=lambda s: (s[0], -s[1])):
        while stack and stack[-1][0] <= begin:
            stack.pop()
        check(not stack or end <= stack[-1][0],
              f"track {track}: {name} at {begin} ends after {stack and stack[-1]}")
        stack.append((end, name))

runs = collections.defaultdict(list)  # by goroutine: (begin, end, track)
stops = collections.Counter()  # by function and reason
for track, found in slices.items():
    for begin, end, name, args, category in found:
        if category == "goroutine":
            function, number = re.fullmatch(r"(\w+) (\d+)", name).groups()
            check(int(number) == args["g"], name)
            stops[function, args["stop"]] += 1
            runs[args["g"]].append((begin, end, track))
for goroutine, found in runs.items():
    found.sort()
    for one, two in zip(found, found[1:]):
        check(one[1] <= two[0], f"goroutine {goroutine} is in two places: {one} {two}")

begun = {}
for event in events:
    if event["ph"] == "s":
        check(event["id"] not in begun, "two arrows of one number")
        begun[event["id"]] = event
for event in events:
    if event["ph"] == "f":
        check(ns(begun[event["id"]]["ts"]) <= ns(event["ts"]), "an arrow into the past")
        check(any(begin == ns(event["ts"]) and category == "goroutine"
                  for begin, _, _, _, category in slices[event["tid"]]), "an arrow to nobody")

# ---- what has happened ---------------------------------------------------------------------------

made = sum(event["ph"] == "i" and event["name"] == "go" for event in events)
check(made == WORKERS + 1 + 3, f"{made} goroutines made")
check(stops["worker", "end"] == WORKERS, "every worker ends once")
check(stops["worker", "chan receive"] == WORKERS, "and waits once")
check(stops["worker", "yield"] <= WORKERS * YIELDS, "and yields no more than it does")
check(stops["worker", "yield"] > WORKERS * YIELDS / 2, "nor much less: alone it does not stop")
check(stops["looper", "end"] == 2 and stops["caller", "end"] == 1, "so do the others")
check(stops["sleeper", "sleep"] == 1, "one sleeps")
check(stops["main_goroutine", "the trace ends"] == 1, "the first one ends it")
check(stops["looper", "preempted"] + stops["looper", "parked with its thread"] >= 1,
      "a loop is stopped")
calls = sum(category == "syscall" for found in slices.values() for _, _, _, _, category in found)
check(calls == 5, f"{calls} declared calls")
procs = [event["args"]["Ps"] for event in events if event["ph"] == "C"]
check(procs == [2, 3, 2], f"GOMAXPROCS: {procs}")
check(sum(event["name"] == "the world is stopped" for event in events) == 2,
      "two stops of the world, the trace's own among them")
# Each run but the first one of goroutine 1, and those after a yield or a preemption, has its arrow.
ended = sum(event["ph"] == "f" for event in events)
woken = WORKERS * 2 + 4 + stops["sleeper", "sleep"]
check(ended >= woken, f"{ended} arrows, not {woken}")
sys.exit(failures > 0)
