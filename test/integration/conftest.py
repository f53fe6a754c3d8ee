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
