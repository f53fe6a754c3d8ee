# SPDX-License-Identifier: Apache-2.0
"""The next boot of a disk as a power cut may leave it, made of the log of what was written to it.

  test/tools/python cuts.py CUTS CLUSTER VOLUME SIZE LOG…   SIZE in bytes; the logs of the volume's boots, in their order

A disk with a volatile cache keeps what was written before the last flush that it has answered, and of
what came later any part. The log is dm-log-writes', as QEMU's blklogwrites makes it:
https://docs.kernel.org/admin-guide/device-mapper/log-writes.html
"""

import os
import random
import signal
import struct
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from boot_checks import machines  # noqa: E402
from boot_checks.state import Kept, check_whole, filesystem, learn  # noqa: E402
from boot_checks.tally import Tally, record  # noqa: E402

SECTOR = 512
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4
# https://docs.kernel.org/filesystems/ext4/journal.html
BLOCK, JOURNAL, JOURNAL_DURABLE = 4096, 0xC03B3998, (2, 3, 4)
SEED = int(os.environ.get("SEED", 1))
# What comes last of what is cut: afterwards the disk is of a cluster, with secrets of its own.
LAST = b"cluster-identity"
LATE = 12  # requests


@dataclass
class Entry:
    """One request: where, how much, of what kind, and its data."""
    at: int
    size: int
    flags: int
    log: Path
    data_at: int

    def is_durable(self):
        """Whether the disk has it before it answers. QEMU 7.2's NVMe does not tell that it was asked for that, so
        those that ext4 and its journal ask it for: a commit, and either's superblock, a block each."""
        if self.flags & FUA:
            return True
        if self.size != BLOCK:
            return False
        magic, kind = struct.unpack(">II", self.read(0, 8))
        return self.at == 0 or magic == JOURNAL and kind in JOURNAL_DURABLE

    def read(self, offset, size):
        with self.log.open("rb") as file:
            file.seek(self.data_at + offset)
            return file.read(size)


def entries(log):
    """The requests, in the order in which the disk had done them; at last a flush: whoever ends QEMU does not
    lose what it has written."""
    with log.open("rb") as file:
        magic, _, _, sector_bytes = struct.unpack("<QQQI", file.read(28))
        if magic == 0:  # the boot ended before anything was flushed
            return
        assert (magic, sector_bytes) == (MAGIC, SECTOR), (log, magic, sector_bytes)
        position = SECTOR
        while True:
            file.seek(position)
            at, count, flags, _ = struct.unpack("<QQQQ", file.read(32))
            if not count and not flags:
                break  # never written
            yield Entry(at * SECTOR, count * SECTOR, flags, log, position + SECTOR)
            position += SECTOR + (0 if flags & DISCARD else count * SECTOR)
    yield Entry(0, 0, FLUSH, log, position)


def kept(requests, cut, draw):
    """(offset on the disk, bytes) of what the disk holds when the power fails after `cut` requests; of what is
    in its cache each sector by chance, as draw (a random.Random) says."""
    flushed = max((n for n in range(cut) if requests[n].flags & FLUSH), default=0)
    for n, entry in enumerate(requests[:cut]):
        assert not entry.flags & DISCARD, "what a discarded block holds is not known"
        if n < flushed or entry.is_durable():
            yield entry.at, entry.read(0, entry.size)
            continue
        share = draw.choice((0, 0.5, 0.9, 1))
        for offset in range(0, entry.size, SECTOR):
            if draw.random() < share:
                yield entry.at + offset, entry.read(offset, SECTOR)


def make_disk(image, size, pieces):
    image.unlink(missing_ok=True)
    with image.open("xb") as disk:
        disk.truncate(size)
        for at, data in pieces:
            disk.seek(at)
            disk.write(data)


def boot_after(world, requests, cut, draw, volume_id, cluster, size, kinds):
    """A first boot by another machine, whose volume is what the power cut left; of another name here."""
    world.clear()
    make_disk(world.image(), size, ((at, data.replace(volume_id.encode(), world.volume_id.encode()))
                                    for at, data in kept(requests, cut, draw)))
    before = filesystem(world.image())
    kinds["a whole filesystem" if before else "none yet"] += 1
    machine = world.machine(CLUSTER_NAME=cluster)
    check_whole(world, machine, Kept(filesystem=before), machine.run())
    return "converged"


def alone():
    """Starts this program again in namespaces of its own: what it makes goes with it."""
    if os.environ.pop("ALONE", "") != "1":
        os.environ["ALONE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "--pid",
                              "--fork", "--kill-child", "--mount-proc", sys.executable, *sys.argv])
    machines.own_network()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def main(cuts, cluster, volume_id, size, *logs):
    alone()
    requests = [entry for log in logs for entry in entries(Path(log))]
    last = next(n for n, entry in enumerate(requests) if LAST in entry.read(0, entry.size))
    draw = random.Random(SEED)
    kinds, tally = Counter(), Tally("power cuts")
    many = int(cuts) // 2  # of all, and of the last, when there is a filesystem
    with machines.World() as world:
        good = world.machine(CLUSTER_NAME=cluster)
        assert good.run().done
        learn(world, good)
        for cut in draw.choices(range(1, last + 1), k=many) + draw.choices(range(last - LATE, last + 1), k=many):
            tally.attempt(cut, boot_after, world, requests, cut, draw, volume_id, cluster, int(size), kinds)
    print(f"# {tally.tried} cuts within {last} requests: {dict(kinds)}; "
          f"{sum(bool(entry.flags & FUA) for entry in requests)} of them FUA by the log, "
          f"{sum(entry.is_durable() for entry in requests[:last])} to be so")
    record(tally)
    return 0 if tally.is_good() and len(kinds) == 2 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
