# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share."""

import pytest


@pytest.fixture(scope="module")
def own_network():
    """A network namespace of the file's own, for machines whose addresses are those of another file's."""
    from boot_checks import machines
    with machines.network():
        yield


@pytest.fixture(scope="session")
def valgrind():
    """The folder of a valgrind that knows pidfd_open."""
    import callgrind
    callgrind.unpack()
    return callgrind.VALGRIND


@pytest.fixture(scope="module")
def tried(request, build):
    """The cases of a file's PART (boot_checks/parts.py) and of the scenes that are asked for, all of which are tried
    before the first test: their tally, and what the region met."""
    from boot_checks import parts
    build("effects", "kube-bootstrap")
    wanted = {item.callspec.params["scene"] for item in request.session.items
              if item.path == request.path and hasattr(item, "callspec")}
    return parts.try_part(request.module.PART, wanted or parts.scenes(request.module.PART))
