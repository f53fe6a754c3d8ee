# SPDX-License-Identifier: Apache-2.0
"""All of upstream's Conformance tests, for test/conformance: first those that may run side by side, then the others.

  FOCUS='sig-apps' test/conformance    those whose names match
"""

import os
import subprocess

import pytest

from kblab import upstream, world
from kblab.settings import LAB
from kblab.testing import equal, ok

pytestmark = [pytest.mark.needs_root, pytest.mark.in_order, pytest.mark.timeout(0)]

FOCUS = os.environ.get("FOCUS", "")
ran = []


@pytest.fixture(scope="module", autouse=True)
def machines():
    subprocess.run([LAB / "images/build", "suite"], check=True)
    world.boot()
    with upstream.registry(*world.NAMES):
        yield


def tell(specs):
    ran.extend(specs)
    for spec in specs:
        ok(spec.state == "passed", spec.name, f"{spec.state} after {spec.took_s:.0f} s: {spec.said}")


def test_side_by_side():
    tell(upstream.run("parallel", f"{upstream.CONFORMANCE} && !Serial", FOCUS))


def test_serial():
    tell(upstream.run("serial", f"{upstream.CONFORMANCE} && Serial", FOCUS, processes=1))


def test_all_were_run():
    equal(len(ran), upstream.count(upstream.CONFORMANCE, FOCUS), "all were run")
