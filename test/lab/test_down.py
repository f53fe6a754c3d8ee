# SPDX-License-Identifier: Apache-2.0
"""What the lab can be asked while it is down: the words of its command, and its control groups while machines
end: what has gone holds no process. Needs only root."""

import json
import os
import signal
import tempfile
from pathlib import Path

import pytest

from kblab import cgroup, machine, volume
from kblab.settings import NAME, LabError
from kblab.testing import equal, lab, ok

pytestmark = pytest.mark.needs_root

TIMES = 1000


def forked(function):
    """Runs a function in a process of its own; returns its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    return pid


def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Groups of this test's own, in each hierarchy, where "lab up" would make the lab's."""
    points = cgroup._mount_points()
    found = (cgroup._directory(points, key, path)
             for key, path in cgroup._memberships(cgroup.OWN.read_text()).items())
    places = [directory / f"groups-{os.getpid()}" / NAME for directory in found if directory]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cgroup, "BASES", tmp_path_factory.mktemp("groups") / "cgroups.json")
        cgroup.BASES.write_text(json.dumps([str(place) for place in places]))
        for place in places:
            cgroup._make(place.parent)
            cgroup._make(place)
        yield places
        for place in places:
            cgroup._remove(place.parent)


def test_the_file_of_a_group_that_has_gone_is_read_as_empty(bases):
    """A group's file that was opened before the group was removed: what a read finds then is ENODEV."""
    group = bases[-1] / "removed"
    group.mkdir()
    descriptor = os.open(group / "cgroup.procs", os.O_RDONLY)
    group.rmdir()
    opened = Path(f"/proc/self/fd/{descriptor}")
    try:
        opened.read_text()
        found = "text"
    except OSError as error:
        found = error.strerror
    equal(found, "No such device", "the file of a group that has gone gives ENODEV")

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cgroup.procs").symlink_to(opened)
        gone = cgroup.Group("gone")
        gone.directories = [Path(folder)]
        equal(gone.pids(), set(), "which is no process, not an error")
    os.close(descriptor)


@pytest.mark.usefixtures("bases")
def test_groups_come_and_go():
    """Every read of the lab's, while another process makes, enters and removes what it reads."""
    def come_and_go():
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(120)
        while True:
            entering = forked(cgroup.Group("one/machine").enter)
            os.waitpid(entering, 0)
            cgroup.Group("one").kill()

    other = forked(come_and_go)
    seen = set()
    try:
        for _ in range(TIMES):
            seen.update(cgroup.names())
            cgroup.Group("one").pids()
            cgroup.Group("one").has(other)
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
    equal(seen, {"one"}, f"{TIMES} looks at a group that comes and goes end without an error")

    failed = 0
    for _ in range(TIMES // 20):
        status(forked(cgroup.Group("one/machine").enter))
        failed += sum(status(pid) for pid in [forked(cgroup.Group("one").kill) for _ in range(4)])
    equal(failed, 0, "four that remove the same group at once do not fail each other")


@pytest.mark.usefixtures("bases")
def test_processes_end():
    """A pid whose process has ended in the meantime."""
    ended = forked(lambda: None)
    status(ended)
    equal(cgroup.Group("one").has(ended), False, "a process that has ended is in no group")
    try:
        cgroup.join(ended)
        told = ""
    except LabError as error:
        told = str(error)
    equal(told, f"process {ended} has ended", "to join it is refused in words")
    equal(machine._signal(ended, signal.SIGTERM), False, "a signal to it is not an error")
    volume.make_node(f"/proc/{ended}/root", "/dev/null")
    volume.remove_node(f"/proc/{ended}/root", "/dev/null")
    ok(True, "nor are device nodes in its root")


@pytest.mark.parametrize("words, named", [
    ("nosuch", "nosuch: no such command"), ("wait", "wait: wrong arguments"),
    ("down now", "down: wrong arguments: now"), ("run slave", "run: slave: unknown"),
    ("run", "run: which role"), ("", "usage: lab up")])
def test_the_command_names_what_it_does_not_know(words, named, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_STATE", str(tmp_path))  # if it did not
    done = lab(*words.split(), check=False)
    assert done.returncode == 64 and named in done.stderr
