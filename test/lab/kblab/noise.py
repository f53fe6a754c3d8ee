#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an encrypted EBS volume reads as where nobody has written: noise, the decryption of zeros.

usage: noise FILE BYTES SEED sparse|whole [IMITATE]

Makes FILE. The same seed makes the same noise. To keep it small, "sparse" has noise where anybody looks:
the first and the last 4 MiB, the 2048 blocks that the daemon samples (bootstrap/host/filesystem_internal.h), and
one 4-KiB block in 64 of the rest, at a place of its own among the 64.

IMITATE names a signature that libblkid takes random data for, since it has a short magic and no checksum:
  atari    a partition table: sizes that fit the disk, an active entry, three letters
           (bottlerocket#4855: one launch in 1,800)
  jbd      the journal of an ext4 filesystem, on a disk of its own
  jmicron  a member of a RAID: two letters in the last sector
"""

import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

MIB = 1 << 20
EDGE = 4 * MIB
BLOCK = 4096
SPREAD = 64  # blocks, one of which is noise
SAMPLES = 2048  # of the blocks between the first and the last MiB
WHOLE = 32 * MIB  # written at a time

MODES = ("sparse", "whole")


def _atari(start, end, size):
    """One valid entry of the four; a size, and a list of bad sectors, that fit the disk.
    https://github.com/util-linux/util-linux/blob/stable/v2.38/libblkid/src/partitions/atari.c"""
    sectors = size // 512
    words = {0x1C2: sectors - 7, 0x1CA: sectors // 3, 0x1CE: sectors // 5, 0x1F6: sectors // 7, 0x1FA: 3}
    for at, word in words.items():
        start[at:at + 4] = word.to_bytes(4, "big")
    start[0x1C6] |= 1
    start[0x1C7:0x1CA] = b"q7Z"


def _jbd(start, end, size):
    """ext4's magic, with the flag that it is a journal, and without the one that it has a checksum."""
    superblock = 1024
    start[superblock + 0x38:superblock + 0x3A] = b"\x53\xef"
    start[superblock + 0x60] |= 0x08
    start[superblock + 0x65] &= ~0x04


def _jmicron(start, end, size):
    end[-512:-510] = b"JM"


IMITATIONS = {"atari": _atari, "jbd": _jbd, "jmicron": _jmicron}


def _is_known(path):
    """Whether libblkid takes the file for something: it ends with 2 where it finds nothing."""
    return subprocess.run(["blkid", "--probe", path], stdout=subprocess.DEVNULL, check=False).returncode != 2


def write(path, size, seed, mode="sparse", imitate=""):
    """Makes the file of a volume of this size, which is a multiple of a MiB.

    A draw that looks like something by chance is drawn again: a test asks for a signature, or has none.
    """
    path.unlink(missing_ok=True)
    for number in itertools.count():
        _draw(path, size, random.Random(f"{seed} {number}"), mode, imitate)
        if imitate or not _is_known(path):
            return
        path.unlink()


def _draw(path, size, draw, mode, imitate):
    edge = min(EDGE, size // 2)
    start, end = bytearray(draw.randbytes(edge)), bytearray(draw.randbytes(edge))
    if imitate:
        IMITATIONS[imitate](start, end, size)
    with open(path, "xb") as file:
        file.truncate(size)
        file.write(start)
        if mode == "whole":
            for at in range(edge, size - edge, WHOLE):
                file.write(draw.randbytes(min(WHOLE, size - edge - at)))
        else:
            file.flush()
            for at in range(edge, size - edge, SPREAD * BLOCK):
                block = at + BLOCK * draw.randrange(min(SPREAD, (size - edge - at) // BLOCK))
                os.pwrite(file.fileno(), draw.randbytes(BLOCK), block)
            between = (size - 2 * MIB) // BLOCK
            for sample in range(SAMPLES):
                block = MIB + sample * between // SAMPLES * BLOCK
                if edge <= block < size - edge:
                    os.pwrite(file.fileno(), draw.randbytes(BLOCK), block)
        file.seek(size - edge)
        file.write(end)


def main(argv):
    if len(argv) not in (5, 6) or argv[4] not in MODES or argv[5:] and argv[5] not in ("", *IMITATIONS):
        print(__doc__.strip(), file=sys.stderr)
        return 64
    new = Path(argv[1] + ".new")
    write(new, int(argv[2]), *argv[3:])
    new.rename(argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
