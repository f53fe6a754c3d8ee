# SPDX-License-Identifier: Apache-2.0
"""Whole boots under valgrind: no invalid access, nothing uninitialised used, nothing leaked. Children (mkfs and the
like) are not looked at."""

import pytest

from boot_checks import machines
from boot_checks.crashes import SCENES

pytestmark = [pytest.mark.needs_root, pytest.mark.takes_minutes]


@pytest.fixture(scope="module")
def command(build, valgrind):
    """The daemon under valgrind."""
    return machines.ROOT / "test/tools/valgrind", valgrind, build("debug", "kube-bootstrap")


@pytest.fixture(scope="module")
def world(build, command, own_network):
    build("effects", "kube-bootstrap")  # what the machines of a scene have been booted by before
    with machines.World() as world:
        yield world


@pytest.mark.parametrize("scene", SCENES)
def test_a_boot_is_clean(world, command, scene):
    prepare, role = SCENES[scene]
    world.clear()
    machine = prepare(world, role)
    machine.program = command
    outcome = machine.run()
    assert outcome.done, outcome.said or outcome
    said = (machine.root / "run/valgrind").read_text()
    assert not said, said
