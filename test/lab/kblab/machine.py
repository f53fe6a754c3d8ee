# SPDX-License-Identifier: Apache-2.0
"""An instance: a systemd-nspawn machine, and the process beside it that boots it.

The supervisor, one process per running instance, has a mount namespace of its own: the instance's
root is mounted there and nowhere else, so nothing is left to unmount, whatever dies. It and all that
it starts are in the instance's control group. It boots the machine again when the machine asks for
that, and ends when the machine is off.

    instances/ID/machine.json       the launch request
                 attachments.json   volume -> loop device
                 upper, data/       what the instance wrote: its root, and folders that must not be
                                    on an overlay filesystem, since docker puts its own there
                 console.log        what the console showed, kept when the instance is terminated
                 leader             pid of the machine's PID 1, while it runs
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from . import cgroup, guest, network, volume
from .settings import HYPERVISOR, IMAGE_ROOT, INSTANCES, LAYERS, REGION, VIRTUAL, LabError, run, run_to_end

# Folders of the image that hold an overlay's layers, or are better a plain directory: copied, and
# bound over the root.
PLAIN_FOLDERS = ("var/lib/docker", "var/lib/docker-bootstrap", "var/lib/containerd",
                 "var/lib/kubelet")

# Folders that the runtimes write once: the layers of images.
WRITTEN_ONCE = ("overlay2", "io.containerd.content.v1.content/blobs", "io.containerd.snapshotter.v1.overlayfs/snapshots")

# Of commands inside.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
               "LANG": "C.UTF-8"}

SYSTEM_CALLS = "@keyring bpf add_key keyctl request_key mount"

# systemd-nspawn --keep-unit: the machine wants to be booted again.
EXIT_REBOOT = 133

# Signals to systemd as PID 1.
START_POWEROFF = signal.SIGRTMIN + 4
START_REBOOT = signal.SIGRTMIN + 5


class Machine:
    """One instance, known by its folder."""

    def __init__(self, instance_id):
        self.id = instance_id
        self.folder = INSTANCES / instance_id
        self.root = self.folder / "root"
        self.console = self.folder / "console.log"
        self.request_file = self.folder / "machine.json"
        self.attachments_file = self.folder / "attachments.json"
        self.leader_file = self.folder / "leader"

    # What is known about it

    @property
    def request(self):
        try:
            return json.loads(self.request_file.read_text())
        except FileNotFoundError:
            raise LabError(f"{self.id}: no such instance") from None

    @property
    def name(self):
        return self.request.get("name") or self.id

    @property
    def node_name(self):
        """The private DNS name, which is its Node's."""
        return f"{guest.hostname(self.request['private_ip'])}.ec2.internal"

    @property
    def attachments(self):
        try:
            return json.loads(self.attachments_file.read_text())
        except FileNotFoundError:
            return {}

    @property
    def leader(self):
        """The pid of the machine's PID 1, or None while the machine is off."""
        try:
            pid = int(self.leader_file.read_text())
        except FileNotFoundError:
            return None
        # A supervisor that was killed could not remove the file, and pids are used again.
        return pid if cgroup.Group(self.id).has(pid) else None

    def exists(self):
        return self.request_file.exists()

    def running(self):
        return bool(cgroup.Group(self.id).pids())

    @contextlib.contextmanager
    def locked(self):
        """Keep a boot and a change of the attachments apart."""
        with open(self.folder / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # The hypervisor's verbs

    def launch(self, request):
        if self.exists():
            raise LabError(f"{self.id}: already launched")
        if not (IMAGE_ROOT / "usr").is_dir():
            raise LabError(f"no image of an instance at {IMAGE_ROOT} (run: lab up)")
        if self.folder.exists():
            self._discard()  # what an interrupted launch or terminate left
        self.folder.mkdir(parents=True, exist_ok=True)
        layer = LAYERS / "current"
        request["layers"] = [str(layer.resolve())] if layer.exists() else []
        request["root"] = str(IMAGE_ROOT)
        replace(self.request_file, request)
        try:
            self.start()
        except BaseException:
            self._discard()
            raise

    def start(self):
        """Boot the machine; returns when its PID 1 runs."""
        if self.running():
            return
        network.await_gone(f"vb-{self.id}")  # as nspawn names it
        command = network.inside("unshare", "--mount", "--propagation", "slave", HYPERVISOR, "supervise", self.id)
        with open(self.folder / "supervisor.log", "ab") as log:
            supervisor = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, text=True,
                                          stdout=subprocess.PIPE, start_new_session=True)
        with supervisor.stdout as answer:
            if answer.readline() == "started\n":
                return  # the supervisor goes on without us
        supervisor.wait()
        written = (self.folder / "supervisor.log").read_text(errors="replace").strip()
        raise LabError(f"{self.id}: did not start: {written}")

    def reboot(self):
        """Ask the machine to reboot; one that is off or dead is booted, as EC2 does."""
        leader = self.leader
        if not (leader and _signal(leader, START_REBOOT)):
            self.kill()
            self.start()

    def stop(self, timeout_s=60):
        """Shut the machine down, by force after a while; its disk and volumes stay."""
        leader = self.leader
        if leader and _signal(leader, START_POWEROFF):
            deadline = time.monotonic() + timeout_s
            while self.running() and time.monotonic() < deadline:
                time.sleep(0.05)
        self.kill()

    def kill(self):
        """Cut the power."""
        leader = self.leader
        cgroup.Group(self.id).kill(first=[leader])
        self.leader_file.unlink(missing_ok=True)

    def terminate(self, timeout_s=5):
        """End the instance for good; releases its volumes. Only the console's log is kept."""
        if not self.exists():
            return
        self.stop(timeout_s)
        network.forget_neighbours()
        for volume_id in self.attachments:
            volume.release(volume_id)
        self._discard()

    def attach(self, volume_id, size_gib, noise=None):
        """Attach a volume: its loop device appears in the machine's /dev."""
        if not self.exists():
            raise LabError(f"{self.id}: no such instance")
        with self.locked():
            attachments = self.attachments
            if volume_id not in attachments:
                attachments[volume_id] = volume.attach(volume_id, size_gib, noise)
                replace(self.attachments_file, attachments)
            leader = self.leader
            if leader:
                volume.make_node(f"/proc/{leader}/root", attachments[volume_id])

    def detach(self, volume_id):
        """Detach a volume; waits until it is no longer mounted, as EC2 does."""
        if not self.exists():
            return
        with self.locked():
            attachments = self.attachments
            if volume_id not in attachments:
                return
            leader = self.leader
            if leader:
                volume.remove_node(f"/proc/{leader}/root", attachments[volume_id])
            volume.release(volume_id)
            del attachments[volume_id]
            replace(self.attachments_file, attachments)

    def command(self, *argv):
        """Become a command inside the machine: all its namespaces and its control groups."""
        leader, words = self._entering(argv)
        cgroup.join(leader)
        terminal = {"TERM": os.environ["TERM"]} if "TERM" in os.environ else {}
        os.execvpe(words[0], words, {**ENVIRONMENT, **terminal})

    def run(self, *argv, timeout_s=600):
        """Run a command inside the machine; returns the finished process."""
        leader, words = self._entering(argv)
        try:
            return run_to_end(words, timeout_s, env=ENVIRONMENT, preexec_fn=lambda: cgroup.join(leader))
        except subprocess.SubprocessError as error:
            raise LabError(f"{self.id}: {error}") from error

    def _entering(self, argv):
        leader = self.leader
        if not leader:
            raise LabError(f"{self.id}: does not run")
        return leader, ["nsenter", f"--target={leader}", "--all", "--root", "--wdns=/", *map(str, argv)]

    def _discard(self):
        """Remove the instance, but for its logs."""
        cgroup.Group(self.id).kill()
        # First what makes it an instance: if this is interrupted, what is left is rubbish only.
        self.request_file.unlink(missing_ok=True)
        for entry in self.folder.iterdir():
            if entry.suffix == ".log":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    # The supervisor

    def supervise(self):
        """Boot the machine, again and again until it is off. Runs in namespaces of its own."""
        cgroup.Group(f"{self.id}/supervisor").enter()
        group = cgroup.Group(f"{self.id}/machine")
        first = not (self.folder / "upper").exists()
        self._mount_root()
        if first:
            for name in PLAIN_FOLDERS:
                _copy_folder(Path(self.request["root"]) / name, self._plain_folder(name))
            certificate = REGION / "ca.pem"
            ca = certificate.read_text() if certificate.exists() else None
            guest.prepare(self.root, self.request, ca)
        while self._boot(group) == EXIT_REBOOT:
            group.kill()

    def _mount_root(self):
        upper, work = self.folder / "upper", self.folder / "work"
        for directory in (self.root, upper, work):
            directory.mkdir(exist_ok=True)
        lower = ":".join([*self.request["layers"], self.request["root"]])
        run("mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}",
            self.id, self.root)
        # What nspawn notes down for itself must not be left on this host.
        nspawn = Path("/run/systemd/nspawn")
        nspawn.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", nspawn)

    def _boot(self, group):
        notify = self.folder / "notify"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as receiver:
            receiver.bind(str(notify))
            with self.console.open("ab") as console:
                nspawn = subprocess.Popen(
                    self._nspawn_command(), stdin=subprocess.DEVNULL, stdout=console,
                    preexec_fn=group.enter,
                    env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(notify),
                         "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"})
            ended = os.pidfd_open(nspawn.pid)
            while ended not in select.select([receiver, ended], [], [])[0]:
                message = receiver.recv(4096).decode()
                for line in message.splitlines():
                    key, _, value = line.partition("=")
                    if key == "X_NSPAWN_LEADER_PID":
                        self._started(int(value))
            os.close(ended)
        self.leader_file.unlink(missing_ok=True)
        return nspawn.wait()

    def _started(self, leader):
        """PID 1 is about to run, and the machine's /dev is there (a new one at each boot)."""
        with self.locked():
            for loop in self.attachments.values():
                volume.make_node(f"/proc/{leader}/root", loop)
            replace(self.leader_file, leader)
        if not sys.stdout.closed:
            with contextlib.suppress(BrokenPipeError), sys.stdout:
                print("started")

    def _nspawn_command(self):
        request = self.request
        return ["systemd-nspawn", "--quiet", "--directory", str(self.root), "--machine", self.id,
                "--hostname", guest.hostname(request["private_ip"]),
                "--boot", "--keep-unit", "--register=no", "--console=read-only",
                "--link-journal=no", "--resolv-conf=off", "--timezone=off",
                "--network-bridge", network.BRIDGE,
                "--capability=all", "--system-call-filter", SYSTEM_CALLS,
                "--bind=/dev/kmsg", "--bind=/dev/fuse",
                *(f"--bind={self._plain_folder(name)}:/{name}" for name in PLAIN_FOLDERS)]

    def _plain_folder(self, name):
        return self.folder / "data" / Path(name).name


