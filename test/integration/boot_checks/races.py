# SPDX-License-Identifier: Apache-2.0
"""Masters that begin at the same moment: of one volume, of a volume each, with a store that knows no
condition, and with a winner that dies. There is one of them, and one authority."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from .crashes import HARMLESS, holder
from .machines import STEPS
from .state import Kept, check_whole
from .tally import SecondMaster

RACERS = 20 if float(os.environ.get("SHARE", "0")) >= 1 else 6
UNTIL_SECRETS = STEPS["master"][:STEPS["master"].index("secrets") + 1]
# What a master may not touch unless it is the one.
ADDRESSES = {"ec2:AssociateAddress", "ec2:AssignPrivateIpAddresses"}


def authorities(world):
    return [key for key in world.keys() if key.endswith("/ca.key")]


def wrote(world, machine):
    return {name for name, entry in world.front.control(
        "GET", f"/calls?instance={machine.id}")["by_action"].items() if entry["mutating"]}


def race(world, machines, wanted, named, kill=""):
    """The outcomes of all of them. One that waits runs until another has ended and it says what named() knows."""
    decided = threading.Event()
    runs = [(machine, machine.start(kill=kill)) for machine in machines]

    def follow(run):
        outcome = run[0].follow(run[1], wanted, lambda seen: decided.is_set() and named(seen))
        decided.set()
        return outcome
    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(follow, runs))


def names_claimant(seen):
    return "making the secrets" in seen.waits.get("secrets", "")


def of_one_volume(world, _):
    """One gets it and boots; the others write nothing anywhere, for as long as it lives."""
    world.clear()
    machines = [world.machine() for _ in range(RACERS)]
    ended = race(world, machines, STEPS["master"], lambda seen: holder(world) in seen.waits.get("volume-attach", ""))
    winners = [m for m, outcome in zip(machines, ended) if outcome.done]
    if len(winners) != 1 or holder(world) != winners[0].id:
        raise SecondMaster(f"{len(winners)} of {RACERS} are master")
    for machine in machines:
        if machine is not winners[0] and wrote(world, machine) - HARMLESS:
            raise SecondMaster(f"{machine.id} lost, and {wrote(world, machine)}")
    check_whole(world, winners[0], Kept(b"", "", b""), ended[machines.index(winners[0])])
    return "converged"


def of_a_volume_each(world, kill):
    """Whoever has the claim makes the secrets; all others stop, and say whose cluster it is. If it
    dies, nobody goes on in its place until EC2 says that it is gone."""
    world.clear()
    volumes = [world.front.new_volume() for _ in range(RACERS)]
    machines = [world.machine(volume_id=volume) for volume in volumes]
    ended = race(world, machines, UNTIL_SECRETS, names_claimant, kill)
    if len(authorities(world)) > 1:
        raise SecondMaster(f"{authorities(world)}")
    winners = [outcome for outcome in ended if outcome.done]
    if len(winners) > 1:
        raise SecondMaster(f"{len(winners)} of {RACERS} have secrets")
    for outcome in ended:
        if not outcome.done and outcome.status != -9:
            assert any("making the secrets" in text or "volume" in text for text in outcome.told()), outcome
    assert kill or winners, ended
    return "converged" if winners else "refused"


def without_conditions(world, _):
    """The store takes every write: that is found out before there is anything to lose."""
    world.clear()
    with world.front.settings(s3={"ignore_if_none_match": True}):
        machines = [world.machine(volume_id=world.front.new_volume()) for _ in range(4)]
        ended = race(world, machines, UNTIL_SECRETS, names_claimant)
    if authorities(world) or any(outcome.done for outcome in ended):
        raise SecondMaster(f"{authorities(world)}")
    told = [text for outcome in ended for text in outcome.told()]
    assert any("If-None-Match" in text for text in told), told
    return "refused"


def all_races():
    """(name, case, argument); the winner dies at each of the steps of making secrets."""
    yield "one volume", of_one_volume, ""
    yield "a volume each", of_a_volume_each, ""
    yield "no conditions", without_conditions, ""
    for nth in (1, 2, 3, 10, 25, 41, 42):
        for when in ("before", "after"):
            yield f"killed {when} put {nth}", of_a_volume_each, f"{when}:{nth}:http s3 PutObject"
