# SPDX-License-Identifier: Apache-2.0
"""The life of a master that is a QEMU machine: NVMe volumes that are plugged in and change their names, the
power cut while its volume is formatted, mounted, and used; at last, no secret of the cluster is to be found
on a disk, in the journal, in a process's arguments or environment or in a core file.

  test/pytest test/lab/test_virtual.py            up to the secrets, which takes minutes
  SHARE=1 test/pytest test/lab/test_virtual.py    up to ready, with the power cut while etcd writes, as test/faults does

When QEMU is ended, what the guest's kernel had not written is lost. A disk loses more: what it had not
flushed. So disks are made of the log of what was written, as a power cut may leave them (boot_checks/cuts.py).
"""

import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization

from kblab import cluster, kept, machine, region, virtual
from kblab.settings import LAB, VOLUMES
from kblab.testing import equal, eventually, inside, lab, ok

WHOLE = float(os.environ.get("SHARE", 0)) >= 1
pytestmark = [pytest.mark.needs_root, pytest.mark.in_order, pytest.mark.timeout(0 if WHOLE else 1500)]
CUTS = 200 if WHOLE else 12
NAME = "master"
READY_S = 1800
CUTS_PROGRAM = LAB.parent / "integration/boot_checks/cuts.py"
PLANTED = "planted-token-0123456789abcdef"
PRIVATE_KEY = re.compile(rb"-----BEGIN (?:\w+ )?PRIVATE KEY-----(.*?)-----END (?:\w+ )?PRIVATE KEY-----", re.S)
CHUNK = 64 << 20
GIB = 1 << 30


def image(volume_id):
    return VOLUMES / f"{volume_id}.img"