def of(instance_id, request=None):
    """The instance of this id, which is of the kind that its launch request says."""
    from .virtual import VirtualMachine
    if request is None:
        request = Machine(instance_id).request if Machine(instance_id).exists() else {}
    return (VirtualMachine if request.get("type") == VIRTUAL else Machine)(instance_id)


def machines():
    """Every instance that is not terminated."""
    found = sorted(INSTANCES.glob("*/machine.json"))
    return [of(path.parent.name) for path in found]


def find(name):
    """The instance of this id or name; of several, the one that runs."""
    found = [machine for machine in machines() if name in (machine.id, machine.name)]
    if len(found) > 1:
        found = [machine for machine in found if machine.leader] or found
    if not found:
        raise LabError(f"{name}: no such instance")
    if len(found) > 1:
        raise LabError(f"{name}: which of {', '.join(machine.id for machine in found)}?")
    return found[0]


def _signal(pid, signal_number):
    """Returns whether the process was there to be sent the signal."""
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return False
    return True


def _copy_folder(source, target, once=WRITTEN_ONCE):
    """Copy a folder of the image; what is written once is shared by hard links."""
    target.mkdir(parents=True)
    if source.is_dir():
        shutil.copystat(source, target)
        for entry in source.iterdir():
            below = [rest for first, _, rest in (name.partition("/") for name in once) if first == entry.name]
            if any(below):
                _copy_folder(entry, target / entry.name, below)
            else:
                layers = below and entry.stat().st_dev == target.stat().st_dev
                run("cp", "-a", *(["--link"] if layers else []), entry, target)


def replace(path, value):
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, indent=1) + "\n")
    new.replace(path)
