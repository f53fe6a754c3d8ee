# SPDX-License-Identifier: Apache-2.0
"""The daemon killed before and after each of its effects, and run again on the same machine
(boot_checks/crashes.py; boot_checks/parts.py has SHARE, SEED, DRAW and CASE).
"""

import pytest

from boot_checks import parts

PART = "crashes"
pytestmark = parts.MARKS


@pytest.mark.parametrize("scene", parts.scenes(PART))
def test_a_run_that_is_killed_is_made_whole_by_the_next(tried, scene):
    tally, _ = tried
    parts.assert_good(tally, scene)


def test_the_region_met_no_error_of_its_own(tried):
    _, bugs = tried
    assert not bugs, "\n".join(bugs)