def digest(volume_id):
    with open(image(volume_id), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def superblock(volume_id):
    """(time of the first making, time of the last mount) of a whole ext4, or None."""
    with open(image(volume_id), "rb") as file:
        file.seek(1024)
        block = file.read(1024)
    if block[56:58] != b"\x53\xef":
        return None
    return struct.unpack_from("<I", block, 264)[0], struct.unpack_from("<I", block, 44)[0]


def filesystem_bytes():
    return int(inside(NAME, "findmnt -bno SIZE /var/lib/kubernetes/master"))


def cut_when(condition, what):
    """The power fails once the condition holds; the instance is then started again, as EC2 does."""
    ok(eventually(condition, READY_S, 0.005), f"the power fails {what}")
    lab("kill", NAME)


def device(volume_id):
    serial = volume_id.replace("-", "")
    return inside(NAME, f"grep -lx {serial} /sys/block/nvme*/device/serial | cut -d/ -f4")


def told():
    """What the daemon, or the one before it, has told last."""
    return json.loads(inside(NAME, "cat /run/kube-bootstrap/state.json"))


def settle():
    """Waits for the step that this life is for; a failed one is shown."""
    def is_done():
        steps = {step["name"]: step["state"] for step in told()["steps"]}
        return steps["ready" if WHOLE else "secrets"] == "done" or "failed" in steps.values()

    eventually(is_done, READY_S, 0.5)
    said = lab("exec", NAME, "kube-bootstrap", "status", check=False).stdout
    ok(re.search(r"ready +done" if WHOLE else r"secrets +done", said), "it boots", said)


def other_volume():
    """Somebody's disk with something on it."""
    made = region.call("ec2", "CreateVolume", AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    assert eventually(
        lambda: region.call("ec2", "DescribeVolumes", VolumeIds=[made])["Volumes"][0]["State"] == "available")
    with open(image(made), "wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["mkfs.ext4", "-q", "-L", "others", image(made)], check=True)
    return made


def names(volume_id, other):
    return {"volume": device(volume_id), "other": device(other)}


def swap_names(volume_id, other):
    """The power fails; the volumes come back in another order, and ours larger. The kernel asks disks side by side, and
    may number them in another order than that of the bus: then once more."""
    first = names(volume_id, other)
    wanted = {"volume": first["other"], "other": first["volume"]}
    lab("kill", NAME)
    os.truncate(image(volume_id), image(volume_id).stat().st_size + GIB)
    found = machine.find(NAME)
    machine.replace(found.attachments_file, dict(reversed(found.attachments.items())))
    for _ in range(5):
        lab("reboot", NAME)
        if eventually(lambda: all(names(volume_id, other).values()), READY_S) and names(volume_id, other) == wanted:
            break
        lab("kill", NAME)
    settle()
    equal(names(volume_id, other), wanted, "the disks' names are swapped")


def write_until_cut(kube):
    """ConfigMaps, one after another; the power fails while they are written. Returns those acknowledged."""
    written = [f"written-{number}" for number in range(25)]
    for name in written:
        kube.kubectl("create", "configmap", name)
    cut = subprocess.Popen([LAB / "lab", "kill", NAME])
    for name in (f"written-{number}" for number in range(25, 60)):
        if kube.kubectl("create", "configmap", name, check=False).returncode != 0:
            break
        written.append(name)
    cut.wait()
    ok(25 <= len(written) < 60, "the power fails while etcd writes", len(written))
    return written


# Secrets

def patterns():
    """Name to bytes, of every private key, token and password that is in the bucket."""
    index = json.loads(cluster.object_of("index.json"))
    public = json.dumps(index).encode() + b"".join(
        cluster.object_of(file["key"]).encode() for file in index["files"] if file["mode"] == "0644")
    found = {}
    keys = [file["key"] for file in index["files"] if file["mode"] == "0600"]
    if WHOLE:  # made last of all
        keys.append("node/join.json")
    for key in keys:
        content = cluster.object_of(key).encode()
        for data in (content, *_decoded(content)):
            for number, pem in enumerate(PRIVATE_KEY.finditer(data)):
                lines = pem[1].split()
                found |= {f"{key}, PEM {number}.{n}": line for n, line in enumerate(lines[1:-1])}
                found[f"{key}, key {number}"] = _number(pem[0])
            if b"-----BEGIN" not in data:
                words = re.findall(rb"[A-Za-z0-9+/_=.-]{16,}", data)
                found |= {f"{key}: {n}": word for n, word in enumerate(words) if re.search(rb"[0-9]", word)
                          and word not in public and b".k8s.io/" not in word
                          and b"CERTIFICATE" not in b"".join(_decoded(word))}
    return found


def _decoded(content):
    """What is in base64 within."""
    return [base64.b64decode(word) for word in re.findall(rb"[A-Za-z0-9+/]{64,}={0,2}", content) if len(word) % 4 == 0]


def _number(pem):
    key = serialization.load_pem_private_key(pem, None).private_numbers()
    number = key.private_value if hasattr(key, "private_value") else key.p
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def search(blob, wanted):
    return {name for name, pattern in wanted.items() if pattern in blob}


def search_image(path, wanted):
    """In what is written of a disk's image."""
    found, end = set(), os.path.getsize(path)
    with open(path, "rb") as file:
        at = 0
        while at < end:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break  # nothing but a hole
            found |= search(os.pread(file.fileno(), CHUNK, at), wanted)
            at += CHUNK - 4096
    return found


def from_inside(script):
    return base64.b64decode(inside(NAME, f"{{ {script}; }} | base64 -w0"))


# A life

def formatted_and_mounted(volume_id):
    """QEMU is ended in the midst of both."""
    cut_when(lambda: image(volume_id).exists() and image(volume_id).stat().st_blocks > 0,
             "while the volume is formatted")
    lab("reboot", NAME)
    cut_when(lambda: (superblock(volume_id) or (0, 0))[1] != 0, "while the volume is mounted")
    lab("reboot", NAME)


def etcd_writes():
    kube = cluster.connect()
    kept.plant(NAME, kube)
    before = kept.take(NAME, kube)
    written = write_until_cut(kube)
    lab("reboot", NAME)
    settle()
    # nobody asks that an entry of the audit log is on the disk before the answer is given
    equal(kept.lost(before, kept.take(NAME, kube), "auditID"), [], "what was there before is")
    have = {item["metadata"]["name"] for item in kube.get("configmaps")["items"]}
    equal(set(written) - have, set(), "every object that was acknowledged is there")
    equal(lab("exec", NAME, "kube-bootstrap", "run", check=False).returncode, 0, "a run by hand has nothing to do")


@pytest.fixture(scope="module")
def disks():
    """The cluster's and somebody's, of a master that boots; what is to stay of both."""
    with pytest.MonkeyPatch.context() as patch:
        # Disks as a cut may leave them are made of what was written, on zeros: so the volume must read as zeros before.
        patch.setenv("LAB_KNOBS", "none")
        lab("down")
        lab("up")
        found = SimpleNamespace(volume_id=region.seed()["volume_id"], other=other_volume())
        found.others = digest(found.other)
        instance_id = lab("run", "master", "--virtual", "--name", NAME).strip()
        region.call("ec2", "AttachVolume", VolumeId=found.other, InstanceId=instance_id, Device="/dev/sdp")
        yield found


def test_a_first_boot(disks):
    if WHOLE:
        formatted_and_mounted(disks.volume_id)
    settle()
    disks.made = superblock(disks.volume_id)[0]
    disks.size = image(disks.volume_id).stat().st_size


def test_a_power_cut_and_another_name(disks):
    kept.plant(NAME)
    before, room = kept.take(NAME), filesystem_bytes()
    swap_names(disks.volume_id, disks.other)
    ok(filesystem_bytes() - room > 0.9 * GIB, "the filesystem has grown with its disk", f"{room} {filesystem_bytes()}")
    # the steps after the secrets make their folders in the tmpfs in their own time
    eventually(lambda: not kept.lost(before, kept.take(NAME)))
    equal(kept.lost(before, kept.take(NAME)), [], "a power cut and another name have lost nothing")
    if WHOLE:
        etcd_writes()
    equal(superblock(disks.volume_id)[0], disks.made, "the filesystem is the one that was made first")


def test_no_core_file():
    before = told()["pid"]
    inside(NAME, "sysctl -qw kernel.core_pattern=/var/tmp/core.%e\n"
                 "(ulimit -c unlimited; sh -c 'kill -ABRT $$') || true\n"
                 "kill -ABRT $(systemctl show -P MainPID kube-bootstrap)")
    ok(eventually(lambda: told()["pid"] != before, READY_S), "its daemon is aborted, and started again")
    settle()
    equal(inside(NAME, "ls /var/tmp | grep core"), "core.sh", "it left no core file, where another process does")


def test_secrets(disks):
    """Nowhere but on the tmpfs; what was planted is found, so that another would be."""
    inside(NAME, f"echo {PLANTED} >/var/tmp/planted; logger {PLANTED}; PLANTED={PLANTED} sleep 600 & "
                 "journalctl --sync; sync")
    wanted = patterns()
    files = {name.split(",")[0].split(":")[0] for name in wanted}
    ok(len(wanted) > 40, "there are secrets to look for", wanted.keys())
    print(f"{len(wanted)} patterns of {len(files)} files")
    tmpfs = from_inside("find /srv/kubernetes -type f -exec cat {} +")
    ok(search(tmpfs, wanted), "they are on the tmpfs")
    wanted["planted"] = PLANTED.encode()
    for what, script in (("the journal", "journalctl -o cat --no-pager"),
                         ("processes' arguments and environment", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ")):
        equal(search(from_inside(f"{script} 2>/dev/null"), wanted), {"planted"}, f"in {what} is what was planted")
    lab("kill", NAME)
    equal(search_image(machine.find(NAME).disk, wanted), {"planted"}, "on the root disk is what was planted")
    for volume_id in (disks.volume_id, disks.other):
        equal(search_image(image(volume_id), wanted), set(), f"none is on {volume_id}")
        for log in virtual.logs(volume_id):
            equal(search_image(log, wanted), set(), f"none was ever written to it: {log.suffix}")


def test_the_other_disk(disks):
    equal(digest(disks.other), disks.others, "not a byte of the other disk has changed")


def test_disks_as_a_cut_may_leave_them(disks, build):
    build("effects", "kube-bootstrap")
    done = subprocess.run([sys.executable, CUTS_PROGRAM, str(CUTS), region.seed()["cluster"], disks.volume_id,
                           str(disks.size), *virtual.logs(disks.volume_id)],
                          check=False, capture_output=True, text=True)
    print(done.stdout, end="")
    ok(done.returncode == 0, f"{CUTS} of the disks that a power cut may leave: each next boot has one filesystem and "
                             "one set of secrets", done.stderr)
    lab("down")
