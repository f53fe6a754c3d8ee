# SPDX-License-Identifier: Apache-2.0
"""A control group per machine (and one for the region's processes), in every hierarchy.

A machine has to have one of its own: two kubelets in one group would share one "kubepods". And since
nothing leaves its group by itself, the group is also how the lab finds what is its own, whatever
crashed before: no pid files.
"""

import contextlib
import errno
import json
import os
import signal
import time
from pathlib import Path

from .settings import NAME, STATE, LabError, run

# Where the lab's groups are, per hierarchy; written once by "lab up", since a hierarchy's root need
# not be ours: groups go below the one that "lab up" was started in, or below one asked of systemd.
BASES = STATE / "cgroups.json"
UNIT = f"{NAME}.service"

OWN = Path("/proc/self/cgroup")

# What the kernel says of a group or a process that has ended since it was found. ENODEV: the group went
# between the listing of its folder, or the opening of its file, and the reading.
ENDED = {errno.ENOENT, errno.ENODEV, errno.ESRCH}


def _memberships(text):
    """Parse /proc/PID/cgroup: {"cpu,cpuacct": "/path", "name=systemd": "/path", "": "/path"}."""
    return {key: path for _, key, path in (line.split(":", 2) for line in text.splitlines())}


def _mount_points():
    """Where each hierarchy is mounted, by the same keys as in /proc/PID/cgroup."""
    points = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, filesystem = line.partition(" - ")
        kind, _, options = filesystem.split(" ", 2)
        where = Path(fields.split()[4])
        if kind == "cgroup2":
            points.setdefault("", where)
        elif kind == "cgroup":
            points.setdefault(frozenset(options.split(",")), where)
    return points


def _directory(points, key, path):
    """The directory of a membership, or None where its hierarchy is not mounted."""
    if key == "":
        where = points.get("")
    else:
        wanted = set(key.split(","))
        where = next((w for k, w in points.items() if k != "" and wanted <= k), None)
    return where / path.lstrip("/") if where else None


def _read(path):
    """Returns the text of a file below /proc/PID or a group's folder: "" when its owner has ended."""
    try:
        return path.read_text()
    except OSError as error:
        if error.errno in ENDED:
            return ""
        raise


def _folders(directory):
    """Returns the groups directly below a group: none when it has been removed."""
    try:
        return [entry for entry in directory.iterdir() if entry.is_dir()]
    except OSError as error:
        if error.errno in ENDED:
            return []
        raise


def setup():
    """Decide where the lab's groups are, and make the group that holds them."""
    bases = _bases()
    if not bases or not all(base.parent.is_dir() for base in bases):  # none yet, or before a reboot
        points = _mount_points()
        memberships = _memberships(OWN.read_text())
        if set(memberships) == {""} and Path("/run/systemd/system").is_dir():
            memberships[""] = _delegated()
        found = (_directory(points, k, p) for k, p in memberships.items())
        bases = [str(directory / NAME) for directory in found if directory]
        if not bases:
            raise LabError("no control group hierarchy is mounted under /sys/fs/cgroup")
        BASES.write_text(json.dumps(bases))
    for base in _bases():
        if base.parent.name == UNIT:
            _empty(base.parent)
            _pass_on(base.parent)
        _make(base)


def teardown():
    """Remove the lab's groups; whatever still runs in them is killed."""
    for name in names():
        Group(name).kill()
    bases = _bases()
    for base in bases:
        _remove(base)
    if any(base.parent.name == UNIT and base.parent.is_dir() for base in bases):
        run("systemctl", "stop", UNIT)
    BASES.unlink(missing_ok=True)


def _delegated():
    """A group that systemd leaves to the lab, as long as its unit has a process.

    Where cgroup v2 has the controllers, a group with processes, as a login's is, cannot pass them on,
    and a group that systemd knows nothing of would have those that systemd happens to need.
    """
    group = _unit_group()
    if not group:
        run("systemd-run", "--quiet", f"--unit={UNIT}", "--description=Instances of kube-bootstrap's lab",
            "--service-type=exec", "--property=Delegate=yes", "--property=TasksMax=infinity",
            "sleep", "infinity")
        group = _unit_group()
    return group


