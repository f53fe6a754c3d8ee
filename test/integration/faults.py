#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks first boots and later ones, and holds what must come of them: crashes, takeovers, bad
replies, races. Prints TAP, a line a part.

  faults.py [PART…]          a share of the cases, always the same (SEED=N: another); it fits test/all
  SHARE=1 faults.py [PART…]  all of them, as test/faults does

DRAW=N, which a failure prints, draws in the region what was drawn then.
"""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

sys.dont_write_bytecode = True

from boot_checks import crashes, machines, races, replies  # noqa: E402
from boot_checks.tally import Tally, record, some, table  # noqa: E402

# Which share; in this one are all races but those whose winner dies.
SEED = int(os.environ.get("SEED", 199))
# What fits test/all.
SHARES = {"crashes": 0.03, "takeovers": 0.02, "replies": 0.02, "races": 0.25}
# So many cases one after another in one region: what it remembers makes it slow.
CHUNK = 24


def crash_cases(world):
    for point in crashes.all_points(world):
        yield point, crashes.crash, point


def takeover_cases(world):
    for point in crashes.all_points(world):
        if point[0] == "master, first boot":
            yield point[1:], crashes.takeover, point[1:]


def reply_cases(world):
    for seconds in replies.SKEWS:
        for role in machines.STEPS:
            yield (role, "skew", seconds), replies.skew, (role, seconds)
    for reply in replies.all_replies(world):
        yield reply, replies.spoil, reply


def race_cases(_):
    for name, case, argument in races.all_races():
        yield name, case, (argument,)


PARTS = {"crashes": crash_cases, "takeovers": takeover_cases, "replies": reply_cases,
         "races": race_cases}


def cases_of(part):
    share = float(os.environ.get("SHARE", SHARES[part]))
    with machines.World() as world:
        cases = list(PARTS[part](world))
    if share < 1:  # a silence takes half a minute
        cases = [case for case in cases if "silence" not in case[0]]
    return some(cases, share, SEED)


def try_cases(part, cases):
    """Some of a part's, in a region of their own; returns their tally and the front's own errors."""
    with machines.World() as world:
        tally = Tally(part, f"(SEED={SEED} DRAW={world.front.draw()})")
        for name, case, arguments in cases:
            tally.attempt(name, case, world, *arguments)
        return tally, world.front.bugs()


def try_part(part):
    """All of a part's, side by side: each mostly waits. Racers race each other alone."""
    tally, bugs = Tally(part), []
    cases = cases_of(part)
    chunks = [cases[at:at + CHUNK] for at in range(0, len(cases), CHUNK)]
    workers = 1 if part == "races" else os.cpu_count() + 1
    with ProcessPoolExecutor(workers, initializer=machines.own_network) as pool:
        for tried, met in pool.map(try_cases, [part] * len(chunks), chunks):
            tally.add(tried.count)
            bugs += met
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
