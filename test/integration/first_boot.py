#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The secrets of a cluster: made once, whatever happens, and fetched by everyone else.

Masters and nodes are processes, each in a mount namespace of its own with a volume that is a
folder; the region is the simulated one, with its roles' policies enforced. The build is the one
that can be stopped at each of its effects. Prints TAP. With words, runs only the checks that have one of
them in their names.
"""

import concurrent.futures
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

sys.dont_write_bytecode = True

from region_checks.harness import Front, asked_for  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/effects/unit/test_secrets"
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
CRASHES = 30  # a first boot has about 150 effects; every fifth is where it is stopped


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

    def run(self, *flags, kill=None, log=None, script='"$@"', seconds=20):
        """Runs the step; returns its exit status and what it printed."""
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
             PROGRAM, self.config, str(seconds), *flags],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=120, check=False)
        return done.returncode, done.stdout.strip()

    def terminate(self):
        self.world.front.ec2.terminate_instances(InstanceIds=[self.id])
        self.world.front.wait_instance(self.id, "terminated")

    def identity(self):
        return json.loads((self.volume / "cluster-identity.json").read_text())


class World:
    """The region, and a bucket that each check finds empty."""

    def __init__(self, front):
        self.front, self.seed, self.number = front, front.seed, 0
        self.folder = Path(tempfile.mkdtemp(prefix="secrets-test."))

    def close(self):
        shutil.rmtree(self.folder)

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
def master(world, **given):
    machine = Machine(world, "master", **given)
    try:
        yield machine
    finally:
        machine.terminate()


@contextlib.contextmanager
def node(world):
    machine = Machine(world, "node")
    try:
        yield machine
    finally:
        machine.terminate()


def must(outcome, status, *words):
    assert outcome[0] == status and all(w in outcome[1] for w in words), (status, words, outcome)
    return outcome[1]


# Checks: each finds an empty bucket.

def a_first_boot_makes_them_and_a_second_run_costs_one_get(world):
    with master(world) as machine:
        world.front.control("POST", "/calls/reset")
        said = must(machine.run(script='"$@" && echo -- && "$@" && ls -ln /srv/kubernetes'), 0)
        first, again = said.split("--\n")
        assert first.startswith("applied ") and again.startswith("already "), said
        calls = world.s3_calls()
        index = world.index()
        files = [f["key"] for f in index["files"]]
        # claim twice (once to see that the store refuses the second), every file, the index
        assert calls["s3:PutObject"] == len(files) + 3, calls
        for line in again.splitlines()[2:]:
            mode, _, owner, _, _, _, _, _, name = line.split()
            public = name.endswith((".crt", ".pub"))
            assert owner == "0" and mode == ("-rw-r--r--" if public else "-rw-------"), line
        assert machine.identity()["state"] == "complete"
        assert machine.identity()["ca_sha256"] == index["ca_sha256"]
        world.front.control("POST", "/calls/reset")
        must(machine.run(script='"$@" >/dev/null; "$@"'), 0, "already")  # after a reboot: fetched
        calls = world.s3_calls()
        masters = sum(k.startswith("master/") for k in files)
        # index for probe, apply, verification and the second run: 4
        assert calls == {"s3:GetObject": masters + 4}, (calls, masters)


def a_node_waits_and_never_reads_what_is_the_masters(world):
    with master(world) as first, node(world) as second, \
            concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(second.run, script='"$@" && ls /srv/kubernetes')
        must(first.run(), 0, "applied")
        said = must(waiting.result(), 0, "applied").splitlines()[1:]
        assert "ca.crt" in said and "flanneld.key" in said, said
        assert not [n for n in said if n in ("ca.key", "etcd-ca.key", "sa.key")], said
        keys = [call["key"] for call in map(json.loads, (world.front.state / "requests.jsonl")
                                            .read_text().splitlines())
                if call.get("instance") == second.id and "key" in call]
        assert [k for k in keys if k.startswith("pki/node/")], "the log tells nothing"
        assert not [k for k in keys if k.startswith("pki/master/")], keys


def killed_anywhere_the_next_instance_goes_on_and_there_is_one_ca(world):
    log = world.folder / "effects"
    with master(world) as machine:
        must(machine.run(log=log), 0)
    total = int(log.read_text().splitlines()[-1].partition(":")[0])
    assert total > 80, total
    for i in range(CRASHES):
        world.empty()
        when = f"{('before', 'after')[i % 2]}:{1 + i * total // CRASHES}:"
        with master(world) as first:
            must(first.run(kill=when), 137)
        before = world.get("index.json") if "pki/index.json" in world.keys() else None
        with master(world, volume=first.volume) as second:
            must(second.run(), 0, "applied")
            assert before in (None, world.get("index.json")), f"{when}: a second CA"
            assert second.identity()["state"] == "complete", when


def of_masters_that_race_one_makes_secrets(world):
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(8) as pool:
        machines = [stack.enter_context(master(world, volume_id=world.front.new_volume()))
                    for _ in range(8)]
        ended = list(pool.map(lambda m: m.run(seconds=15), machines))
        assert sorted(status for status, _ in ended) == [0] + [1] * 7, ended
        assert all(status == 0 or said.startswith("unsafe: secrets: volume ")
                   for status, said in ended), ended
        authorities = [k for k in world.keys() if k.endswith("/ca.key")]
        assert len(authorities) == 1, authorities


def what_does_not_fit_its_digest_is_refused_and_nothing_written(world):
    with master(world) as first, node(world) as second:
        must(first.run(), 0)
        key = next(f for f in world.index()["files"] if f["key"].endswith("flanneld.key")
                   and f["key"].startswith("node/"))
        content = world.get(key["key"])
        world.put(key["key"], b"x" * key["size"])
        script = '"$@"; status=$?; ls /srv/kubernetes; exit $status'
        said = must(second.run(script=script), 1, "unsafe: ", key["key"], key["sha256"],
                    "where index.json says")
        assert len(said.splitlines()) == 1, said
        world.delete(key["key"])
        must(second.run(), 1, "unsafe: ", "is not there")
        world.put(key["key"], content)
        world.put("index.json", json.dumps(world.index() | {"ca_sha256": "0" * 64}).encode())
        must(second.run(), 1, "unsafe: ", "ca.crt has fingerprint", "index.json says 000")
        world.put("index.json", b'{"schema": 2}')
        must(second.run(), 1, "unsafe: ", "a newer one wrote it")


def a_claim_is_waited_for_while_its_holder_lives(world):
    with master(world) as second:
        with master(world) as first:
            log = world.folder / "effects-claim"
            must(first.run(log=log), 0)
            claimed = next(line for line in log.read_text().splitlines()
                           if "before http s3 PutObject" in line)  # the first of all
            world.empty()
            shutil.rmtree(first.volume)
            first.volume.mkdir()
            number = int(claimed.partition(":")[0]) + 8  # among the files
            must(first.run(kill=f"before:{number}:"), 137)
            assert "pki/claim" in world.keys() and "pki/index.json" not in world.keys()
            must(second.run(seconds=3), 1, "retry: ")
            # One that has looked before the claim was there: index and claim, by probe and by apply.
            world.front.control("POST", "/faults", {"action": "GetObject", "effect": "error", "status": 404,
                                                    "code": "NoSuchKey", "count": 4, "instance": second.id})
            must(second.run(seconds=3), 1, "retry: ")
            assert second.identity()["state"] == "pending", "it has not tried"
            assert first.id in world.get("claim").decode(), world.get("claim")
        said = must(second.run(), 0, "applied")
        assert second.identity()["cluster_id"] in said
        assert second.id in world.get("claim").decode()


def where_volume_and_bucket_disagree_a_person_decides(world):
    with master(world) as first:
        must(first.run(), 0)
        old = world.index()["cluster_id"]
        with master(world, volume_id=world.front.new_volume()) as blank:
            must(blank.run(), 1, "unsafe: ", old, "is blank", "--new-cluster")
            must(blank.run("--new-keys", "--takeover"), 1, "unsafe: ")
            must(blank.run("--new-cluster"), 0, "applied")
            assert world.index()["cluster_id"] != old and world.index()["revision"] == 2
            must(first.run("--new-cluster", "--new-keys"), 1, "unsafe: ", "two clusters")
            world.delete("index.json")
            must(blank.run(), 1, "unsafe: ", "lost its secrets", "--new-keys")
            kept = blank.identity()["cluster_id"]
            must(blank.run("--new-keys"), 0, "applied", kept)
    with master(world) as lost:
        world.empty()
        (lost.volume / "etcd/member").mkdir(parents=True)
        must(lost.run(), 1, "unsafe: ", "etcd member and no identity")


def without_its_volume_a_master_makes_nothing(world):
    """The mount point is an empty folder then, which looks like a blank volume."""
    with master(world) as machine:
        said = must(machine.run(script='umount /var/lib/kubernetes/master; "$@"', seconds=3), 1,
                    "the master volume is not mounted")
        assert said.startswith("retry: ") and not world.keys(), said


def by_a_wrong_clock_no_certificate_is_made(world):
    with master(world) as machine:
        for seconds in (-1200, 120):  # signing is corrected for the one, and need not be for the other
            world.front.control("POST", "/faults", {"action": "*", "effect": "skew", "count": 0,
                                                    "seconds": seconds, "instance": machine.id})
            must(machine.run(seconds=3), 1, "retry: ", "the clock is ")
            world.front.control("DELETE", "/faults")
            assert not world.keys(), world.keys()
        must(machine.run(), 0, "applied")


def a_denial_or_a_wrong_bucket_is_named(world):
    with master(world) as machine:
        world.write_config(machine, S3_BUCKET="kb-no-such-bucket")
        # a new bucket may appear within a minute; after that it is the setting
        must(machine.run(seconds=90), 1, "config: ", "S3_BUCKET=kb-no-such-bucket", "NoSuchBucket")
        world.write_config(machine)
        world.front.control("POST", "/faults", {"action": "GetObject", "effect": "error",
                                                "status": 403, "code": "AccessDenied"})
        must(machine.run(), 1, "denied: ", "s3:GetObject", "pki/index.json")
        world.front.control("DELETE", "/faults")
        must(machine.run(), 0)
        world.write_config(machine, CLUSTER_NAME="green")
        must(machine.run(), 1, "unsafe: ", "CLUSTER_NAME is green")


RECORDED = {"overlay_network": "10.244.0.0/16", "overlay_backend": "vxlan",
            "service_network": "10.96.0.0/16", "cluster_domain": "cluster.local"}


def settings_of(document):
    return {name: document[name] for name in RECORDED if name in document}


def what_a_cluster_was_made_with_stays(world):
    with master(world) as machine, node(world) as second:
        must(machine.run(), 0)
        assert settings_of(machine.identity()) == settings_of(world.index()) == RECORDED
        must(second.run(), 0)
        for key, old, new in (("OVERLAY_NETWORK", "10.244.0.0/16", "10.245.0.0/16"),
                              ("OVERLAY_BACKEND", "vxlan", "host-gw"),
                              ("SERVICE_NETWORK", "10.96.0.0/16", "10.97.0.0/16"),
                              ("CLUSTER_DOMAIN", "cluster.local", "corp.example")):
            for one, where in ((machine, "cluster-identity.json"), (second, "index.json")):
                world.write_config(one, **{key: new})
                # as nothing is installed yet, so before anything starts
                must(one.run(script='"$@"; status=$?; ls /srv/kubernetes; exit $status'), 1,
                     f"config: secrets: /etc/kubernetes/stack-config.sh:10: {key}={new}, but this "
                     f"cluster was made with {key}={old}", where, f"write {key}={old} there")
                world.write_config(one)
        world.write_config(machine, SERVICE_NETWORK="10.97.0.0/16")
        world.delete("index.json")  # new keys, but the same services in etcd
        must(machine.run("--new-keys"), 1, "made with SERVICE_NETWORK=10.96.0.0/16")


def settings_follow_the_file_until_there_are_certificates(world):
    log = world.folder / "effects-settings"
    with master(world) as first:
        must(first.run(log=log), 0)
        puts = [line for line in log.read_text().splitlines() if "before http s3 PutObject" in line]
        index = puts[-1].partition(":")[0]  # it is written last
    for when, settled in ((f"before:{index}:", False), (f"after:{index}:", True)):
        world.empty()
        with master(world) as first:
            must(first.run(kill=when), 137)
        with master(world, volume=first.volume) as second:
            assert second.identity()["state"] == "pending"
            world.write_config(second, SERVICE_NETWORK="10.97.0.0/16")
            if settled:
                must(second.run(), 1, "config: ", "made with SERVICE_NETWORK=10.96.0.0/16")
                continue
            must(second.run(), 0, "applied")
            assert second.identity()["service_network"] == "10.97.0.0/16"
            assert world.index()["service_network"] == "10.97.0.0/16"


def an_identity_without_settings_is_completed(world):
    with master(world) as machine, node(world) as second:
        must(machine.run(), 0)
        file = machine.volume / "cluster-identity.json"
        before = {k: v for k, v in machine.identity().items() if k not in RECORDED}
        index = {k: v for k, v in world.index().items() if k not in RECORDED}
        for reboot in (True, False):
            file.write_text(json.dumps(before))
            world.put("index.json", json.dumps(index).encode())
            world.write_config(machine, SERVICE_NETWORK="10.0.0.0/16")
            must(machine.run(), 1, "config: ", ":10: SERVICE_NETWORK=10.0.0.0/16, but", "10.96.0.1",
                 "not 10.0.0.1")
            world.write_config(machine, CLUSTER_DOMAIN="corp.example")
            must(machine.run(), 1, "config: ", "CLUSTER_DOMAIN=corp.example, but")
            assert machine.identity() == before
            world.write_config(machine)
            script = '"$@"' if reboot else \
                f'"$@" && cp {world.folder}/before /var/lib/kubernetes/master/cluster-identity.json && "$@"'
            (world.folder / "before").write_text(json.dumps(before))
            must(machine.run(script=script), 0, "applied")
            # what etcd knows is for step flannel-config to record
            assert machine.identity() == before | {
                "service_network": "10.96.0.0/16", "cluster_domain": "cluster.local"}
            assert world.index() == index
            must(second.run(), 0)


def names_that_the_certificate_lacks_are_a_warning(world):
    with master(world) as machine:
        must(machine.run(), 0)
        world.write_config(machine, API_DNS_NAME="api.example.com")
        said = must(machine.run(script='"$@" && "$@"'), 0, "applied", "already")
        assert said.count("warning: API_DNS_NAME=api.example.com is not in the API server's "
                          "certificate") == 2, said


CHECKS = (
    what_a_cluster_was_made_with_stays,
    settings_follow_the_file_until_there_are_certificates,
    an_identity_without_settings_is_completed,
    names_that_the_certificate_lacks_are_a_warning,
    a_first_boot_makes_them_and_a_second_run_costs_one_get,
    a_node_waits_and_never_reads_what_is_the_masters,
    killed_anywhere_the_next_instance_goes_on_and_there_is_one_ca,
    of_masters_that_race_one_makes_secrets,
    what_does_not_fit_its_digest_is_refused_and_nothing_written,
    a_claim_is_waited_for_while_its_holder_lives,
    where_volume_and_bucket_disagree_a_person_decides,
    without_its_volume_a_master_makes_nothing,
    by_a_wrong_clock_no_certificate_is_made,
    a_denial_or_a_wrong_bucket_is_named,
)


def main():
    if os.geteuid() != 0:
        print("ok 1 - secrets # SKIP needs root, for mount namespaces\n1..1")
        return 0
    checks = asked_for([(function.__name__.replace("_", " "), function) for function in CHECKS])
    subprocess.run(["make", "-s", "VARIANT=effects", PROGRAM.relative_to(ROOT)], cwd=ROOT,
                   check=True)
    failed = 0
    with Front() as front:
        world = World(front)
        try:
            for number, (name, function) in enumerate(checks, 1):
                failed += not check(world, number, name, function)
        finally:
            world.close()
        bugs = front.bugs()
    for line in bugs:
        print(f"# {line}")
    print(f"{'not ok' if bugs else 'ok'} {len(checks) + 1} - the front met no error of its own")
    print(f"1..{len(checks) + 1}")
    failed += bool(bugs)
    return 1 if failed else 0


def check(world, number, name, function):
    world.front.reset()
    world.empty()
    try:
        function(world)
    except Exception:
        print(f"not ok {number} - {name}")
        for line in traceback.format_exc().splitlines():
            print(f"# {line}", flush=True)
        return False
    print(f"ok {number} - {name}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
