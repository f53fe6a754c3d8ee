# SPDX-License-Identifier: Apache-2.0
import contextlib
import functools
import os

import pytest

pytest.register_assert_rewrite("disks.disk")

from disks.disk import Disk, run  # noqa: E402


@pytest.fixture(scope="session")
def memory(tmp_path_factory):
    """A folder where fsync costs nothing."""
    folder = tmp_path_factory.mktemp("memory")
    run("mount", "-t", "tmpfs", "disks", folder)
    yield folder
    run("umount", "--lazy", folder)  # the last device may not be detached yet


@pytest.fixture(scope="session")
def blank(build, memory):
    """blank(MIB): a disk of zeros, which ends with its block."""
    return functools.partial(Disk, build(os.environ.get("VARIANT", "debug"), "unit/test_filesystem"), folder=memory)


@pytest.fixture
def new_disk(blank):
    """new_disk(MIB): a disk of zeros, which ends with the test."""
    with contextlib.ExitStack() as disks:
        yield lambda mib: disks.enter_context(blank(mib))
