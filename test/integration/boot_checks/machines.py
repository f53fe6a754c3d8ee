# SPDX-License-Identifier: Apache-2.0
"""Machines that boot by the real program and its whole table, as far as that needs no systemd.

A machine is a mount namespace with an /etc, /run, /srv and /var/lib of its own, an interface with
the hardware address that EC2 gave it, and disks that are loop devices. Its region is the simulated
one, with the roles' policies enforced. All of it lives in namespaces of the test's own (test/pytest).
"""

import contextlib
import ctypes
import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from region_checks.harness import Front

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "build/effects/kube-bootstrap"
HOOK = Path(__file__).with_name("hook-program")
CLONE_NEWNET = 0x40000000  # linux/sched.h
KILLED = -9
PATIENCE_S = 300  # a boot here takes one or two; no pass waits so long
JOIN = {"schema": 1, "token": "abcdef.0123456789abcdef", "expires": "2099-01-01T00:00:00Z"}

# The rows of the table that need neither systemd nor docker.
STEPS = {
    "master": ("config", "identity", "source-dest-check", "volume-attach", "volume-format",
               "volume-mount", "elastic-ip", "private-ip", "secrets", "static-pods",
               "kubelet-config", "kubelet-certificate"),
    "node": ("config", "identity", "source-dest-check", "secrets", "static-pods",
             "kubelet-config"),
}

# The row by which a node asks an API server, and there is none here.
ASKS = "kubelet-certificate"

# As kube-bootstrap(8) has them: of a run that fails at docker's step, as there is no systemd here, or is interrupted;
# and of one that is stopped by an error of a class.
STATUSES = (1, 2)
EXITS = {"unsafe": 65, "retry": 75, "denied": 77, "config": 78}

# What a machine has of its own, and then nothing but the daemon.
MACHINE = r"""
set -e
for folder in /run /srv /var/lib; do mount -t tmpfs machine $folder; done
for folder in /etc /usr/bin; do
    mkdir -p /run/upper$folder /run/work$folder
    mount -t overlay machine -o lowerdir=$folder,upperdir=/run/upper$folder,workdir=/run/work$folder $folder
done
mkdir -p /etc/kubernetes
cp -r conf/kubernetes/* /etc/kubernetes
cp conf/images.docker /etc/kubernetes/images
printf '#!/bin/sh\necho Kubernetes v1.20.2\n' >/usr/bin/kubelet
chmod 0755 /usr/bin/kubelet
echo ready
exec sleep infinity
"""


def own_network():
    """For a process whose machines take the same addresses as another's."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@contextlib.contextmanager
def network():
    """A network namespace of this thread's own, and of what it starts inside."""
    with open("/proc/thread-self/ns/net", "rb") as before:
        own_network()
        try:
            yield
        finally:
            if ctypes.CDLL(None, use_errno=True).setns(before.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")


def has_asked(outcome):
    """Whether a node has come so far that it asks."""
    return outcome.states.get(ASKS) in ("backoff", "failed") or ASKS in outcome.waits


@dataclass
class Outcome:
    """How a run ended: what of the table was done, and what stopped it."""
    status: int
    states: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)
    waits: dict = field(default_factory=dict)
    said: str = ""
    done: bool = False

    def refusals(self):
        """The errors of the steps that can be done here."""
        return [error for name, error in self.errors.items() if name in STEPS["master"]]


