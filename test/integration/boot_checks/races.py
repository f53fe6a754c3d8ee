# SPDX-License-Identifier: Apache-2.0
"""Masters that begin at the same moment: of one volume, of a volume each, with a store that knows no
condition, and with one that dies. There is one of them, one authority, and the others name it."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from .crashes import HARMLESS, first_boot, holder, names, points
from .machines import EXITS, KILLED, STATUSES, STEPS
from .state import check_kept, check_secrets, check_whole, keep, learn, plant_objects
from .tally import SecondMaster
from region_checks.harness import wait

SCENES = ("one volume", "a volume each", "no conditions", "one of them dies", "the winner dies")
TRIES = 5
RACERS = 20 if float(os.environ.get("SHARE", "0")) >= 1 else 6
UNTIL_SECRETS = STEPS["master"][:STEPS["master"].index("secrets") + 1]
PUT = "http s3 PutObject"
CLAIM = 3  # of a first boot's writes, after the record of the volume's formatting; the last is the index


def authorities(world):
    return [key for key in world.keys() if key.endswith("/ca.key")]


def wrote(world, machine):
    return {name for name, entry in world.front.control(
        "GET", f"/calls?instance={machine.id}")["by_action"].items() if entry["mutating"]}


def begin(world, volumes):
    """As many masters as volumes, in an empty region; and what there is."""
    world.clear()
    plant_objects(world, used=False)
    machines = [world.machine(volume_id=volume) for volume in volumes]
    return machines, keep(world, machines[0])


def of_their_own(world):
    return [world.front.new_volume() for _ in range(RACERS)]


def race(runs, wanted, lost, ended=False):
    """The outcomes of all. One that waits runs on until another has ended and it is lost(), by what it says of
    itself."""
    decided = threading.Event()
    if ended:
        decided.set()

    def follow(run):
        outcome = run[0].follow(run[1], wanted, lambda seen: decided.is_set() and lost(seen))
        decided.set()
        return outcome
    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(follow, runs))


def names_claimant(seen):
    return "making the secrets" in seen.waits.get("secrets", "")


def the_winner(machines, outcomes):
    winners = [machine for machine, outcome in zip(machines, outcomes) if outcome.done]
    if len(winners) != 1:
        raise SecondMaster(f"{len(winners)} of {len(machines)} have won: {outcomes}")
    return winners[0]


def check_status(outcome):
    """Ended by itself with its error's class, or by an interruption while it waits."""
    error = outcome.errors.get("secrets") if outcome.states["secrets"] == "failed" else None
    assert outcome.status in STATUSES or error and outcome.status == EXITS[error["class"]], outcome


def check_named(outcome, winner):
    """It waits for the winner's secrets, or has refused to go on since there are secrets for the winner's volume."""
    assert not outcome.done, outcome
    check_status(outcome)
    if outcome.states["secrets"] == "failed":
        error = outcome.errors["secrets"]
        assert error["class"] == "unsafe" and f"for volume {winner.volume_id}" in error["message"], (winner.id, error)
    else:
        assert f"instance {winner.id} " in outcome.waits["secrets"], (winner.id, outcome.waits)


def of_one_volume(world, _):
    """One gets it and boots; the others write nothing anywhere, for as long as it lives."""
    machines, before = begin(world, RACERS * [""])
    outcomes = race([(machine, machine.start()) for machine in machines], STEPS["master"],
                    lambda seen: holder(world) in seen.waits.get("volume-attach", ""))
    winner = the_winner(machines, outcomes)
    for machine, outcome in zip(machines, outcomes):
        if machine is winner:
            check_whole(world, winner, before, outcome)
            continue
        if wrote(world, machine) - HARMLESS:
            raise SecondMaster(f"{machine.id} lost, and {wrote(world, machine)}")
        assert names(outcome.waits, winner) and outcome.status in STATUSES, (winner.id, outcome)
    return "converged"


