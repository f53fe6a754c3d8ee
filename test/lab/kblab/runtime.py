# SPDX-License-Identifier: Apache-2.0
"""Facts that tests need of the lab's instances, by what their pods run on (settings.RUNTIME)."""

import pytest

from .settings import CACHE, RUNTIME

WITH_DOCKER = RUNTIME == "docker"

# A machine's units, in the order of their start.
UNITS = {"master": ["docker-bootstrap", "etcd", "flanneld", "docker", "kubelet"] if WITH_DOCKER else
                   ["containerd", "docker-bootstrap", "etcd", "kubelet", "flanneld"]}
UNITS["node"] = [unit for unit in UNITS["master"] if unit != "etcd"]

# The step that has flanneld run.
OVERLAY_STEP = "flanneld" if WITH_DOCKER else "flannel"

# Debian's release.
SUITE = "bookworm" if WITH_DOCKER else "trixie"

# Marks of tests that only one of them has: with the other they are not there (test/lab/conftest.py).
with_docker = pytest.mark.runtime("docker")
with_containerd = pytest.mark.runtime("containerd")


def image(key):
    """The name of a container image of the instances, as their list has it."""
    lines = (CACHE / f"images-{RUNTIME}" / "list").read_text(encoding="utf-8").splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith(f"{key}="))
