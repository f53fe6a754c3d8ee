#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Everything that Debian's tools can write to a disk, whole and damaged: the daemon's formatting
refuses each and leaves every byte. TAP. Needs root; drives test_filesystem as a tool.

  formats.py           a share of the damage and of the single bytes, always the same (SEED=N: another)
  SHARE=1 formats.py   all of it
"""

import errno
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True

from boot_checks.tally import Tally, record  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "build/debug/unit/test_filesystem"
# Of this run alone: two disks that both say they are the volume are refused for that.
VOLUME, LABEL = f"vol-{random.getrandbits(68):017x}", "kb-0123456789ab"
MIB = 1 << 20
SHARE = float(os.environ.get("SHARE", "0.05"))
SEED = int(os.environ.get("SEED", 1))  # which share
DAMAGES = 30  # of each format, so many places
RANDOM_BYTES = 400

LUKS = "echo secret | cryptsetup -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 luksFormat "
# What is made, MiB, how. {disk} is the device; what is not installed is skipped.
FORMATS = (
    ("ext2", 64, "mkfs.ext2 -q {disk}"),
    ("ext3", 64, "mkfs.ext3 -q {disk}"),
    ("ext4", 64, "mkfs.ext4 -q {disk}"),
    ("ext4 of 1 KiB", 64, "mkfs.ext4 -q -b 1024 {disk}"),
    ("ext4 of another cluster", 64, "mkfs.ext4 -q -L kb-other {disk}"),
    ("an external journal", 64, "mke2fs -q -O journal_dev {disk}"),
    ("xfs", 320, "mkfs.xfs -q {disk}"),
    ("btrfs", 128, "mkfs.btrfs -q {disk}"),
    ("f2fs", 128, "mkfs.f2fs -q {disk}"),
    ("jfs", 64, "mkfs.jfs -q {disk}"),
    ("reiserfs", 64, "mkfs.reiserfs -q -f {disk}"),
    ("reiser4", 64, "mkfs.reiser4 -y -f {disk}"),
    ("nilfs2", 256, "mkfs.nilfs2 -q {disk}"),
    ("ntfs", 64, "mkfs.ntfs -q -F -f {disk}"),
    ("exfat", 64, "mkfs.exfat {disk}"),
    ("fat12", 64, "mkfs.fat -F 12 -s 64 -I {disk}"),
    ("fat16", 64, "mkfs.fat -F 16 -I {disk}"),
    ("fat32", 64, "mkfs.fat -F 32 -I {disk}"),
    ("udf", 64, "mkfs.udf {disk}"),
    ("udf of 4 KiB", 64, "mkfs.udf --blocksize=4096 {disk}"),
    ("minix 1", 64, "mkfs.minix -1 {disk}"),
    ("minix 3", 64, "mkfs.minix -3 {disk}"),
    ("bfs", 64, "mkfs.bfs {disk}"),
    ("cramfs", 64, "mkfs.cramfs {folder} {disk}"),
    ("squashfs", 64, "mksquashfs {folder} {disk} -noappend -quiet -no-progress"),
    ("erofs", 64, "mkfs.erofs --quiet {image} {folder} && cp {image} {disk}"),
    ("iso9660", 64, "genisoimage -quiet -o {disk} {folder}"),
    ("gfs2", 64, "mkfs.gfs2 -q -O -p lock_nolock -J 8 {disk}"),
    ("ocfs2", 256, "mkfs.ocfs2 -q -M local --force {disk}"),
    ("jffs2", 64, "mkfs.jffs2 -r {folder} -p0x100000 -o {disk}"),
    ("bcache", 64, "make-bcache -B {disk}"),
    ("a bcache's cache", 64, "make-bcache -C {disk}"),
    ("swap", 64, "mkswap -q {disk}"),
    ("LUKS 1", 64, LUKS + "--type luks1 {disk} -"),
    ("LUKS 2", 64, LUKS + "--type luks2 {disk} -"),
    ("an MBR", 64, "echo 'start=2048, type=83' | sfdisk -q --no-reread --no-tell-kernel {disk}"),
    ("a GPT", 64, "sgdisk -n 1 {disk}"),
    ("a table of sfdisk's sgi", 64, "echo 'label: sgi' | sfdisk -q --no-reread {disk}"),
    ("a table of sfdisk's sun", 64, "echo 'label: sun' | sfdisk -q --no-reread {disk}"),
    *((f"a table of parted's {kind}", 64, f"parted -s {{disk}} mklabel {kind}") for kind in (
        "amiga", "atari", "bsd", "dvh", "mac", "pc98")),
)
# Superblocks whose tools want a kernel that runs what they make: (at, bytes) of the parts that
# tell them. An at below 0 counts from the end.
BY_HAND = (
    ("random bytes", [(0, random.Random(SEED).randbytes(64 * MIB))]),
    ("MD 0.90", [(-65536, bytes.fromhex("fc4e2ba9") + bytes(4) + (90).to_bytes(4, "little"))]),
    ("MD 1.0", [(-8192, bytes.fromhex("fc4e2ba901000000"))]),
    ("MD 1.1", [(0, bytes.fromhex("fc4e2ba901000000"))]),
    ("MD 1.2", [(4096, bytes.fromhex("fc4e2ba901000000"))]),
    ("LVM 2", [(512, b"LABELONE" + bytes([1]) + bytes(15) + b"LVM2 001" + b"u" * 32)]),
    ("a ZFS label", [(128 * 1024 + i * 1024, bytes.fromhex("0cb1ba0000000000"))
                     for i in range(8)]),
    ("bcachefs", [(4096 + 24, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81"))]),
    ("Intel's RAID", [(-1024, b"Intel Raid ISM Cfg Sig. 1.0.00")]),
    ("DDF's RAID", [(-512, bytes.fromhex("de11de11"))]),
    ("DRBD", [(-4096, bytes(60) + bytes.fromhex("8374026d"))]),
    ("VMFS", [(MIB - 4, bytes.fromhex("0dd001c0"))]),
    ("Ceph's bluestore", [(0, b"bluestore block device\n")]),
    ("Oracle ASM", [(32, b"ORCLDISK")]),
    ("HFS+", [(1024, b"H+\0\4")]),
    ("APFS", [(32, b"NXSB")]),
    ("Stratis", [(4096 + 4, b"!Stra0tis\x86\xff\x02^\x41rh")]),
)


class Disk:
    """A loop device that says it is the volume."""

    def __init__(self, folder, mib):
        self.image = Path(folder) / f"{VOLUME}.img"
        with self.image.open("wb") as file:
            file.truncate(mib * MIB)
        self.size = mib * MIB
        self.node = run(["losetup", "--find", "--show", self.image]).stdout.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run(["losetup", "--detach", self.node])
        self.image.unlink()

    def put(self, at, data):
        with open(self.node, "r+b", buffering=0) as device:
            device.seek(at, 0 if at >= 0 else 2)
            device.write(data)

    def get(self, at, size):
        with open(self.node, "rb", buffering=0) as device:
            device.seek(at)
            return device.read(size)

    def data(self):
        """(at, bytes) of what has ever been written: holes of the image, in a tmpfs, are not read."""
        with open(self.node, "rb") as device:
            os.fsync(device.fileno())
        with self.image.open("rb", buffering=0) as image:
            end = 0
            while True:
                try:
                    begin = os.lseek(image.fileno(), end, os.SEEK_DATA)
                except OSError as problem:
                    if problem.errno == errno.ENXIO:  # none up to the end
                        return
                    raise
                end = os.lseek(image.fileno(), begin, os.SEEK_HOLE)
                yield begin, os.pread(image.fileno(), end - begin, begin)

    def digest(self):
        sum_of_all = hashlib.sha256()
        for at, data in self.data():
            sum_of_all.update(at.to_bytes(8, "big") + data)
        return sum_of_all.hexdigest()

    def is_zero(self):
        return not any(data.strip(b"\0") for _, data in self.data())

    def tool(self, verb):
        return subprocess.run([TOOL, verb, self.node, VOLUME, LABEL], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, errors="backslashreplace",
                              check=False)

    def is_kept(self, what, holds=""):
        """Formatting is refused for what is on the disk, says that it is unsafe, and changes nothing."""
        before = self.digest()
        said = self.tool("format")
        assert self.digest() == before, f"{what}: the disk has changed"
        assert said.returncode != 0 and said.stdout.startswith("unsafe: "), (what, said)
        assert f"{self.node} holds {holds}" in said.stdout, (what, said)
        return outcome(said)


def outcome(said):
    """What came of a format, by the tool's own answer."""
    if said.returncode == 0:
        return "converged"
    assert said.stdout.startswith(("unsafe: ", "retry: ")), said
    return "refused"