class Machine:
    program = (PROGRAM,)

    def __init__(self, world, role="master", volume_id="", **config):
        self.world, self.role, self.volume_id = world, role, volume_id or world.volume_id
        seed = world.seed
        self.id = world.front.launch(
            role=seed[f"{role}_role"], zone="us-east-1a" if role == "master" else "us-east-1b")
        self.imds = world.front.control("POST", "/imds/listen", {"instance": self.id})["endpoint"]
        self.interface = self._plug_interface()
        self._running = None
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", MACHINE], cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != "ready\n":
            raise AssertionError(self._holder.communicate()[1])
        (world.hardware / f"{self.id}.pid").write_text(f"{self._holder.pid}\n")
        self.root = Path(f"/proc/{self._holder.pid}/root")
        self.namespace = f"/proc/{self._holder.pid}/ns/mnt"
        self.configure(**config)

    def configure(self, **changed):
        seed = self.world.seed
        values = {
            "KUBERNETES_ROLE": self.role, "CLUSTER_NAME": "blue",
            "S3_BUCKET": seed["bucket"], "S3_PREFIX": seed["prefix"],
            "MASTER_VOLUME_ID": self.volume_id, "MASTER_EIP_ALLOCATION_ID": seed["allocation_id"],
            "MASTER_PRIVATE_IP": seed["private_ip"], "MASTER_IAM_ROLE": seed["master_role"],
            "NODE_IAM_ROLE": seed["node_role"],
            # What proves the volume new. A stack that waits for no group refuses a signal, which ends that.
            "STACK_NAME": self.world.stack_id, "STACK_RESOURCE": "MasterVolume"} | changed
        (self.root / "etc/kubernetes/stack-config.sh").write_text(
            "".join(f"{key}={value}\n" for key, value in values.items()))

    def known(self):
        """What EC2 knows of it."""
        return next(i for i in self.world.front.control("GET", "/instances") if i["id"] == self.id)

    def _plug_interface(self):
        mac = self.known()["interfaces"][0]["mac"]
        name = "k" + self.id[-10:]
        subprocess.run(["ip", "link", "add", name, "address", mac, "type", "veth",
                        "peer", "name", name + "p"], check=True)
        return name

    def environment(self):
        """What leads the program to this region and to this machine's metadata."""
        return {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {
            "AWS_ENDPOINT_URL": self.world.front.endpoint,
            "AWS_CA_BUNDLE": str(self.world.front.state / "ca.pem"),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.imds}

    def start(self, *flags, kill="", log=None):
        """Starts a run; the one before it must have ended."""
        environment = self.environment()
        if kill:
            environment["KUBE_BOOTSTRAP_EFFECTS_KILL"] = kill
        if log:
            environment["KUBE_BOOTSTRAP_EFFECTS_LOG"] = str(log)
        self._state().unlink(missing_ok=True)
        self._running = subprocess.Popen(
            ["nsenter", f"--mount={self.namespace}", *self.program, "run", "--no-follow",
             *flags], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="backslashreplace")
        return self._running

    def _state(self):
        return self.root / "run/kube-bootstrap/state.json"

    def look(self):
        """What the run says of itself."""
        try:
            steps = json.loads(self._state().read_text())["steps"]
        except FileNotFoundError:
            return {}, {}, {}
        return ({s["name"]: s["state"] for s in steps},
                {s["name"]: s["error"] for s in steps if s.get("error")},
                {s["name"]: s["waiting_for"] for s in steps if s.get("waiting_for")})

    def follow(self, process, wanted=None, until=lambda _: False):
        """Waits until the wanted steps are done, one of them has failed, the run has ended, or what it
        says of itself is what until() waits for; ends the run then."""
        wanted = wanted or STEPS[self.role]
        deadline = time.monotonic() + PATIENCE_S
        outcome = Outcome(0)
        while process.poll() is None:
            outcome.states, outcome.errors, outcome.waits = self.look()
            found = {outcome.states.get(name) for name in wanted}
            if found == {"done"} and (wanted is not STEPS["node"] or has_asked(outcome)) or \
                    until(outcome) or "failed" in found:
                process.terminate()
                break
            if time.monotonic() > deadline:
                process.kill()
                outcome.said = process.communicate()[0]
                raise AssertionError(f"{self.id}: not so far in {PATIENCE_S} s: {outcome}")
            time.sleep(0.02)
        else:
            outcome.states, outcome.errors, outcome.waits = self.look()
        outcome.said = process.communicate(timeout=PATIENCE_S)[0]
        outcome.status = process.returncode
        if outcome.status not in STATUSES:  # it has ended by itself, after the last look maybe
            outcome.states, outcome.errors, outcome.waits = self.look()
        outcome.done = all(outcome.states.get(name) == "done" for name in wanted)
        return outcome

    def run(self, *flags, wanted=None, until=lambda _: False, **how):
        return self.follow(self.start(*flags, **how), wanted, until)

    def calls(self):
        counted = self.world.front.control("GET", f"/calls?instance={self.id}")["by_action"]
        return {name: entry["count"] for name, entry in counted.items()}

    def terminate(self):
        """As EC2 does: power off at once, the disk freed and then said to be."""
        if self._running and self._running.poll() is None:
            self._running.kill()
            self._running.communicate()
        self.world.front.ec2.terminate_instances(InstanceIds=[self.id])
        self.world.front.wait_instance(self.id, "terminated")
        self._holder.communicate()
        subprocess.run(["ip", "link", "delete", self.interface], check=True)


class World:
    """The region, and a bucket and a volume that each check finds empty."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="faults-test."))
        subprocess.run(["mount", "-t", "tmpfs", "faults", self.folder], check=True)
        self.hardware = self.folder / "hardware"
        self.hardware.mkdir()
        self._environment = mock.patch.dict(os.environ)
        self._environment.start()
        os.environ |= {"HARDWARE": str(self.hardware), "NOISE": str(ROOT / "test/lab/kblab/noise.py")}
        tempfile.tempdir = str(self.folder)
        self.front = Front("--hypervisor", str(HOOK), "--knobs", "brief")
        self.machines = []
        self.scene = ""  # what a check has prepared, for those after it that want the same

    def __enter__(self):
        self.front.__enter__()
        self.seed = self.front.seed
        self.front.let_attach_any_volume()
        self.front.s3.put_bucket_versioning(  # as the stack's
            Bucket=self.seed["bucket"], VersioningConfiguration={"Status": "Enabled"})
        self.volume_id, self.stack_id = self.seed["volume_id"], self.seed["stack_id"]
        self.stacks = 0
        return self

    def __exit__(self, *_):
        self.clear()
        self.front.__exit__()
        self._environment.stop()
        tempfile.tempdir = None
        subprocess.run(["umount", self.folder], check=True)
        self.folder.rmdir()

    def machine(self, role="master", **how):
        made = Machine(self, role, **how)
        self.machines.append(made)
        return made

    def remove(self, machine):
        self.machines.remove(machine)
        machine.terminate()

    def clear(self):
        """No machines, no faults, an empty bucket and a blank volume."""
        self.front.reset()
        while self.machines:
            self.remove(self.machines[-1])
        gone = [{"Key": key, "VersionId": version} for key, versions in self.versions().items()
                for version, _ in versions]
        if gone:
            self.front.s3.delete_objects(Bucket=self.seed["bucket"], Delete={"Objects": gone})
        for image in self.hardware.glob("*.img"):
            image.unlink()
        self.stacks += 1
        self.volume_id, self.stack_id = self.front.new_stack(f"world-{self.stacks}")
        self.scene = ""

    def image(self, volume_id=""):
        return self.hardware / f"{volume_id or self.volume_id}.img"

    def keys(self):
        listed = self.front.s3.list_objects_v2(Bucket=self.seed["bucket"])
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def versions(self):
        """Of all objects: key to [(version, ETag)], the newest first."""
        listed = self.front.s3.list_object_versions(Bucket=self.seed["bucket"])
        assert not listed["IsTruncated"] and not listed.get("DeleteMarkers"), listed.get("DeleteMarkers")
        found = {}
        for entry in listed.get("Versions", []):
            found.setdefault(entry["Key"], []).append((entry["VersionId"], entry["ETag"]))
        return found

    def get(self, name):
        return self.front.s3.get_object(Bucket=self.seed["bucket"],
                                        Key=f"{self.seed['prefix']}/{name}")["Body"].read()

    def put(self, name, content):
        self.front.s3.put_object(Bucket=self.seed["bucket"], Key=f"{self.seed['prefix']}/{name}",
                                 Body=content)
