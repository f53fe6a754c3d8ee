#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks first boots and later ones, and holds what must come of them: crashes, takeovers, bad
replies, races. Prints TAP, a line a part.

  faults.py [PART…]          a share of the cases, always the same (SEED=N: another); it fits test/all
  SHARE=1 faults.py [PART…]  all of them, as test/faults does

A failure prints SEED=N and DRAW=N; DRAW draws in the region what was drawn then. CASE=TEXT tries only the cases whose
name, as a failure prints it, has TEXT in it.
"""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

sys.dont_write_bytecode = True

from boot_checks import crashes, machines, races, replies  # noqa: E402
from boot_checks.state import GOOD  # noqa: E402
from boot_checks.tally import Tally, record, some, table  # noqa: E402

# Which share.
SEED = int(os.environ.get("SEED", 1))
# What fits test/all; of each scene at least one case.
SHARES = {"crashes": 0.03, "takeovers": 0.02, "replies": 0.02, "races": 0}
# So many cases one after another in one region, at most: what it remembers makes it slow.
CHUNK = 24


def crash_cases(world, scene):
    for point in crashes.all_points(world, scene):
        yield point, crashes.crash, point


def takeover_cases(world, scene):
    for point in crashes.all_points(world, scene):
        yield point, crashes.takeover, point


def reply_cases(world, role):
    for seconds in replies.SKEWS:
        case = role, "skew", seconds
        yield case, replies.skew, case
    for reply in replies.all_replies(world, role):
        yield reply, replies.spoil, reply


def race_cases(world, _):
    for name, case, argument in races.all_races(world):
        yield name, case, (argument,)


# Of each, what yields its cases, and of which scenes.
PARTS = {"crashes": (crash_cases, crashes.SCENES), "takeovers": (takeover_cases, ["master, first boot"]),
         "replies": (reply_cases, machines.STEPS), "races": (race_cases, [""])}


def list_cases(part, scene):
    """A scene's cases, found by boots that nothing disturbs; and what these have made."""
    with machines.World() as world:
        return list(PARTS[part][0](world, scene)), GOOD


def cases_of(part, workers):
    cases = []
    for found, good in workers.map(list_cases, *zip(*((part, scene) for scene in PARTS[part][1]))):
        cases += found
        GOOD.update(good)
    if "CASE" in os.environ:
        return [case for case in cases if os.environ["CASE"] in str(case[0])]
    share = float(os.environ.get("SHARE", SHARES[part]))
    if share < 1:  # a silence takes half a minute
        cases = [case for case in cases if "silence" not in case[0]]
    return some(cases, share, SEED)


def try_cases(part, good, cases):
    """Some of a part's, in a region of their own; returns their tally and the front's own errors."""
    GOOD.update(good)
    with machines.World() as world:
        tally = Tally(part, f"(SEED={SEED} DRAW={world.front.draw()})")
        for name, case, arguments in cases:
            tally.attempt(name, case, world, *arguments)
        return tally, world.front.bugs()


def try_part(part):
    """All of a part's, side by side: each mostly waits. Racers race each other alone."""
    tally, bugs = Tally(part), []
    side_by_side = 1 if part == "races" else os.cpu_count() + 1
    with ProcessPoolExecutor(side_by_side, initializer=machines.own_network) as workers:
        cases = cases_of(part, workers)
        size = max(1, min(CHUNK, -(-len(cases) // side_by_side)))
        chunks = [cases[at:at + size] for at in range(0, len(cases), size)]
        for tried, met in workers.map(try_cases, [part] * len(chunks), [GOOD] * len(chunks), chunks):
            tally.merge(tried)
            bugs += met
    for scene in tally.barely_met():
        print(f"# {part}, {scene}: {tally.scenes[scene]['missed']} of {tally.scenes[scene].total()} not met")
    return tally, bugs


def main():
    if os.geteuid() != 0:
        print("ok 1 - faults # SKIP needs root, for namespaces and loop devices\n1..1")
        return 0
    subprocess.run(["make", "-s", "VARIANT=effects", machines.PROGRAM.relative_to(machines.ROOT)],
                   cwd=machines.ROOT, check=True)
    machines.alone()
    asked = sys.argv[1:] or list(PARTS)
    rows, bugs, good = [], [], True
    for number, part in enumerate(asked, 1):
        tally, met = try_part(part)
        bugs += met
        good = good and tally.is_good()
        rows.append(tally.row())
        record(tally)
        print(f"{'ok' if tally.is_good() else 'not ok'} {number} - {part}: {tally.tried} tried, "
              f"nothing lost, one master", flush=True)
    for line in bugs + table(rows).splitlines():
        print(f"# {line}")
    print(f"{'not ok' if bugs else 'ok'} {len(asked) + 1} - the front met no error of its own")
    print(f"1..{len(asked) + 1}")
    return 0 if good and not bugs else 1


if __name__ == "__main__":
    sys.exit(main())
