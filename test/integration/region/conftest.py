# SPDX-License-Identifier: Apache-2.0
"""The simulated region refuses what AWS refuses: each rule of its front, asked by botocore.

The rest of the tests lean on the front being strict, so its strictness is tested first. It runs
here as an API alone, on the loopback, with no instances behind it.
"""

import pytest
from region_checks.harness import sound_front


@pytest.fixture(scope="module")
def front_options():
    """Of the front that a file's tests share."""
    return ()


@pytest.fixture(scope="module")
def region(front_options):
    with sound_front(*front_options) as front:
        yield front


@pytest.fixture
def front(region):
    region.reset()
    return region
