#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks first boots and later ones, and holds what must come of them: crashes, takeovers, bad
replies, races. Prints TAP, a line a part.

  faults.py [PART…]          a share of the cases, always the same (SEED=N: another); it fits test/all
  SHARE=1 faults.py [PART…]  all of them, as test/faults does
"""

import os
import subprocess
import sys

sys.dont_write_bytecode = True

from boot_checks import crashes, machines, races, replies  # noqa: E402
from boot_checks.tally import Tally, some, table  # noqa: E402

SEED = int(os.environ.get("SEED", 1))  # which share
# What fits test/all.
SHARES = {"crashes": 0.03, "takeovers": 0.02, "replies": 0.02, "races": 0.25}


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


def try_part(world, part):
    tally = Tally(part)
    share = float(os.environ.get("SHARE", SHARES[part]))
    cases = list(PARTS[part](world))
    if share < 1:  # a silence takes half a minute
        cases = [case for case in cases if "silence" not in case[0]]
    world.scene = ""
    for name, case, arguments in some(cases, share, SEED):
        tally.attempt(name, case, world, *arguments)
    return tally


def main():
    if os.geteuid() != 0:
        print("ok 1 - faults # SKIP needs root, for namespaces and loop devices\n1..1")
        return 0
    subprocess.run(["make", "-s", "VARIANT=effects", machines.PROGRAM.relative_to(machines.ROOT)],
                   cwd=machines.ROOT, check=True)
    machines.alone()
    asked = sys.argv[1:] or list(PARTS)
    tallies = []
    bugs = []
    for number, part in enumerate(asked, 1):
        with machines.World() as world:  # a region of its own: what it remembers makes it slow
            tally = try_part(world, part)
            bugs += world.front.bugs()
        tallies.append(tally)
        print(f"{'ok' if tally.is_good() else 'not ok'} {number} - {part}: {tally.tried} tried, "
              f"nothing lost, one master", flush=True)
    for line in bugs + table(tallies).splitlines():
        print(f"# {line}")
    print(f"{'not ok' if bugs else 'ok'} {len(asked) + 1} - the front met no error of its own")
    print(f"1..{len(asked) + 1}")
    return 0 if not bugs and all(tally.is_good() for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