def run(command, **how):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, **how)


class Missing(Exception):
    """The tool is not installed."""


def make(disk, command, folder):
    for word in command.replace("|", " ").replace("&", " ").split():
        if word.startswith(("mk", "make-", "gen", "parted", "sgdisk", "sfdisk", "cryptsetup")) and \
                word != "mklabel":
            if shutil.which(word, path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
                raise Missing(word)
            break
    content = Path(folder) / "content"
    content.mkdir(exist_ok=True)
    (content / "file").write_text("kept\n" * 1000)
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command.format(
        disk=disk.node, folder=content, image=Path(folder) / "made")], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        env=os.environ | {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    assert done.returncode == 0, f"{command}: {done.stdout}"


def a_format(folder, mib, command):
    """As it was made; and with any of its bytes another, also in what tells what it is."""
    with Disk(folder, mib) as disk:
        make(disk, command, folder)
        return [disk.is_kept(command), *damage(disk, command)]


def damage(disk, what):
    """Bytes in the first MiB, where a format says what it is, changed or wiped one after another."""
    draw = random.Random(f"{SEED} {what}")
    outcomes = []
    used = [at for at in range(0, MIB, 512) if any(disk.get(at, 512))]
    for _ in range(max(1, round(DAMAGES * SHARE))):
        if not used:
            break
        at = draw.choice(used)
        old = disk.get(at, 512)
        spoilt = bytearray(old)
        spoilt[draw.randrange(512)] ^= 0xFF
        for new in (bytes(512), spoilt):
            disk.put(at, new)
            if any(disk.get(0, MIB)) or any(disk.get(disk.size - MIB, MIB)):
                outcomes.append(disk.is_kept(f"{what}, sector {at} changed"))
        disk.put(at, old)
    return outcomes


def by_hand(folder, parts):
    with Disk(folder, 64) as disk:
        for at, data in parts:
            disk.put(at, data)
        return [disk.is_kept(f"parts at {[at for at, _ in parts]}")]


def single_bytes(folder):
    """Zeros but for one byte in the first or the last MiB: at every edge, and anywhere."""
    draw = random.Random(SEED)
    edges = sorted({max(0, min(MIB - 1, (1 << bit) + off)) for bit in range(21)
                    for off in (-1, 0, 1)} | set(range(0, MIB, 4096)) |
                   set(range(4095, MIB, 4096)))
    anywhere = [draw.randrange(MIB) for _ in range(RANDOM_BYTES)]
    if SHARE < 1:
        edges = draw.sample(edges, round(len(edges) * SHARE))
        anywhere = anywhere[:round(len(anywhere) * SHARE)]
    outcomes = []
    with Disk(folder, 64) as disk:
        for base in (0, disk.size - MIB):
            for at in edges + anywhere:
                disk.put(base + at, bytes([draw.randrange(1, 256)]))
                outcomes.append(disk.is_kept(f"byte {base + at}", f"unrecognised data at byte {base + at}:"))
                disk.put(base + at, b"\0")
        assert disk.is_zero(), "something else"
    return outcomes


def our_own(folder):
    """A filesystem of ours with any byte of its superblock another is neither ours any more nor made anew."""
    with Disk(folder, 64) as disk:
        assert disk.tool("format").returncode == 0
        before = disk.digest()
        said = disk.tool("format-spoilt")
        answers = said.stdout.splitlines()
        assert said.returncode == 0 and len(answers) == 1024, said
        for at, answer in enumerate(answers):
            assert answer.startswith("unsafe: ") and f"{disk.node} holds " in answer, (at, answer)
        assert disk.digest() == before, "the disk has changed"
        assert disk.tool("format").returncode == 0
    return ["refused"] * len(answers)


def a_dirty_journal(folder):
    """Power lost under a mount: ours, replayed by the check, and what was synced is there."""
    point = Path(folder) / "mount"
    point.mkdir(exist_ok=True)
    with Disk(folder, 64) as disk:
        assert disk.tool("format").returncode == 0
        run(["mount", disk.node, point])
        try:
            (point / "file").write_text("kept\n")
            descriptor = os.open(point / "file", os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
            image = disk.image.read_bytes()
        finally:
            run(["umount", point])
        with open(disk.node, "r+b") as device:
            device.write(image)
            device.flush()
            os.fsync(device.fileno())
        features = run(["dumpe2fs", "-h", disk.node], stderr=subprocess.DEVNULL).stdout
        assert "needs_recovery" in features, features
        before = disk.digest()
        said = disk.tool("format")
        assert said.returncode == 0 and disk.digest() == before, said
        assert disk.tool("check").returncode == 0
        run(["mount", disk.node, point])
        try:
            assert (point / "file").read_text() == "kept\n"
        finally:
            run(["umount", point])
    return [outcome(said)]


def has_open(pid, node):
    """Whether the process has the node open."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(descriptor) == node:
                return True
        except FileNotFoundError:  # closed since
            pass
    return False


def format_once(disk, before):
    """How formatting ends that waits for another's lock on the disk, while `before` happens to it."""
    with open(disk.node, "rb") as held:
        subprocess.run(["flock", "--shared", str(held.fileno())], pass_fds=[held.fileno()],
                       check=True)
        running = subprocess.Popen([TOOL, "format", disk.node, VOLUME, LABEL],
                                   stdout=subprocess.PIPE, text=True)
        while not has_open(running.pid, disk.node):
            assert running.poll() is None, running.communicate()
        before()
    output = running.communicate(timeout=300)[0]
    return subprocess.CompletedProcess(running.args, running.returncode, output)


def a_device_that_vanishes(folder):
    """Gone between the look and the writing: an error, not a blank disk."""
    with Disk(folder, 64) as disk:
        said = format_once(disk, lambda: os.truncate(disk.image, 0))
        assert outcome(said) == "refused", said
    return [outcome(said)]


def another_serial(folder):
    """Another volume's between the look and the writing, and as blank: it is left alone."""
    with Disk(folder, 64) as disk:
        other = disk.image.with_name("vol-00000000000000000.img")
        said = format_once(disk, lambda: disk.image.rename(other))
        other.rename(disk.image)
        assert said.stdout.startswith("unsafe: ") and "no longer volume" in said.stdout, said
        assert disk.is_zero(), said
    return [outcome(said)]


def main():
    if os.geteuid() != 0:
        print("ok 1 - disk formats # SKIP needs root, for loop devices\n1..1")
        return 0
    if os.environ.pop("ALONE", "") != "1":
        os.environ["ALONE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable,
                              *sys.argv])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no device stays
    subprocess.run(["make", "-s", "VARIANT=debug", TOOL.relative_to(ROOT)], cwd=ROOT, check=True)
    checks = [(f"{name} keeps every byte", a_format, (mib, how)) for name, mib, how in FORMATS]
    checks += [(f"{name} keeps every byte", by_hand, (parts,)) for name, parts in BY_HAND]
    checks += [("one byte is enough", single_bytes, ()),
               ("a damaged one of ours is refused and keeps every byte", our_own, ()),
               ("a dirty journal is replayed", a_dirty_journal, ()),
               ("a device that vanishes is an error", a_device_that_vanishes, ()),
               ("a device that becomes another volume is left", another_serial, ())]
    tally = Tally("disks")
    folder = tempfile.mkdtemp(prefix="formats-test.")
    run(["mount", "-t", "tmpfs", "formats", folder])
    try:
        for number, (name, check, arguments) in enumerate(checks, 1):
            try:
                tally.add(Counter(check(folder, *arguments)))
                print(f"ok {number} - {name}", flush=True)
            except Missing as tool:
                print(f"ok {number} - {name} # SKIP {tool} is not installed")
            except Exception as problem:
                tally.add({"lost": 1})
                print(f"not ok {number} - {name}")
                for line in str(problem).splitlines():
                    print(f"# {line}", flush=True)
    finally:
        run(["umount", folder])
        os.rmdir(folder)
    record(tally)
    print(f"# {tally.tried} disks tried: {tally.count['refused']} refused, {tally.count['converged']} converged, "
          f"{tally.count['lost']} wrong")
    print(f"1..{len(checks)}")
    return 0 if tally.is_good() else 1


if __name__ == "__main__":
    sys.exit(main())
