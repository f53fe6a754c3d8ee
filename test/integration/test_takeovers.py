# SPDX-License-Identifier: Apache-2.0
"""The daemon killed before and after each of its effects, while another master waits to take over
(boot_checks/crashes.py; boot_checks/parts.py has SHARE, SEED, DRAW and CASE).
"""

import pytest

from boot_checks import parts

PART = "takeovers"
pytestmark = parts.MARKS


@pytest.mark.parametrize("scene", parts.scenes(PART))
def test_the_next_master_waits_and_takes_over_all_that_there_was(tried, scene):
    tally, _ = tried
    parts.assert_good(tally, scene)


def test_the_region_met_no_error_of_its_own(tried):
    _, bugs = tried
    assert not bugs, "\n".join(bugs)
