# SPDX-License-Identifier: Apache-2.0
"""The daemon killed before and after each of its effects, and what the next run makes of it.

The points are those that the build announces in a run that is not disturbed, by name: steps run
side by side, so that numbers are not the same from run to run.
"""

import re
from collections import Counter

from .machines import KILLED
from .state import check_kept, check_whole, keep, learn, plant, plant_objects
from .tally import SecondMaster
from region_checks.harness import wait

# What is another's in every run ends the name.
NAME = re.compile(r"(/dev/loop|macs/\w|child /sbin/\S+|/run/kube-bootstrap/state).*")
# A master that has no volume may do this and no more.
HARMLESS = {"ec2:AttachVolume", "ec2:ModifyNetworkInterfaceAttribute"}
MANY = 12  # of what has one name (a state file's writes), so many are enough


def points(log):
    """The effects of a run: (name, which of that name), each once."""
    names = Counter()
    for line in log.read_text().splitlines():
        number, _, rest = line.partition(":")
        when, _, text = rest.partition(" ")
        if when == "before":
            name = NAME.sub(r"\1", text)
            names[name] += 1
    log.unlink()
    return [(name, nth) for name, most in names.items() for nth in range(1, most + 1)
            if "state" not in name or nth <= MANY]


def first_boot(world, role):
    """A machine that has not run yet, in a region where it can."""
    if role == "node":
        if f"{world.seed['prefix']}/node/join.json" not in world.keys():
            first_boot(world, "master")
            used(world, world.machines[-1])
        for machine in [m for m in world.machines if m.role == "node"]:
            world.remove(machine)
    else:
        world.clear()
        plant_objects(world, used=False)
    return world.machine(role)


def used(world, machine):
    """Lets it boot, and be used."""
    outcome = machine.run()
    assert outcome.done, outcome
    plant(world, machine)
    plant_objects(world)
    return machine


def second_boot(world, role):
    """A machine that is as it should be."""
    for machine in world.machines:
        if machine.role == role:
            return machine
    return used(world, first_boot(world, role))


def replacement(world, role):
    """A new master, whose volume has been one's before it."""
    machine = second_boot(world, role)
    world.remove(machine)
    return world.machine(role)


SCENES = {
    "master, first boot": (first_boot, "master"),
    "master, run again": (second_boot, "master"),
    "master, replaced": (replacement, "master"),
    "node, first boot": (first_boot, "node"),
    "node, run again": (second_boot, "node"),
}


def all_points(world, scene):
    """(scene, when, name, nth) for every effect that two undisturbed runs of a scene have in common: how often
    a thing is asked for that is not there yet differs."""
    prepare, role = SCENES[scene]
    found = []
    for _ in range(2):
        machine = prepare(world, role)
        log = world.folder / "effects"
        outcome = machine.run(log=log)
        assert outcome.done, (scene, outcome)
        found.append(points(log))
        learn(world, machine)
    return [(scene, when, *point) for point in found[0] if point in found[1] for when in ("before", "after")]


def crash(world, scene, when, name, nth):
    """Killed there, and run again on the same machine."""
    prepare, role = SCENES[scene]
    if world.scene != scene:
        world.clear()
    world.scene = ""
    machine = prepare(world, role)
    before = keep(world, machine)
    killed = machine.run(kill=f"{when}:{nth}:{name}")
    assert killed.status == KILLED or killed.done, killed
    if not before.files:
        plant(world, machine)
    left = keep(world, machine)
    check_kept(before, left)
    check_whole(world, machine, left, machine.run())
    world.scene = scene
    return "converged" if killed.status == KILLED else "missed"


def takeover(world, _, when, name, nth):
    """Killed there while another waits, which may go on only once EC2 says that the first is gone."""
    world.clear()
    plant_objects(world, used=False)
    first, second = world.machine(), world.machine()
    before = keep(world, first)
    running = first.start(kill=f"{when}:{nth}:{name}")
    wait(lambda: running.poll() is not None or holder(world), "the volume taken or the kill")
    waiting = second.start()
    killed = first.follow(running)
    assert killed.status == KILLED or killed.done, killed
    if holder(world) == first.id:  # else the second has begun already
        wait(lambda: waiting.poll() is not None or names(second.look()[2], first), f"{second.id} waits for {first.id}")
        check_waits(world, first, second)
        plant(world, first)
        left = keep(world, first)
        check_kept(before, left)
        before = left.inherited()
    world.remove(first)
    outcome = second.follow(waiting)
    check_whole(world, second, before, outcome)
    return "converged" if killed.status == KILLED else "missed"


def holder(world):
    found = next(v for v in world.front.control("GET", "/volumes") if v["id"] == world.volume_id)
    return found["attachments"][0]["instance"] if found["attachments"] else ""


def names(waits, machine):
    """Whether it waits for that machine to let go of the volume."""
    return machine.id in waits.get("volume-attach", "")


def check_waits(world, first, second):
    """The one without the volume has written nothing anywhere."""
    wrote = {name for name, entry in world.front.control(
        "GET", f"/calls?instance={second.id}")["by_action"].items() if entry["mutating"]}
    if wrote - HARMLESS:
        raise SecondMaster(f"{second.id} without the volume of {first.id}: {wrote}")
    states, errors, waits = second.look()
    assert states.get("volume-attach") == "applying" and names(waits, first), (states, errors, waits)
