# SPDX-License-Identifier: Apache-2.0
"""Masters and nodes that run the secrets step, in the simulated region.

They are processes, each in a mount namespace of its own with a volume that is a folder; the roles' policies are
enforced. The build is the one that can be stopped at each of its effects.
"""

import contextlib
import json
import os
import subprocess
from functools import partial

# What an instance has mounted is its volume; the secrets' tmpfs is the daemon's to mount, and ends
# with the machine.
MACHINE = """
set -e
mount -t tmpfs tmpfs /srv
mount -t tmpfs tmpfs /var/lib
mkdir -p /srv/kubernetes /var/lib/kubernetes/master
[ -z "$VOLUME" ] || mount --bind "$VOLUME" /var/lib/kubernetes/master
eval "$SCRIPT"
"""


class Machine:
    """An instance of the region, and what runs on it."""

    def __init__(self, world, role, volume_id=None, volume=None):
        self.world, self.role = world, role
        self.id = world.front.launch(
            role=world.seed[f"{role}_role"],
            zone="us-east-1a" if role == "master" else "us-east-1b")
        self.imds = world.front.control("POST", "/imds/listen", {"instance": self.id})["endpoint"]
        self.volume_id = volume_id or world.seed["volume_id"]
        self.volume = volume or world.new_folder()
        self.config = world.write_config(self)

    def run(self, *flags, kill=None, log=None, script='"$@"', seconds=120):
        """Runs the step, which gives up after so many seconds; returns its exit status and what it printed."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {
            "AWS_ENDPOINT_URL": self.world.front.endpoint,
            "AWS_CA_BUNDLE": str(self.world.front.state / "ca.pem"),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.imds,
            "VOLUME": str(self.volume) if self.role == "master" else "", "SCRIPT": script}
        if kill:
            environment["KUBE_BOOTSTRAP_EFFECTS_KILL"] = kill
        if log:
            environment["KUBE_BOOTSTRAP_EFFECTS_LOG"] = str(log)
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", MACHINE, "machine",
             self.world.program, self.config, str(seconds), *flags],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=seconds + 300, check=False)
        return done.returncode, done.stdout.strip()

    def terminate(self):
        self.world.front.ec2.terminate_instances(InstanceIds=[self.id])
        self.world.front.wait_instance(self.id, "terminated")

    def identity(self):
        return json.loads((self.volume / "cluster-identity.json").read_text())


class World:
    """The region and its bucket, the folder of the machines' volumes, and the program that runs the step."""

    def __init__(self, front, folder, program):
        self.front, self.seed, self.number = front, front.seed, 0
        self.folder, self.program = folder, program

    def new_folder(self):
        self.number += 1
        folder = self.folder / str(self.number)
        folder.mkdir()
        return folder

    def write_config(self, machine, **changed):
        values = {
            "KUBERNETES_ROLE": machine.role, "CLUSTER_NAME": "blue",
            "S3_BUCKET": self.seed["bucket"], "S3_PREFIX": self.seed["prefix"],
            "MASTER_VOLUME_ID": machine.volume_id,
            "MASTER_EIP_ALLOCATION_ID": self.seed["allocation_id"],
            "MASTER_PRIVATE_IP": self.seed["private_ip"],
            "MASTER_IAM_ROLE": self.seed["master_role"],
            "NODE_IAM_ROLE": self.seed["node_role"]} | changed
        path = self.folder / f"{machine.id}.sh"
        path.write_text("".join(f"{k}={v}\n" for k, v in values.items()))
        return path

    def keys(self):
        listed = self.front.s3.list_objects_v2(Bucket=self.seed["bucket"])
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def empty(self):
        for key in self.keys():
            self.front.s3.delete_object(Bucket=self.seed["bucket"], Key=key)

    def get(self, name):
        return self.front.s3.get_object(Bucket=self.seed["bucket"],
                                        Key=f"{self.seed['prefix']}/{name}")["Body"].read()

    def put(self, name, content):
        self.front.s3.put_object(Bucket=self.seed["bucket"], Key=f"{self.seed['prefix']}/{name}",
                                 Body=content)

    def delete(self, name):
        self.front.s3.delete_object(Bucket=self.seed["bucket"], Key=f"{self.seed['prefix']}/{name}")

    def index(self):
        return json.loads(self.get("index.json"))

    def s3_calls(self):
        counted = self.front.control("GET", "/calls")["by_action"]
        return {name: n["count"] for name, n in counted.items() if name.startswith("s3:")}


@contextlib.contextmanager
def machine_of(world, role, **given):
    machine = Machine(world, role, **given)
    try:
        yield machine
    finally:
        machine.terminate()


master = partial(machine_of, role="master")
node = partial(machine_of, role="node")


def must(outcome, status, *words):
    """The step ended with this status, and said these words; returns all that it said."""
    assert outcome[0] == status and all(w in outcome[1] for w in words), (status, words, outcome)
    return outcome[1]


def must_wait(machine, *words, **how):
    """The step waits until its time is up, and says these words then; returns all that it said. It is given more time
    where it was not yet so far."""
    for seconds in (3, 15, 60):
        outcome = machine.run(seconds=seconds, **how)
        if outcome[0] != 1 or all(w in outcome[1] for w in words):
            break
    return must(outcome, 1, "retry: ", *words)
