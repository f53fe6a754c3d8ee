# SPDX-License-Identifier: Apache-2.0
"""What must be so after a boot, and what must have stayed as it was."""

import hashlib
import json
import re
import subprocess
from dataclasses import dataclass

from .tally import Lost, SecondMaster

MOUNT_POINTS = ("/srv/kubernetes", "/var/lib/kubernetes/master")
LEFT_OVER = re.compile(r"^\..*\.[0-9a-f]{16}$")  # what file_write() names what it has not finished


@dataclass
class Kept:
    """What the world has that may never change again."""
    index: bytes
    filesystem: str  # its UUID
    authority: bytes  # what a machine trusts


def filesystem(image):
    """The UUID of a whole ext4; "" while it is being made, or before."""
    with image.open("rb") as disk:
        disk.seek(-4096, 2)
        if disk.read(4096).strip(b"\0"):
            return ""  # the mark of a formatting that has not ended
    found = subprocess.run(["blkid", "--probe", "--output", "value", "--match-tag", "UUID", image],
                           stdout=subprocess.PIPE, text=True, check=False)
    return found.stdout.strip()


def keep(world, machine):
    image = world.image()
    authority = machine.root / "srv/kubernetes/ca.crt"
    return Kept(world.get("index.json") if f"{world.seed['prefix']}/index.json" in world.keys()
                else b"",
                filesystem(image) if image.exists() else "",
                authority.read_bytes() if authority.exists() else b"")


def check_kept(before, now):
    """Nothing that was whole has become another."""
    if before.index and now.index != before.index:
        raise SecondMaster(f"another index: {before.index} and then {now.index}")
    if before.filesystem and now.filesystem != before.filesystem:
        raise Lost(f"filesystem {before.filesystem} has become {now.filesystem}")
    if before.authority and now.authority != before.authority:
        raise SecondMaster(f"another CA: {before.authority} and then {now.authority}")


def check_secrets(world, machine):
    """Bucket and tmpfs hold what the index says, whole."""
    index = json.loads(world.get("index.json"))
    folder = machine.root / "srv/kubernetes"
    names = {path.name for path in folder.iterdir()}
    for entry in index["files"]:
        content = world.get(entry["key"])
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], f"half an {entry['key']}"
        name = entry["key"].rpartition("/")[2]
        if entry["key"].startswith(f"{machine.role}/"):
            assert (folder / name).read_bytes() == content, f"{name} is not what the index says"
    assert (folder / "index.json").read_bytes() == world.get("index.json")
    assert not [n for n in names if LEFT_OVER.match(n)], f"left over: {names}"


def check_machine(world, machine):
    """One mount of each, one address, and EC2 of the same opinion."""
    table = subprocess.run(
        ["nsenter", f"--mount={machine.namespace}", "cat", "/proc/self/mountinfo"],
        stdout=subprocess.PIPE, text=True, check=True).stdout
    mounts = [line.split()[4] for line in table.splitlines()]
    for point in MOUNT_POINTS[:2 if machine.role == "master" else 1]:
        assert mounts.count(point) == 1, f"{mounts.count(point)} mounts at {point}"
    for manifest in (machine.root / "etc/kubernetes/manifests").glob("[!.]*"):
        assert manifest.read_text().startswith("apiVersion") or \
            "\napiVersion" in manifest.read_text(), f"half a {manifest.name}"
    if machine.role == "node":
        return
    address = world.seed["private_ip"]
    shown = subprocess.run(["ip", "-o", "address", "show", "dev", machine.interface],
                           stdout=subprocess.PIPE, text=True, check=True).stdout
    assert shown.count(f" {address}/") == 1, shown
    known = next(i for i in world.front.control("GET", "/instances") if i["id"] == machine.id)
    assert known["secondary_ips"] == [address], known
    assert known["public_ip"] == world.seed["public_ip"], known
    assert [v["id"] for v in known["volumes"]] == [world.volume_id], known
    identity = json.loads(
        (machine.root / "var/lib/kubernetes/master/cluster-identity.json").read_text())
    index = json.loads(world.get("index.json"))
    assert identity["state"] == "complete" and identity["cluster_id"] == index["cluster_id"]
    assert identity["ca_sha256"] == index["ca_sha256"]


def check_whole(world, machine, before, outcome):
    assert outcome.done, (outcome.states, outcome.errors, outcome.said)
    check_kept(before, keep(world, machine))
    check_secrets(world, machine)
    check_machine(world, machine)
