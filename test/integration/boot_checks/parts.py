# SPDX-License-Identifier: Apache-2.0
"""Breaks first boots and later ones, and counts what came of them: the cases of test_crashes.py, test_takeovers.py,
test_replies.py and test_races.py.

A share of the cases is tried, always the same (SEED=N: another), which fits test/all; SHARE=1: all, as test/faults does.
A failure prints SEED=N and DRAW=N; DRAW draws in the region what was drawn then. CASE=TEXT tries only the cases whose
name, as a failure prints it, has TEXT in it.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from . import crashes, machines, races, replies
from .state import GOOD
from .tally import Tally, record, scene_of, some, table

# Which share.
SEED = int(os.environ.get("SEED", 1))
# What fits test/all; of each scene at least one case.
SHARES = {"crashes": 0.03, "takeovers": 0.02, "replies": 0.02, "races": 0}
# So many cases one after another in one region, at most: what it remembers makes it slow.
CHUNK = 24
# All the cases take hours.
MARKS = [pytest.mark.needs_root, pytest.mark.takes_minutes,
         *([pytest.mark.timeout(0)] if "SHARE" in os.environ else [])]


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


# Of each part: what yields its cases, and from what it does so for each of its scenes.
PARTS = {
    "crashes": (crash_cases, {scene: scene for scene in crashes.SCENES}),
    "takeovers": (takeover_cases, {"master, first boot": "master, first boot"}),
    "replies": (reply_cases, {"master": "master", "index": "master", "node": "node"}),
    "races": (race_cases, dict.fromkeys(races.SCENES, "")),
}


def scenes(part):
    return list(PARTS[part][1])


def list_cases(part, source):
    """A source's cases, found by boots that nothing disturbs; and what these have made."""
    with machines.World() as world:
        return list(PARTS[part][0](world, source)), GOOD


def cases_of(part, wanted, workers):
    """Those of the scenes that are wanted."""
    sources = dict.fromkeys(PARTS[part][1][scene] for scene in wanted)
    cases = []
    for found, good in workers.map(list_cases, [part] * len(sources), sources):
        cases += found
        GOOD.update(good)
    unknown = {scene_of(name) for name, *_ in cases} - PARTS[part][1].keys()
    assert not unknown, f"scenes that no test asks for: {unknown}"
    cases = [case for case in cases if scene_of(case[0]) in wanted]
    if "CASE" in os.environ:
        cases = [case for case in cases if os.environ["CASE"] in str(case[0])]
        assert cases, f"no case of {part} has {os.environ['CASE']!r} in its name"
        return cases
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


def try_part(part, wanted):
    """Tries the cases of those scenes, side by side: each mostly waits. Racers race each other alone. Returns their
    tally and the front's own errors. A part that is not tried whole has rows of its own in the table."""
    ordered = [scene for scene in scenes(part) if scene in wanted]
    tally, bugs = Tally(part if ordered == scenes(part) else ", ".join([part, *ordered])), []
    side_by_side = 1 if part == "races" else os.cpu_count() + 1
    with ProcessPoolExecutor(side_by_side, multiprocessing.get_context("spawn"),
                             initializer=machines.own_network) as workers:
        try:
            cases = cases_of(part, wanted, workers)
            size = max(1, min(CHUNK, -(-len(cases) // side_by_side)))
            chunks = [cases[at:at + size] for at in range(0, len(cases), size)]
            for tried, met in workers.map(try_cases, [part] * len(chunks), [GOOD] * len(chunks), chunks):
                tally.merge(tried)
                bugs += met
        except BaseException:  # a timeout, say, which does not wait for them
            for worker in multiprocessing.active_children():
                worker.kill()
            raise
    record(tally)
    print(table([tally.row()]))
    return tally, bugs


def assert_good(tally, scene):
    if "CASE" in os.environ and not tally.scenes[scene]:
        pytest.skip("has no such CASE")
    wrong = tally.wrong(scene)
    assert not wrong, "\n".join(wrong)