def of_a_volume_each(world, kill):
    """Whoever has the claim makes the secrets. One that dies before it has the claim is none of them. On a slow machine
    another may have made them before the one that is to die has come so far: then once more."""
    for _ in range(TRIES):
        if race_for_the_claim(world, kill):
            return "converged"
    return "missed"


def race_for_the_claim(world, kill):
    """Returns whether the one that was to be killed was."""
    machines, before = begin(world, of_their_own(world))
    runs = [(machine, machine.start(kill=kill if machine is machines[0] else "")) for machine in machines]
    doomed = runs.pop(0) if kill else None
    died = doomed[0].follow(doomed[1], UNTIL_SECRETS) if kill else None
    outcomes = race(runs, UNTIL_SECRETS, names_claimant)
    winner = the_winner([machine for machine, _ in runs], outcomes)
    for (machine, _), outcome in zip(runs, outcomes):
        if machine is not winner:
            check_named(outcome, winner)
    if len(authorities(world)) != 1:
        raise SecondMaster(f"{authorities(world)}")
    check_kept(before, keep(world, winner))
    check_secrets(world, winner)
    if kill and died.status != KILLED:
        check_named(died, winner)
        return False
    return True


def the_winner_dies(world, kill):
    """One has the claim when the others begin, and dies: they all stop and name it, and nobody goes on in its place
    while EC2 knows it."""
    machines, before = begin(world, of_their_own(world))
    winner, *others = machines
    running = winner.start(kill=kill)
    wait(lambda: running.poll() is not None or f"{world.seed['prefix']}/claim" in world.keys(), "a claim")
    runs = [(machine, machine.start()) for machine in others]
    died = winner.follow(running, UNTIL_SECRETS)
    assert died.status == KILLED, died
    for outcome in race(runs, UNTIL_SECRETS, names_claimant, ended=True):
        check_named(outcome, winner)
    if len(authorities(world)) > 1 or json.loads(world.get("claim"))["instance_id"] != winner.id:
        raise SecondMaster(f"{authorities(world)}, {world.get('claim')}")
    check_kept(before, keep(world, winner))
    return "refused"


def without_conditions(world, _):
    """The store takes every write: that is found out before there is anything to lose."""
    machines, before = begin(world, of_their_own(world))
    with world.front.settings(s3={"ignore_if_none_match": True}):
        outcomes = race([(machine, machine.start()) for machine in machines], UNTIL_SECRETS, names_claimant)
    if authorities(world) or any(outcome.done for outcome in outcomes):
        raise SecondMaster(f"{authorities(world)}")
    refused = [outcome.errors["secrets"] for outcome in outcomes if outcome.states["secrets"] == "failed"]
    assert refused and all(e["class"] == "config" and "If-None-Match" in e["message"] for e in refused), refused
    for outcome in outcomes:
        waits = outcome.waits.get("secrets", "")
        check_status(outcome)
        assert outcome.states["secrets"] == "failed" or any(f"instance {m.id} " in waits for m in machines), outcome
    check_kept(before, keep(world, machines[0]))
    return "refused"


def all_races(world):
    """((kind, which), case, argument); one dies at each of the steps of making secrets."""
    machine = first_boot(world, "master")
    log = world.folder / "effects"
    assert machine.run(log=log).done
    learn(world, machine)
    last = max(nth for name, nth in points(log) if name == PUT)
    yield ("one volume", ""), of_one_volume, ""
    yield ("a volume each", ""), of_a_volume_each, ""
    yield ("no conditions", ""), without_conditions, ""
    for nth in (1, 2, CLAIM, CLAIM + 1, CLAIM + 2, last // 2, last - 1, last):
        for when in ("before", "after"):
            has_claim = nth > CLAIM or (nth, when) == (CLAIM, "after")
            kind, case = ("the winner dies", the_winner_dies) if has_claim else ("one of them dies", of_a_volume_each)
            yield (kind, f"{when} put {nth} of {last}"), case, f"{when}:{nth}:{PUT}"
