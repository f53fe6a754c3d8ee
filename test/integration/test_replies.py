# SPDX-License-Identifier: Apache-2.0
"""Every request of a first boot answered badly, once or for as long as it lasts
(boot_checks/replies.py; boot_checks/parts.py has SHARE, SEED, DRAW and CASE).
"""

import pytest

from boot_checks import parts

PART = "replies"
pytestmark = parts.MARKS


@pytest.mark.parametrize("scene", parts.scenes(PART))
def test_a_bad_reply_is_got_over_or_named(tried, scene):
    tally, _ = tried
    parts.assert_good(tally, scene)


def test_the_region_met_no_error_of_its_own(tried):
    _, bugs = tried
    assert not bugs, "\n".join(bugs)
