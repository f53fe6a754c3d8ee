# SPDX-License-Identifier: Apache-2.0
"""Masters that begin at the same moment (boot_checks/races.py; boot_checks/parts.py has SHARE, SEED, DRAW and CASE)."""

import pytest

from boot_checks import parts

PART = "races"
pytestmark = parts.MARKS


@pytest.mark.parametrize("scene", parts.scenes(PART))
def test_one_of_many_is_the_master_and_the_others_name_it(tried, scene):
    tally, _ = tried
    parts.assert_good(tally, scene)


def test_the_region_met_no_error_of_its_own(tried):
    _, bugs = tried
    assert not bugs, "\n".join(bugs)
