# SPDX-License-Identifier: Apache-2.0
"""EBS volumes: a sparse file each, named after the volume, and a loop device while attached."""

import contextlib
import fcntl
import json
import os
import time

from .noise import write as write_noise
from .settings import VOLUMES, LabError, run


def backing_file(volume_id):
    return VOLUMES / f"{volume_id}.img"


def make_file(volume_id, size_gib, noise=None):
    """The volume's file, made on the first time; `noise` is the hypervisor's request, where it has some."""
    path = backing_file(volume_id)
    if not path.exists():
        new = path.with_suffix(".new")
        if noise:
            write_noise(new, int(size_gib) << 30, noise["seed"], noise["mode"], noise["imitate"])
        else:
            with open(new, "wb") as image:
                image.truncate(int(size_gib) << 30)
        new.rename(path)
    return path


def device(volume_id):
    """The loop device of an attached volume, or None."""
    path = backing_file(volume_id)
    if not path.exists():
        return None
    found = run("losetup", "--json", "--list", "--output", "NAME", "--associated", path)
    devices = json.loads(found)["loopdevices"] if found.strip() else []
    return devices[0]["name"] if devices else None


def attach(volume_id, size_gib, noise=None):
    """Give the volume a loop device, the file being made on the first time; returns the device."""
    with _locked(volume_id):
        path = make_file(volume_id, size_gib, noise)
        if device(volume_id):
            # Two loop devices on one file would be two disks that overwrite each other.
            raise LabError(f"{volume_id} still has loop device {device(volume_id)}")
        return run("losetup", "--find", "--show", "--nooverlap", path).strip()


def release(volume_id, timeout_s=60):
    """Take the loop device away; waits for whoever still has it open or mounted."""
    with _locked(volume_id):
        deadline = time.monotonic() + timeout_s
        loop = device(volume_id)
        if loop:
            run("losetup", "--detach", loop)  # busy: the kernel detaches it at the last close
        while device(volume_id):
            if time.monotonic() > deadline:
                raise LabError(f"{volume_id} ({loop}) is still in use after {timeout_s} s: mounted?")
            time.sleep(0.05)


def release_all():
    """Release the loop devices of all volumes."""
    for path in VOLUMES.glob("*.img"):
        release(path.stem)


def make_node(root, loop):
    """Make the device node of a loop device in an instance's /dev, unless the instance has just ended."""
    number = os.stat(loop).st_rdev
    with contextlib.suppress(FileExistsError, FileNotFoundError, ProcessLookupError):
        os.mknod(f"{root}{loop}", 0o060660, number)


def remove_node(root, loop):
    """Remove the node of a loop device from an instance's /dev."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.unlink(f"{root}{loop}")


@contextlib.contextmanager
def _locked(volume_id):
    with open(VOLUMES / f"{volume_id}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
