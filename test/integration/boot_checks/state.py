# SPDX-License-Identifier: Apache-2.0
"""What a boot must not lose, what is planted for it to lose, and what must be so once it is done."""

import contextlib
import hashlib
import json
import os
import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from .machines import JOIN, ROOT, STATUSES
from .tally import Lost, SecondMaster

VOLUME, SECRETS = "var/lib/kubernetes/master", "srv/kubernetes"
IDENTITY = "cluster-identity.json"
LEFT_OVER = re.compile(r"^\..*\.[0-9a-f]{16}$")  # what file_write() names what it has not finished
# Of the volume, as etcd, the audit log and a person would leave them: mode, owner, content.
ETCD = {"etcd/member/snap/db": (0o600, 0, b"\0bolt" * 4096), "etcd/member/wal/0-0.wal": (0o600, 0, b"wal" * 999)}
AUDIT = {"audit/audit.log": (0o600, 0, b'{"kind":"Event"}\n' * 99), "audit/audit-2026.log": (0o640, 4, b"{}\n")}
BESIDE = {"notes/to-keep": (0o604, 4242, b"of a person\n"), ".hidden": (0o400, 1, b"")}
# What a machine has of its own that a boot does not make.
OWN = {"kubelet/pki/kubelet-client-1.pem": (0o600, 0, b"of the API server\n")}

# What a boot that nothing disturbs has made of the static pods' files: role to name to text.
GOOD = {}


@dataclass
class Kept:
    """What the world has at a moment."""
    objects: dict = field(default_factory=dict)  # key to (version, ETag), the newest first
    index: bytes = b""
    claim: bytes = b""
    record: bytes = b""  # of the volume's formatting
    filesystem: str = ""  # its UUID
    files: dict = field(default_factory=dict)  # of the volume: path to mode, owner, content's hash
    identity: bytes = b""
    authority: bytes = b""  # what a machine trusts
    own: dict = field(default_factory=dict)  # of that machine alone

    def inherited(self):
        """What of it another machine must find."""
        return replace(self, authority=b"", own={})


def filesystem(image):
    """The UUID of a whole ext4; "" while it is being made, or before."""
    with image.open("rb") as disk:
        disk.seek(-4096, 2)
        if disk.read(4096).strip(b"\0"):
            return ""  # the mark of a formatting that has not ended
    found = subprocess.run(["blkid", "--probe", "--output", "value", "--match-tag", "UUID", image],
                           stdout=subprocess.PIPE, text=True, check=False)
    return found.stdout.strip()


@contextlib.contextmanager
def volume(world):
    """The folder in which the volume's files are: a machine's mount, or one to read where none has it."""
    for machine in world.machines:
        if (machine.root / VOLUME).is_mount():
            yield machine.root / VOLUME
            return
    folder = world.folder / "volume"
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop,ro,noload", world.image(), folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def files(folder):
    """All below it, but what was never finished."""
    found = {}
    for path in [Path(root, name) for root, *names in os.walk(folder) for name in sum(names, [])]:
        about = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        if not LEFT_OVER.match(path.name):
            found[str(path.relative_to(folder))] = (oct(about.st_mode), about.st_uid, about.st_gid, content)
    return found


def keep(world, machine):
    objects = world.versions()
    kept = Kept(objects, *(
        world.get(name) if f"{world.seed['prefix']}/{name}" in objects else b""
        for name in ("index.json", "claim", f"volumes/{world.volume_id}.json")))
    if world.image().exists():
        kept.filesystem = filesystem(world.image())
    if kept.filesystem:
        with volume(world) as folder:
            kept.files = files(folder)
            kept.identity = (folder / IDENTITY).read_bytes() if IDENTITY in kept.files else b""
    authority = machine.root / SECRETS / "ca.crt"
    kept.authority = authority.read_bytes() if authority.exists() else b""
    kept.own = {name: about for name, about in files(machine.root / SECRETS).items() if name in OWN}
    return kept


def plant(world, machine):
    """On the volume and the machine, all that may be there by what they have done so far."""
    volume_there = machine.root / VOLUME
    if volume_there.is_mount():
        identity = volume_there / IDENTITY
        complete = identity.exists() and json.loads(identity.read_text())["state"] == "complete"
        _plant(volume_there, BESIDE | (AUDIT if (volume_there / "audit").is_dir() else {}) | (ETCD if complete else {}))
        (volume_there / "notes").chmod(0o751)
    if (machine.root / SECRETS / "kubelet").is_dir():
        _plant(machine.root / SECRETS, OWN)


def _plant(folder, planted):
    for name, (mode, owner, content) in planted.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(content)
        os.chown(path, owner, owner)
        path.chmod(mode)


def plant_objects(world, used=True):
    """In the bucket: what is no business of a boot; and of a cluster that is used, its join token."""
    for key in ("backups/etcd.snapshot", f"{world.seed['prefix']}/master/20200101T000000Z-00000000/sa.pub"):
        for content in (b"an older version", b"the newest"):
            world.front.s3.put_object(Bucket=world.seed["bucket"], Key=key, Body=content)
    if used:
        world.put("node/join.json", json.dumps(JOIN).encode())


