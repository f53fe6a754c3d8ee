# SPDX-License-Identifier: Apache-2.0
"""An instance that is a QEMU machine, without KVM: with a kernel, a raw disk and NVMe volumes of its own.

What is tried here is what a container has not: volumes that are plugged in as NVMe disks with EBS's serial
numbers, a power cut that loses what the kernel had not written, and disks to be searched byte by byte.
Minutes pass where a container needs seconds.

    instances/ID/disk.raw   the root disk
                 qmp        QEMU's control socket
                 shell      a socket: a line with a number and a script in base64, answered by the number, the script's
                            status and its output in base64; so an answer that nobody waited for is known as such
"""

import base64
import contextlib
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time

from . import cgroup, guest, machine, network, volume
from .settings import CACHE, REGION, RUNTIME, VOLUMES, LabError, run

KERNEL = CACHE / f"kernel-{RUNTIME}"
DISK_SIZE = "8G"
LOG_SIZE = 16 << 30  # as far as it is written
COMMAND_S = 900
ANSWER_S = 300  # the guest may still start
START_S = 450

SHELL_UNIT = """\
[Unit]
DefaultDependencies=no
After=local-fs.target
[Service]
ExecStart=/usr/local/sbin/lab-shell
Restart=always
RestartSec=1
[Install]
WantedBy=sysinit.target
"""
SHELL = """\
#!/bin/sh
# A script comes in as a line; while the other side is not there, a read says end of file.
modprobe virtio_console
exec 3<>/dev/virtio-ports/lab
while :; do
    if read -r number script <&3; then
        echo "$script" | base64 -d >/run/lab-script
        sh /run/lab-script >/run/lab-output 2>&1 </dev/null
        echo "$number $? $(base64 -w0 /run/lab-output)" >&3
    else
        sleep 0.2
    fi
done
"""


