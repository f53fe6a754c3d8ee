# SPDX-License-Identifier: Apache-2.0
"""What a boot costs, in counts that no other load on the machine changes (test/bench/counts.py): none is more than 3 %
above the one in test/bench/limits, which test/bench/counts --record writes."""

import counts
import pytest

pytestmark = pytest.mark.needs_root
HEAD, LIMITS = counts.recorded()


@pytest.fixture(scope="module")
def found(build, valgrind, own_network):
    """Every count of today."""
    build("release", "kube-bootstrap", *(f"replay/{target.stem.removeprefix('fuzz_')}"
                                         for target in (counts.ROOT / "test/fuzz").glob("fuzz_*.c")))
    return counts.count_all()


@pytest.mark.parametrize("name, limit", LIMITS.items(), ids=LIMITS)
def test_a_count_is_not_above_its_limit(found, name, limit):
    most = int(limit * counts.MORE)
    assert name in found, "is not counted any more"
    assert found[name] <= most, f"{HEAD} Here: {counts.compiler()}"


def test_every_count_has_a_limit(found):
    assert sorted(found.keys() - LIMITS.keys()) == []
