# SPDX-License-Identifier: Apache-2.0
"""Everything that Debian's tools can write to a disk, whole and damaged: the daemon's formatting refuses each and
leaves every byte.

SHARE=1: all of the damage and of the single bytes, and not a share that is always the same (SEED=N: another).
"""

import os
import random
import subprocess
from collections import Counter

import pytest

from boot_checks.tally import Tally, record
from disks.disk import MIB, run

pytestmark = pytest.mark.needs_root
SHARE = float(os.environ.get("SHARE", "0.05"))
SEED = int(os.environ.get("SEED", "1"))  # which share
DAMAGES = 30  # of each format, so many places
RANDOM_BYTES = 400

LUKS = "echo secret | cryptsetup -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 luksFormat "
# Name, MiB, how it is made, how a probe of it begins. {disk} is the device; what is not installed is skipped.
FORMATS = (
    ("ext2", 64, "mkfs.ext2 -q {disk}", "foreign: ext2 (UUID "),
    ("ext3", 64, "mkfs.ext3 -q {disk}", "foreign: ext3 (UUID "),
    ("ext4 without a label", 64, "mkfs.ext4 -q {disk}", "foreign: ext4 (UUID "),
    ("ext4 of 1 KiB", 64, "mkfs.ext4 -q -b 1024 {disk}", "foreign: ext4 (UUID "),
    ("ext4 of another cluster", 64, "mkfs.ext4 -q -L kb-other {disk}", 'foreign: ext4 labelled "kb-other"'),
    ("an external journal", 64, "mke2fs -q -O journal_dev {disk}", "foreign: jbd"),
    ("xfs", 320, "mkfs.xfs -q {disk}", "foreign: xfs"),
    ("btrfs", 128, "mkfs.btrfs -q {disk}", "foreign: btrfs"),
    ("f2fs", 128, "mkfs.f2fs -q {disk}", "foreign: f2fs"),
    ("jfs", 64, "mkfs.jfs -q {disk}", "foreign: jfs"),
    ("reiserfs", 64, "mkfs.reiserfs -q -f {disk}", "foreign: reiserfs"),
    ("reiser4", 64, "mkfs.reiser4 -y -f {disk}", "foreign: reiser4"),
    ("nilfs2", 256, "mkfs.nilfs2 -q {disk}", "foreign: nilfs2"),
    ("ntfs", 64, "mkfs.ntfs -q -F -f {disk}", "foreign: ntfs"),
    ("exfat", 64, "mkfs.exfat {disk}", "foreign: exfat"),
    ("fat12", 64, "mkfs.fat -F 12 -s 64 -I {disk}", "foreign: vfat"),
    ("fat16", 64, "mkfs.fat -F 16 -I {disk}", "foreign: vfat"),
    ("fat32", 64, "mkfs.fat -F 32 -I {disk}", "foreign: vfat"),
    ("udf", 64, "mkfs.udf {disk}", "foreign: udf"),
    ("udf of 4 KiB", 64, "mkfs.udf --blocksize=4096 {disk}", "foreign: udf"),
    ("minix 1", 64, "mkfs.minix -1 {disk}", "foreign: minix"),
    ("minix 3", 64, "mkfs.minix -3 {disk}", "foreign: minix"),
    ("bfs", 64, "mkfs.bfs {disk}", "foreign: bfs"),
    ("cramfs", 64, "mkfs.cramfs {folder} {disk}", "foreign: cramfs"),
    ("squashfs", 64, "mksquashfs {folder} {disk} -noappend -quiet -no-progress", "foreign: squashfs"),
    ("erofs", 64, "mkfs.erofs --quiet {image} {folder} && cp {image} {disk}", "foreign: erofs"),
    ("iso9660", 64, "genisoimage -quiet -o {disk} {folder}", "foreign: iso9660"),
    ("gfs2", 64, "mkfs.gfs2 -q -O -p lock_nolock -J 8 {disk}", "foreign: gfs2"),
    ("ocfs2", 256, "mkfs.ocfs2 -q -M local --force {disk}", "foreign: ocfs2"),
    ("jffs2", 64, "mkfs.jffs2 -r {folder} -p0x100000 -o {disk}", "unrecognised: unrecognised data at byte 0"),
    ("bcache", 64, "make-bcache -B {disk}", "foreign: bcache"),
    ("a bcache's cache", 64, "make-bcache -C {disk}", "foreign: bcache"),
    ("swap", 64, "mkswap -q {disk}", "foreign: swap"),
    ("LUKS 1", 64, LUKS + "--type luks1 {disk} -", "foreign: crypto_LUKS"),
    ("LUKS 2", 64, LUKS + "--type luks2 {disk} -", "foreign: crypto_LUKS"),
    ("an LVM physical volume", 64, "pvcreate -q {disk}", "foreign: LVM2_member"),
    ("an MBR", 64, "echo 'start=2048, type=83' | sfdisk -q --no-reread --no-tell-kernel {disk}",
     "foreign: partition table (dos)"),
    ("a GPT", 64, "sgdisk -n 1 {disk}", "foreign: partition table (gpt)"),
    *((f"a table of sfdisk's {kind}", 64, f"echo 'label: {kind}' | sfdisk -q --no-reread {{disk}}",
       f"foreign: partition table ({kind})") for kind in ("sgi", "sun")),
    *((f"a table of parted's {kind}", 64, f"parted -s {{disk}} mklabel {kind}", probed) for kind, probed in (
        ("amiga", "unrecognised: unrecognised data at byte "), ("atari", "unrecognised: unrecognised data at byte "),
        ("bsd", "unrecognised: unrecognised data at byte "), ("dvh", "foreign: partition table (sgi)"),
        ("mac", "foreign: partition table (mac)"), ("pc98", "foreign: partition table (dos)"))),
)
# Superblocks whose tools want a kernel that runs what they make: (at, bytes) of the parts that tell them, and how a
# probe begins. An at below 0 counts from the end.
BY_HAND = (
    ("random bytes", [(0, random.Random(SEED).randbytes(64 * MIB))], "noise: random bytes from byte 0 on"),
    ("random bytes at its beginning", [(0, random.Random(SEED).randbytes(4 * MIB))],
     "noise: random bytes from byte 0 on"),
    ("one byte in the first MiB", [(1000000, b"x")], "unrecognised: unrecognised data at byte 1000000"),
    ("one byte in the last MiB", [(-1, b"x")], "unrecognised: unrecognised data at byte 67108863"),
    ("MD 0.90", [(-65536, bytes.fromhex("fc4e2ba9") + bytes(4) + (90).to_bytes(4, "little"))],
     "foreign: linux_raid_member"),
    ("MD 1.0", [(-8192, bytes.fromhex("fc4e2ba901000000"))], "unrecognised: "),
    ("MD 1.1", [(0, bytes.fromhex("fc4e2ba901000000"))], "foreign: linux_raid_member"),
    ("MD 1.2", [(4096, bytes.fromhex("fc4e2ba901000000"))], "unrecognised: "),
    ("LVM 2", [(512, b"LABELONE" + bytes([1]) + bytes(15) + b"LVM2 001" + b"u" * 32)], "foreign: LVM2_member"),
    ("a ZFS label", [(128 * 1024 + i * 1024, bytes.fromhex("0cb1ba0000000000")) for i in range(8)],
     "foreign: zfs_member"),
    ("bcachefs", [(4096 + 24, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81"))], "unrecognised: "),
    ("Intel's RAID", [(-1024, b"Intel Raid ISM Cfg Sig. 1.0.00")], "foreign: isw_raid_member"),
    ("DDF's RAID", [(-512, bytes.fromhex("de11de11"))], "foreign: ddf_raid_member"),
    ("DRBD", [(-4096, bytes(60) + bytes.fromhex("8374026d"))], "foreign: drbd"),
    ("VMFS", [(MIB - 4, bytes.fromhex("0dd001c0"))], "unrecognised: "),
    ("Ceph's bluestore", [(0, b"bluestore block device\n")], "foreign: ceph_bluestore"),
    ("Oracle ASM", [(32, b"ORCLDISK")], "foreign: oracleasm"),
    ("HFS+", [(1024, b"H+\0\4")], "unrecognised: "),
    ("APFS", [(32, b"NXSB")], "unrecognised: "),
    ("Stratis", [(4096 + 4, b"!Stra0tis\x86\xff\x02^\x41rh")], "unrecognised: "),
)


def rows(table):
    return [pytest.param(*row, id=name.replace(" ", "-")) for name, *row in table]


@pytest.fixture(scope="module")
def tally():
    """For test/faults."""
    disks = Tally("disks")
    yield disks
    record(disks)


@pytest.fixture
def tried(request, tally):
    """Counts a test's disks by what became of them; a test that fails counts as one that was lost."""
    failures, outcomes = request.session.testsfailed, Counter()
    yield outcomes
    tally.add(outcomes if request.session.testsfailed == failures else {"lost": 1})


def make(disk, command, folder):
    content = folder / "content"
    content.mkdir()
    (content / "file").write_text("kept\n" * 1000, encoding="utf-8")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command.format(disk=disk.node, folder=content,
                                                                         image=folder / "made")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                          env=os.environ | {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    if done.returncode == 127:
        pytest.skip(f"not installed: {done.stdout}")
    assert done.returncode == 0, f"{command}: {done.stdout}"


@pytest.mark.parametrize("mib, command, probed", rows(FORMATS))
def test_a_format_is_refused_by_its_name_and_keeps_every_byte(new_disk, tried, tmp_path, mib, command, probed):
    """As it was made; and with bytes in its first MiB, where a format says what it is, changed or wiped."""
    if command.startswith("pvcreate") and not os.path.exists("/dev/mapper/control"):
        pytest.skip("pvcreate needs device mapper (the unit test makes one)")
    disk = new_disk(mib)
    make(disk, command, tmp_path)
    disk.assert_refused(command, probed)
    tried["refused"] += 1
    draw = random.Random(f"{SEED} {command}")
    used = [at for at in range(0, MIB, 512) if any(disk.get(at, 512))]
    for _ in range(max(1, round(DAMAGES * SHARE)) if used else 0):
        at = draw.choice(used)
        old = disk.get(at, 512)
        spoilt = bytearray(old)
        spoilt[draw.randrange(512)] ^= 0xFF
        for new in (bytes(512), spoilt):
            disk.put(at, new)
            if any(disk.get(0, MIB)) or any(disk.get(disk.size - MIB, MIB)):
                disk.assert_refused(f"{command}, sector {at} changed")
                tried["refused"] += 1
        disk.put(at, old)


@pytest.mark.parametrize("parts, probed", rows(BY_HAND))
def test_a_superblock_is_refused_and_keeps_every_byte(new_disk, tried, parts, probed):
    disk = new_disk(64)
    for at, data in parts:
        disk.put(at, data)
    disk.assert_refused(f"parts at {[at for at, _ in parts]}", probed)
    tried["refused"] += 1


def test_one_byte_is_enough(new_disk, tried):
    """Zeros but for one byte in the first or the last MiB: at every edge, and anywhere."""
    draw = random.Random(SEED)
    edges = sorted({max(0, min(MIB - 1, (1 << bit) + off)) for bit in range(21) for off in (-1, 0, 1)} |
                   set(range(0, MIB, 4096)) | set(range(4095, MIB, 4096)))
    anywhere = [draw.randrange(MIB) for _ in range(RANDOM_BYTES)]
    if SHARE < 1:
        edges = draw.sample(edges, round(len(edges) * SHARE))
        anywhere = anywhere[:round(len(anywhere) * SHARE)]
    disk = new_disk(64)
    for base in (0, disk.size - MIB):
        for at in edges + anywhere:
            disk.put(base + at, bytes([draw.randrange(1, 256)]))
            said = disk.assert_refused(f"byte {base + at}")
            assert f" holds unrecognised data at byte {base + at}:" in said, said
            disk.put(base + at, b"\0")
            tried["refused"] += 1
    assert disk.is_zero(), "something else"


def test_ours_with_a_damaged_superblock_is_refused_and_keeps_every_byte(new_disk, tried):
    """Any byte of its superblock another: neither ours any more nor made anew."""
    disk = new_disk(64)
    assert disk.format().returncode == 0
    before = disk.digest()
    said = disk.tool("format-spoilt")
    answers = said.stdout.splitlines()
    assert said.returncode == 0 and len(answers) == 1024, said
    for at, answer in enumerate(answers):
        assert answer.startswith("unsafe: ") and f"{disk.node} holds " in answer, (at, answer)
    assert disk.digest() == before, "the disk has changed"
    assert disk.format().returncode == 0
    tried["refused"] += len(answers)


def test_a_dirty_journal_is_replayed(new_disk, tried, tmp_path):
    """Power lost under a mount: ours, replayed by the check, and what was synced is there."""
    disk = new_disk(64)
    assert disk.format().returncode == 0
    run("mount", disk.node, tmp_path)
    try:
        with open(tmp_path / "file", "w", encoding="utf-8") as file:
            file.write("kept\n")
            file.flush()
            os.fsync(file.fileno())
        image = disk.image.read_bytes()
    finally:
        run("umount", tmp_path)
    disk.put(0, image)
    features = run("dumpe2fs", "-h", disk.node, stderr=subprocess.DEVNULL)
    assert "needs_recovery" in features, features
    before = disk.digest()
    said = disk.format()
    assert said.returncode == 0 and disk.digest() == before, said
    assert disk.tool("check").returncode == 0
    run("mount", disk.node, tmp_path)
    try:
        assert (tmp_path / "file").read_text(encoding="utf-8") == "kept\n"
    finally:
        run("umount", tmp_path)
    tried["converged"] += 1


def test_a_device_that_vanishes_is_an_error(new_disk, tried, tmp_path):
    """Gone between the look and the writing: an error, not a blank disk."""
    disk = new_disk(64)
    said = disk.format_behind_lock(tmp_path / "calls", lambda: disk.lose(0))
    assert said.returncode != 0 and said.stdout.startswith(("unsafe: ", "retry: ")), said
    tried["refused"] += 1


def test_a_device_that_becomes_another_volume_is_left(new_disk, tried, tmp_path):
    """Another volume's between the look and the writing, and as blank: it is left alone."""
    disk = new_disk(64)
    other = disk.image.with_name("vol-00000000000000000.img")
    said = disk.format_behind_lock(tmp_path / "calls", lambda: disk.image.rename(other))
    other.rename(disk.image)
    assert said.returncode != 0 and said.stdout.startswith("unsafe: ") and "no longer volume" in said.stdout, said
    assert disk.is_zero(), said
    tried["refused"] += 1
