# SPDX-License-Identifier: Apache-2.0
"""This tree's own build, installed into a layer of its own on top of the image.

The image is slow to make and the daemon changes often. A layer is named after its content, and an
instance keeps the layers that it was launched with, as it would keep its AMI.
"""

import hashlib
import os
import shutil
import subprocess
import sys

from .settings import IMAGE_ROOT, LAB, LAYERS, LabError

CURRENT = LAYERS / "current"


def install(in_use=()):
    """Build, install, and make the result the layer of the instances to come."""
    new = LAYERS / "new"
    if new.exists():
        shutil.rmtree(new)
    new.mkdir()
    # A folder /lib in a layer would hide the image's link /lib: install through the same links.
    links = [entry for entry in IMAGE_ROOT.iterdir() if entry.is_symlink()]
    for link in links:
        (new / link.name).symlink_to(link.readlink())
        (new / link.readlink()).mkdir(parents=True, exist_ok=True)
    done = subprocess.run([LAB / "images" / "daemon", new], check=False, stdin=subprocess.DEVNULL,
                          stdout=sys.stderr)
    if done.returncode != 0:
        raise LabError("the tree's build was not installed")
    for link in links:
        (new / link.name).unlink()

    layer = LAYERS / _digest(new)
    if layer.exists():
        shutil.rmtree(new)
    else:
        new.rename(layer)
    link = LAYERS / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(layer.name)
    link.replace(CURRENT)
    for old in LAYERS.iterdir():
        if not old.is_symlink() and old != layer and str(old) not in in_use:
            shutil.rmtree(old)


def _digest(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(f"{path.relative_to(folder)}\0{path.lstat().st_mode}\0".encode())
        if path.is_symlink():
            digest.update(os.readlink(path).encode())
        elif path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