class VirtualMachine(machine.Machine):
    """One instance; leader is QEMU's process."""

    @property
    def disk(self):
        return self.folder / "disk.raw"

    def reboot(self):
        if self.leader:
            self._qmp("send-key", keys=[{"type": "qcode", "data": key} for key in ("ctrl", "alt", "delete")])
        else:
            super().reboot()

    def stop(self, timeout_s=180):
        if self.leader:
            self._qmp("system_powerdown")
            deadline = time.monotonic() + timeout_s
            while self.running() and time.monotonic() < deadline:
                time.sleep(0.1)
        self.kill()

    def attach(self, volume_id, size_gib, noise=None):
        """Plug the volume in as an NVMe disk whose serial number is its id, as on Nitro."""
        with self.locked():
            attachments = self.attachments
            if volume_id in attachments:
                return
            volume.make_file(volume_id, size_gib, noise)
            if self.leader:
                self._qmp("blockdev-add", **_drive(volume_id))
                self._qmp("device_add", **_device(volume_id))
            attachments[volume_id] = ""
            machine.replace(self.attachments_file, attachments)

    def detach(self, volume_id):
        with self.locked():
            attachments = self.attachments
            if attachments.pop(volume_id, None) is None:
                return
            if self.leader:
                self._qmp("device_del", id=volume_id)
                self._await_unplugged(volume_id)
            machine.replace(self.attachments_file, attachments)

    def _await_unplugged(self, volume_id, timeout_s=60):
        """The guest lets go of the disk first."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._qmp("blockdev-del", **{"node-name": volume_id})
                return
            except LabError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def command(self, *argv):
        """Run a command inside, show what it wrote, and end as it did."""
        done = self.run(*argv, timeout_s=COMMAND_S)
        sys.stdout.write(done.stdout)
        sys.stdout.flush()
        os._exit(done.returncode)

    def run(self, *argv, timeout_s=ANSWER_S):
        """Run a command inside; returns the finished process, what it wrote to either in stdout."""
        number = secrets.token_hex(8)
        script = base64.b64encode(shlex.join(map(str, argv)).encode()).decode()
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(timeout_s)
            try:
                link.connect(str(self.folder / "shell"))
            except OSError:
                raise LabError(f"{self.id}: does not run") from None
            link.sendall(f"{number} {script}\n".encode())
            try:
                answer = next(words for words in _answers(link) if words[:1] == [number])
            except TimeoutError:
                raise LabError(f"{self.id}: no answer in {timeout_s} s, {self._state()}") from None
            except (StopIteration, ConnectionResetError):
                raise LabError(f"{self.id}: went down meanwhile") from None
        output = base64.b64decode("".join(answer[2:])).decode(errors="replace")
        return subprocess.CompletedProcess(argv, int(answer[1]), output, "")

    def _state(self):
        """What a machine that does not answer does."""
        said = self.console.read_text(errors="replace").splitlines()[-30:]
        return f"{self._qmp('query-status')}; at the end of its console:\n" + "\n".join(said)

    def supervise(self):
        cgroup.Group(f"{self.id}/supervisor").enter()
        if not self.disk.exists():
            self._make_disk()
        qemu = subprocess.Popen(self._qemu_command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=sys.stderr, preexec_fn=cgroup.Group(f"{self.id}/machine").enter)
        self._await_qmp(qemu)
        tap = f"vm-{self.id[-8:]}"
        run("ip", "link", "set", tap, "master", network.BRIDGE, "up")
        machine.replace(self.leader_file, qemu.pid)
        self._qmp("cont")
        print("started", flush=True)
        self._await_shell(qemu)
        qemu.wait()
        self.leader_file.unlink(missing_ok=True)

    def _make_disk(self):
        self._mount_root()
        certificate = REGION / "ca.pem"
        guest.prepare(self.root, self.request, certificate.read_text() if certificate.exists() else None)
        shutil.copytree(KERNEL / "lib/modules", self.root / "usr/lib/modules", symlinks=True, dirs_exist_ok=True)
        shell = self.root / "usr/local/sbin/lab-shell"
        shell.write_text(SHELL)
        shell.chmod(0o755)
        units = self.root / "etc/systemd/system"
        (units / "systemd-modules-load.service").unlink()  # masked for the containers, which load none
        (units / "lab-shell.service").write_text(SHELL_UNIT)
        (units / "sysinit.target.wants").mkdir(exist_ok=True)
        (units / "sysinit.target.wants/lab-shell.service").symlink_to("../lab-shell.service")
        new = self.disk.with_suffix(".new")
        run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", self.root, new, DISK_SIZE)
        new.rename(self.disk)
        run("umount", self.root)
        shutil.rmtree(self.folder / "upper")

    def _qemu_command(self):
        mac = self.request["mac"]
        volumes = [word for volume_id in self.attachments for word in (
            "-blockdev", json.dumps(_drive(volume_id)), "-device", json.dumps(_device(volume_id)))]
        # tsc: a kernel has hung as it went over to HPET's clock, which is slow without KVM.
        return ["nice", "qemu-system-x86_64", "-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "max,la57=off",
                "-smp", "2", "-m", "4096", "-nodefaults", "-display", "none", "-S",
                "-kernel", str(KERNEL / "vmlinuz"), "-initrd", str(KERNEL / "initrd"),
                "-append", "root=LABEL=root rw console=ttyS0 net.ifnames=0 tsc=reliable",
                "-serial", f"file:{self.console}",
                "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off",
                "-chardev", f"socket,id=shell,path={self.folder}/shell,server=on,wait=off",
                "-device", "virtio-serial", "-device", "virtserialport,chardev=shell,name=lab",
                "-device", "virtio-rng-pci",
                "-drive", f"file={self.disk},if=virtio,format=raw",
                "-netdev", f"tap,id=eth0,ifname=vm-{self.id[-8:]},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev=eth0,mac={mac}", *volumes]

    def _await_shell(self, qemu):
        """Resets a guest that does not come as far as its shell. Without KVM a guest may hang as it starts: on
        2026-11-30 one was silent for 15 minutes beside a full run of the tests, where others took two."""
        deadline = time.monotonic() + START_S
        while qemu.poll() is None:
            with contextlib.suppress(LabError, OSError):  # it is just ending
                if self._shell_is_open():
                    return
                if time.monotonic() > deadline:
                    print(f"not started in {START_S} s, is reset; {self._state()}", file=sys.stderr, flush=True)
                    self._qmp("system_reset")
                    deadline += START_S
            time.sleep(1)

    def _shell_is_open(self):
        return any(each["frontend-open"] for each in self._qmp("query-chardev") if each["label"] == "shell")

    def _await_qmp(self, qemu, timeout_s=30):
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self._qmp("query-status")
            except LabError:
                if qemu.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _qmp(self, command, **arguments):
        """https://www.qemu.org/docs/master/interop/qmp-spec.html"""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(60)
            try:
                link.connect(str(self.folder / "qmp"))
            except OSError as error:
                raise LabError(f"{self.id}: {command}: {error}") from error
            answers = link.makefile("r", encoding="utf-8")
            answers.readline()  # the greeting
            for execute, given in (("qmp_capabilities", {}), (command, arguments)):
                link.sendall(json.dumps({"execute": execute, "arguments": given}).encode() + b"\n")
                answer = {}
                while not {"return", "error"} & answer.keys():  # events come in between
                    answer = json.loads(answers.readline() or '{"error": {"desc": "QEMU has ended"}}')
                if "error" in answer:
                    raise LabError(f"{self.id}: {execute}: {answer['error']['desc']}")
        return answer["return"]


def logs(volume_id):
    """What was written to a volume, each time that it was plugged in, in the order of that: the format is
    https://docs.kernel.org/admin-guide/device-mapper/log-writes.html"""
    return sorted(VOLUMES.glob(f"{volume_id}.log*"))


def _drive(volume_id):
    log = VOLUMES / f"{volume_id}.log{len(logs(volume_id)):03}"
    with open(log, "xb") as file:
        file.truncate(LOG_SIZE)
    return {"driver": "blklogwrites", "node-name": volume_id, "log-sector-size": 512,
            "file": {"driver": "file", "filename": str(volume.backing_file(volume_id))},
            "log": {"driver": "file", "filename": str(log)}}


def _device(volume_id):
    return {"driver": "nvme", "id": volume_id, "drive": volume_id, "serial": volume_id.replace("-", "")}


def _answers(link):
    """The words of each line that comes, until the other side goes."""
    with link.makefile("r", encoding="ascii", newline="\n") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield line.split()
