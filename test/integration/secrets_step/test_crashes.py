# SPDX-License-Identifier: Apache-2.0
"""A master's first boot that is killed at one of its effects, and the next instance with its volume."""

import pytest
from secrets_step.world import master, must

pytestmark = [pytest.mark.needs_root, pytest.mark.takes_minutes]
CRASHES = 30  # a first boot has about 150 effects; every fifth is where it is stopped


@pytest.fixture(scope="module")
def effects(shared_world):
    """How many a first boot has."""
    log = shared_world.folder / "effects"
    shared_world.empty()
    with master(shared_world) as machine:
        must(machine.run(log=log), 0)
    total = int(log.read_text().splitlines()[-1].partition(":")[0])
    assert total > 80
    return total


@pytest.mark.parametrize("crash", range(CRASHES))
def test_killed_anywhere_the_next_instance_goes_on_and_there_is_one_ca(world, effects, crash):
    when = f"{('before', 'after')[crash % 2]}:{1 + crash * effects // CRASHES}:"
    print(f"killed {when} of {effects} effects")
    with master(world) as first:
        must(first.run(kill=when), 137)
    before = world.get("index.json") if "pki/index.json" in world.keys() else None
    with master(world, volume=first.volume) as second:
        must(second.run(), 0, "applied")
        assert before in (None, world.get("index.json")), "a second CA"
        assert second.identity()["state"] == "complete"
