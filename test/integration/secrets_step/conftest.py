# SPDX-License-Identifier: Apache-2.0
"""A region for the machines of a file's tests; each test finds its bucket empty."""

import pytest
from region_checks.harness import sound_front
from secrets_step.world import World


@pytest.fixture(scope="module")
def shared_world(build, tmp_path_factory):
    program = build("effects", "unit/test_secrets")
    with sound_front() as front:
        yield World(front, tmp_path_factory.mktemp("machines"), program)


@pytest.fixture
def world(shared_world):
    shared_world.front.reset()
    shared_world.empty()
    return shared_world