def _unit_group():
    return run("systemctl", "show", "--property=ControlGroup", "--value", UNIT).strip()


def _empty(directory):
    """Move a unit's own process out of the way."""
    (directory / "unit").mkdir(exist_ok=True)
    for pid in (directory / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            (directory / "unit" / "cgroup.procs").write_text(pid)


def names():
    """The machines (and "region") that have a group."""
    return sorted({entry.name for base in _bases() for entry in _folders(base)})


def _bases():
    try:
        return [Path(base) for base in json.loads(BASES.read_text())]
    except FileNotFoundError:
        return []


def _make(directory):
    if directory.is_dir():
        return
    directory.mkdir(exist_ok=True)
    # A new cpuset (cgroup v1) has no processor and takes no process before it is given some.
    for limit in ("cpuset.cpus", "cpuset.mems"):
        if (directory / "cgroup.clone_children").exists() and (directory / limit).exists():
            (directory / limit).write_text((directory.parent / limit).read_text())


def _pass_on(directory):
    """Let the groups below have all the controllers that this one has, as cgroup v2 wants to be told."""
    passed = directory / "cgroup.subtree_control"
    if passed.exists():
        controllers = (directory / "cgroup.controllers").read_text().split()
        passed.write_text(" ".join(f"+{name}" for name in controllers))


def _remove(directory):
    for entry in _folders(directory):
        _remove(entry)
    deadline = time.monotonic() + 5
    while True:
        try:
            directory.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError as error:
            # A killed process leaves its group a little later than it leaves cgroup.procs.
            if time.monotonic() > deadline:
                raise LabError(f"cannot remove control group {directory}: {error.strerror}") from error
            time.sleep(0.02)


def join(pid):
    """Move this process into the groups that another process is in."""
    points = _mount_points()
    memberships = _memberships(_read(Path(f"/proc/{pid}/cgroup")))
    try:
        for key, path in memberships.items():
            directory = _directory(points, key, path)
            if directory:
                (directory / "cgroup.procs").write_text("0")
    except OSError as error:
        if error.errno not in ENDED:
            raise
        memberships = {}
    if not memberships:
        raise LabError(f"process {pid} has ended")


class Group:
    """The groups of one name, one in each hierarchy.

    NAME/PART is a part of a machine's. Its processes are in parts only: with cgroup v2, a group that
    has groups below has no processes of its own.
    """

    def __init__(self, name):
        self.name = name
        self.directories = [base / name for base in _bases()]
        if not self.directories:
            raise LabError("the lab is not up (run: lab up)")

    def enter(self):
        """Make the groups and move this process into them."""
        for directory in _bases():
            for part in self.name.split("/"):
                _pass_on(directory)
                directory /= part
                _make(directory)
            (directory / "cgroup.procs").write_text("0")

    def has(self, pid):
        """Whether this process is in the groups, or below."""
        memberships = _memberships(_read(Path(f"/proc/{pid}/cgroup")))
        return any(f"/{NAME}/{self.name}/" in f"{path}/" for path in memberships.values())

    def pids(self):
        """Every process in the groups and in those below, but for this one."""
        pids = set()
        for directory in self.directories:
            for folder, _, _ in os.walk(directory):
                try:
                    pids.update(map(int, _read(Path(folder, "cgroup.procs")).split()))
                except OSError as error:
                    # cgroup v2: a threaded group has no processes of its own to list.
                    if error.errno != errno.EOPNOTSUPP:
                        raise
        return pids - {0, os.getpid()}

    def kill(self, first=()):
        """SIGKILL everything, those in `first` before the others, and remove the groups."""
        deadline = time.monotonic() + 30
        while True:
            pids = self.pids()
            if not pids:
                break
            if time.monotonic() > deadline:
                raise LabError(f"processes do not die: {sorted(pids)}")
            for pid in sorted(pids, key=lambda p: p not in first):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.02)
        for directory in self.directories:
            _remove(directory)
