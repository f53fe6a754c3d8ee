# SPDX-License-Identifier: Apache-2.0
"""Upstream's Conformance tests of the network, against the cluster that the daemon brings up. test/conformance runs
all of them."""

import subprocess

import pytest

from kblab import upstream, world
from kblab.runtime import with_containerd
from kblab.settings import LAB
from kblab.testing import ok

pytestmark = [pytest.mark.needs_root, with_containerd]


def test_network():
    subprocess.run([LAB / "images/build", "suite"], check=True)
    world.enter()
    with upstream.registry(*world.NAMES):
        specs = upstream.run("network", upstream.CONFORMANCE, r"\[sig-network\]")
    for spec in specs:
        ok(spec.state == "passed", spec.name, f"{spec.state} after {spec.took_s:.0f} s: {spec.said}")
    ok(specs, "tests were run")