def check_kept(before, now):
    """Nothing is gone or has become another, but for what is listed here: the identity is completed; while there
    is no index the claim passes to the next master, as its history in the bucket shows; and the record of the
    volume's formatting ends."""
    if before.index and now.index != before.index:
        raise SecondMaster(f"another index: {before.index} and then {now.index}")
    if before.authority and now.authority != before.authority:
        raise SecondMaster(f"another CA: {before.authority} and then {now.authority}")
    if before.index and now.objects.keys() - before.objects.keys():
        raise SecondMaster(f"made beside what there was: {now.objects.keys() - before.objects.keys()}")
    if before.filesystem and now.filesystem != before.filesystem:
        raise Lost(f"filesystem {before.filesystem} has become {now.filesystem}")
    may_change = set()
    if b'"pending"' in before.identity and without_end(before.identity) == without_end(now.identity):
        may_change.add(IDENTITY)
    if before.claim and not before.index:
        may_change |= {key for key in before.objects if key.endswith("/claim")}
    if b'"formatting"' in before.record:
        may_change |= {key for key in before.objects if "/volumes/" in key}
    for name, was in (before.files | before.own).items():
        if (now.files | now.own).get(name) != was and name not in may_change:
            raise Lost(f"{name}: {was} has become {(now.files | now.own).get(name)}")
    for key, was in before.objects.items():
        is_now = now.objects.get(key, [])
        if is_now != was and not (key in may_change and is_now[-len(was):] == was):
            raise Lost(f"{key}: {was} has become {is_now}")


def without_end(identity):
    """What of an identity is the same once it is complete."""
    found = json.loads(identity or b"{}")
    return {name: found[name] for name in found.keys() - {"state", "ca_sha256"}}


def check_secrets(world, machine):
    """Bucket and tmpfs hold what the index says, whole."""
    index = json.loads(world.get("index.json"))
    folder = machine.root / SECRETS
    names = {path.name for path in folder.iterdir()}
    for entry in index["files"]:
        content = world.get(entry["key"])
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], f"half an {entry['key']}"
        name = entry["key"].rpartition("/")[2]
        if entry["key"].startswith(f"{machine.role}/"):
            assert (folder / name).read_bytes() == content, f"{name} is not what the index says"
    assert (folder / "index.json").read_bytes() == world.get("index.json")
    assert not [n for n in names if LEFT_OVER.match(n)], f"left over: {names}"


def manifests(world, machine):
    """The static pods' files, but for what is another in each cluster and on each machine."""
    known = machine.known()["private_ip"]
    other = {json.loads(world.get("index.json"))["generation"]: "GENERATION", known: "ADDRESS",
             known.replace(".", "-"): "NAME"}
    pattern = re.compile(r"(?<!\d)(" + "|".join(map(re.escape, other)) + r")(?!\d)")
    return {path.name: pattern.sub(lambda found: other[found[1]], path.read_text())
            for path in (machine.root / "etc/kubernetes/manifests").glob("[!.]*")}


def learn(world, machine):
    """Takes what a boot that nothing disturbed has made for what each must make."""
    GOOD[machine.role] = manifests(world, machine)
    folders = ("all", "master")[:2 if machine.role == "master" else 1]
    shipped = {path.name for name in folders for path in (ROOT / "conf/kubernetes/static-pods" / name).iterdir()}
    assert GOOD[machine.role].keys() == shipped, (GOOD[machine.role].keys(), shipped)


def check_machine(world, machine):
    """One mount of each, the static pods' files whole, one address, and EC2 of the same opinion."""
    table = subprocess.run(
        ["nsenter", f"--mount={machine.namespace}", "cat", "/proc/self/mountinfo"],
        stdout=subprocess.PIPE, text=True, check=True).stdout
    mounts = [line.split()[4] for line in table.splitlines()]
    for point in (SECRETS, VOLUME)[:2 if machine.role == "master" else 1]:
        assert mounts.count(f"/{point}") == 1, f"{mounts.count(f'/{point}')} mounts at {point}"
    made = manifests(world, machine)
    for name in made.keys() | GOOD[machine.role].keys():
        good = GOOD[machine.role].get(name)
        assert made.get(name) == good, f"{name}: {made.get(name)}, which should be {good}"
    if machine.role == "node":
        return
    address = world.seed["private_ip"]
    shown = subprocess.run(["ip", "-o", "address", "show", "dev", machine.interface],
                           stdout=subprocess.PIPE, text=True, check=True).stdout
    assert shown.count(f" {address}/") == 1, shown
    known = machine.known()
    assert known["secondary_ips"] == [address], known
    assert known["public_ip"] == world.seed["public_ip"], known
    assert [v["id"] for v in known["volumes"]] == [world.volume_id], known
    identity = json.loads((machine.root / VOLUME / IDENTITY).read_text())
    index = json.loads(world.get("index.json"))
    assert identity["state"] == "complete" and identity["cluster_id"] == index["cluster_id"]
    assert identity["ca_sha256"] == index["ca_sha256"]


def check_whole(world, machine, before, outcome):
    assert outcome.done and outcome.status in STATUSES, outcome
    now = keep(world, machine)
    check_kept(before, now)
    if len(now.objects[f"{world.seed['prefix']}/index.json"]) != 1:
        raise SecondMaster(f"written more than once: {now.objects}")
    check_secrets(world, machine)
    check_machine(world, machine)
