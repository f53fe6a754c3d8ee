# SPDX-License-Identifier: Apache-2.0
"""Loop devices that the daemon takes for EBS volumes."""

import errno
import fcntl
import hashlib
import os
import secrets
import subprocess
import time

LABEL = "kb-0123456789ab"
MIB = 1 << 20


def run(*command, **how):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, **how).stdout.strip()


def some_volume():
    """Two disks that both say that they are one volume are refused, so each has its own."""
    return f"vol-{secrets.randbits(68):017x}"


class Disk:
    """A loop device of so many MiB, all zero. Its image lies in a folder in memory, where fsync costs nothing, and has
    the name of the volume, as an EBS volume's device has it for a serial."""

    def __init__(self, program, mib, folder):
        self.program, self.volume, self.size = program, some_volume(), mib * MIB
        self.image = folder / f"{self.volume}.img"
        self.image.touch(exist_ok=False)
        os.truncate(self.image, self.size)
        self.node = run("losetup", "--find", "--show", self.image)
        # The kernel detaches a device when its last user closes it: so it ends with this process, however that ends.
        self.held = os.open(self.node, os.O_RDONLY)
        run("losetup", "--detach", self.node)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.held)
        self.image.unlink()

    # What the daemon makes of it

    def command(self, verb):
        return [self.program, verb, self.node, self.volume, LABEL]

    def tool(self, verb, **variables):
        """How test_filesystem ends, which does this with the disk as the daemon would."""
        return subprocess.run(self.command(verb), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              errors="backslashreplace", check=False, env=os.environ | variables)

    def probe(self):
        """What is on the disk, as "CONTENT: WHAT"."""
        return self.tool("probe").stdout.strip()

    def format(self):
        return self.tool("format")

    def format_behind_lock(self, calls, meanwhile):
        """How a format ends that waits for another program's lock while meanwhile() is called. Its flock calls go to
        the file `calls`."""
        with open(self.node, "rb") as other:
            fcntl.flock(other, fcntl.LOCK_SH)
            with subprocess.Popen(["strace", "-qq", "-e", "signal=none", "-e", "trace=flock", "-o", calls,
                                   *self.command("format")], stdout=subprocess.PIPE, text=True) as running:
                while not calls.exists() or "EAGAIN" not in calls.read_text(encoding="utf-8"):
                    assert running.poll() is None, f"it waits for no lock: {running.stdout.read()}"
                    time.sleep(0.05)
                meanwhile()
                other.close()
                output = running.communicate()[0]
        return subprocess.CompletedProcess(running.args, running.returncode, output)

    # What is on it

    def put(self, at, data):
        """Writes it there; a place below 0 counts from the end."""
        with open(self.node, "r+b", buffering=0) as device:
            device.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
            assert device.write(data) == len(data)

    def get(self, at, size):
        with open(self.node, "rb", buffering=0) as device:
            device.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
            return device.read(size)

    def put_noise(self):
        """Makes it an encrypted volume that nobody has written: random at its ends, where a signature would be."""
        for at in (0, -4 * MIB):
            # The probe tells the first byte that is not zero; one of 256 random ones is.
            self.put(at, b"\x01" + os.urandom(4 * MIB - 1))

    def lose(self, begin):
        """From there on, reading fails: the image ends, and nothing of it is cached. The device keeps its size."""
        os.truncate(self.image, begin)
        run("blockdev", "--flushbufs", self.node)

    def blocks_written(self):
        """How many blocks of 512 bytes were ever written."""
        os.fsync(self.held)
        return self.image.stat().st_blocks

    def data(self):
        """(at, bytes) of what was ever written; holes of the image are not read."""
        os.fsync(self.held)
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

    # What must hold

    def assert_whole(self):
        """It is ours, e2fsck finds nothing wrong, and the marker in its last MiB is gone."""
        said = self.probe()
        assert said.startswith("ours: "), said
        checked = subprocess.run(["e2fsck", "-fn", self.node], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, check=False)
        assert checked.returncode == 0, checked.stdout
        assert not any(self.get(-MIB, MIB)), "the last MiB is not zero"

    def assert_refused(self, what, probed=None):
        """Formatting says that the disk is unsafe, names what it holds, and changes no byte. probed: how a probe of it
        begins, whose words are then the format's, too. Returns what the format said."""
        before = self.digest()
        named = ""
        if probed:
            named = probed.partition(": ")[2]
            said = self.probe()
            assert said.startswith(probed), f"{what}: probed as {said!r}, expected {probed!r}"
        said = self.format()
        assert self.digest() == before, f"{what}: the disk has changed"
        assert said.returncode != 0 and said.stdout.startswith("unsafe: "), (what, said)
        assert f"{self.node} holds {named}" in said.stdout, (what, said)
        return said.stdout
