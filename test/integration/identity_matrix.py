#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The table of cluster/lineage.c, each cell tried with the step itself: what a volume carries, what
a bucket holds, and what a master makes of the two, without and with a person's flags; a refusal with its
reason. Volumes and buckets are those that first boots leave behind, in part. Prints TAP.
"""

import concurrent.futures
import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

from first_boot import PROGRAM, ROOT, Machine, World  # noqa: E402
from region_checks.harness import Front  # noqa: E402

VOLUMES = ("blank", "pending", "pending, to replace another", "complete", "other name",
           "etcd without identity")
BUCKETS = ("empty", "files without index", "claim of ours", "claim of one who lives",
           "claim of one who is gone", "claim of one who is gone, other volume", "index of ours",
           "index of ours, other CA", "index of another cluster")

# What becomes of it: a line for a volume, a column for a bucket, in the order of BUCKETS.
# M made, one new CA; F fetched as it is; W waits; -: cannot be, since without an identity nothing is "ours".
# Else refused, nothing touched, for the reason below.
OUTCOMES = {
    "blank":                       "MM-WMv--b",
    "pending":                     "MMMWMvFFo",
    "pending, to replace another": "MMMWMvFFM",
    "complete":                    "ssscscFao",
    "other name":                  "nnnnnnnnn",
    "etcd without identity":       "ii-cic--u",
}
REASONS = {
    "a": "the secrets are not those that this volume's cluster was made with",
    "b": "a cluster exists, and its data is not on this volume",
    "c": "another cluster is being made where this one's secrets should be",
    "i": "nothing tells whose data this is",
    "n": "the volume belongs to a cluster of another name",
    "o": "they belong to two clusters",
    "s": "the cluster's data has lost its secrets",
    "u": "nothing tells whether this data is that cluster's",
    "v": "an instance that is gone began a cluster on another volume",
}
LOOKS = 6  # at the claim: then the daemon's pauses have grown to their longest
# What a person's flag makes of a refusal.
FLAGS = {
    ("blank", "claim of one who is gone, other volume"): "--takeover",
    ("blank", "index of another cluster"): "--new-cluster",
    ("pending", "claim of one who is gone, other volume"): "--takeover",
    ("pending, to replace another", "claim of one who is gone, other volume"): "--takeover",
    ("complete", "empty"): "--new-keys",
    ("complete", "files without index"): "--new-keys",
    ("complete", "claim of ours"): "--new-keys",
    ("complete", "claim of one who is gone"): "--new-keys",
    ("etcd without identity", "empty"): "--new-keys",
    ("etcd without identity", "files without index"): "--new-keys",
    ("etcd without identity", "claim of one who is gone"): "--new-keys",
}
EVERY_FLAG = ("--takeover", "--new-cluster", "--new-keys")


class Relics:
    """What earlier masters left: by whom, and the objects of each in the bucket."""

    def __init__(self, world):
        self.world = world
        self.alive = Machine(world, "master")
        self.far_volume = world.front.new_volume()
        self.ours, self.identities = self._first_boot(Machine(world, "master"))
        self.other, _ = self._first_boot(Machine(world, "master"))
        self.far, _ = self._first_boot(Machine(world, "master", volume_id=self.far_volume))
        world.empty()

    def _first_boot(self, machine):
        """The bucket after it, and the volume's identity in both states."""
        self.world.empty()
        status, said = machine.run()
        assert status == 0, said
        objects = {name: self.world.get(name) for name in
                   (key.partition("/")[2] for key in self.world.keys())}
        complete = machine.identity()
        pending = {k: v for k, v in complete.items() if k != "ca_sha256"} | {"state": "pending"}
        machine.terminate()
        return objects, {"complete": complete, "pending": pending}

    def fill_volume(self, kind, folder):
        identity = self.identities.get(kind)
        if kind == "pending, to replace another":
            replaced = json.loads(self.other["index.json"])["cluster_id"]
            identity = self.identities["pending"] | {"replaces": replaced}
        elif kind == "other name":
            identity = self.identities["complete"] | {"cluster_name": "green"}
        if identity:
            (folder / "cluster-identity.json").write_text(json.dumps(identity))
        if kind in ("complete", "other name", "etcd without identity"):
            (folder / "etcd/member").mkdir(parents=True)

    def fill_bucket(self, kind):
        if kind == "empty":
            return
        claim = json.loads(self.other["claim"])
        source = {"claim of ours": self.ours, "index of ours": self.ours,
                  "index of ours, other CA": self.other,
                  "claim of one who is gone, other volume": self.far}.get(kind, self.other)
        put = dict(source)
        if not kind.startswith("index"):
            del put["index.json"]
        if kind == "files without index":
            del put["claim"]
        elif kind == "claim of one who lives":
            put["claim"] = json.dumps(claim | {"instance_id": self.alive.id}).encode()
        elif kind == "index of ours, other CA":
            ours = json.loads(self.ours["index.json"])["cluster_id"]
            index = json.loads(put["index.json"]) | {"cluster_id": ours}
            put["index.json"] = json.dumps(index).encode()
        for name, content in put.items():
            self.world.put(name, content)


def snapshot(world, volume):
    objects = world.front.s3.list_objects_v2(Bucket=world.seed["bucket"]).get("Contents", [])
    return ({entry["Key"]: entry["ETag"] for entry in objects},
            {str(path): path.read_bytes() for path in volume.rglob("*") if path.is_file()})


def found_by(world, machine, before, status, said):
    """The letter of what happened."""
    after = snapshot(world, machine.volume)
    what = f"?{status} {said} {'' if after == before else ', and something was changed'}"
    if status == 1 and said.startswith("unsafe: ") and after == before:
        reasons = [letter for letter, words in REASONS.items() if f": {words}" in said]
        return reasons[0] if len(reasons) == 1 else what
    if status == 1 and said.startswith("retry: ") and after == before:
        holder = json.loads(world.get("claim"))["instance_id"]
        return "W" if f"instance {holder} (running), which has been making the secrets in" in said else what
    if status != 0 or not said.startswith("applied "):
        return what
    index, identity = world.index(), machine.identity()
    if identity["state"] != "complete" or identity["ca_sha256"] != index["ca_sha256"] or \
            identity["cluster_id"] != index["cluster_id"]:
        return f"?volume and bucket differ: {identity}, {index}"
    if after[0].get("pki/index.json") == before[0].get("pki/index.json"):
        return "F"
    claim = json.loads(world.get("claim"))
    if (claim["instance_id"], claim["cluster_id"]) != (machine.id, index["cluster_id"]):
        return f"?made in another's name: {claim}"
    return "M"


def fill(relics, machine, volume):
    shutil.rmtree(machine.volume)
    machine.volume.mkdir()
    relics.fill_volume(volume, machine.volume)


def try_cell(world, relics, machine, volume, bucket, *flags):
    fill(relics, machine, volume)
    world.empty()
    relics.fill_bucket(bucket)
    before = snapshot(world, machine.volume)
    return found_by(world, machine, before, *machine.run(*flags, seconds=20))


def looks(world, machine):
    """How often it has asked for the claim."""
    log = (world.front.state / "requests.jsonl").read_text().splitlines()
    return sum(call.get("instance") == machine.id and call.get("key") == "pki/claim" for call in map(json.loads, log))


def wait(world, machine, volume, flags):
    """The letter of what happened, once it has looked often enough."""
    before = snapshot(world, machine.volume)
    for seconds in (15, 60, 240):
        found = found_by(world, machine, before, *machine.run(*flags, seconds=seconds))
        if found != "W" or looks(world, machine) >= LOOKS:
            return found
    return f"?looked {looks(world, machine)} times only"


def waiting_cells(world, relics, bucket):
    """Those that wait for the same holder wait at the same time, each on a machine of its own."""
    column = BUCKETS.index(bucket)
    tried = [(volume, flags) for volume in VOLUMES if OUTCOMES[volume][column] == "W"
             for flags in ((), EVERY_FLAG)]
    machines = [Machine(world, "master") for _ in tried]
    world.empty()
    relics.fill_bucket(bucket)
    for machine, (volume, _) in zip(machines, tried):
        fill(relics, machine, volume)
    with concurrent.futures.ThreadPoolExecutor(len(tried)) as pool:
        found = list(pool.map(lambda each: wait(world, each[0], *each[1]), zip(machines, tried)))
    for machine in machines:
        machine.terminate()
    for (volume, flags), letter in zip(tried, found):
        yield ", ".join([volume, bucket, *([" ".join(flags)] if flags else [])]), "W", letter


def cells(world, relics, machine):
    """What was expected and what was found, with words for it."""
    for volume in VOLUMES:
        for bucket, wanted in zip(BUCKETS, OUTCOMES[volume], strict=True):
            if wanted in "-W":
                continue
            yield f"{volume}, {bucket}", wanted, try_cell(world, relics, machine, volume, bucket)
            if wanted not in REASONS:
                continue
            flag = FLAGS.get((volume, bucket))
            others = [f for f in EVERY_FLAG if f != flag]
            yield (f"{volume}, {bucket}, {' '.join(others)}", wanted,
                   try_cell(world, relics, machine, volume, bucket, *others))
            if flag:
                yield (f"{volume}, {bucket}, {flag}", "M",
                       try_cell(world, relics, machine, volume, bucket, flag))
    yield from waiting_cells(world, relics, "claim of one who lives")


def main():
    if os.geteuid() != 0:
        print("ok 1 - identity matrix # SKIP needs root, for mount namespaces\n1..1")
        return 0
    subprocess.run(["make", "-s", "VARIANT=effects", PROGRAM.relative_to(ROOT)], cwd=ROOT,
                   check=True)
    number = failed = 0
    with Front() as front:
        front.reset()
        world = World(front)
        try:
            relics, machine = Relics(world), Machine(world, "master")
            for number, (name, wanted, found) in enumerate(cells(world, relics, machine), 1):
                right = found == wanted
                failed += not right
                if not right:
                    print(f"# expected {wanted}, found {found}")
                print(f"{'ok' if right else 'not ok'} {number} - {name}: {REASONS.get(wanted, wanted)}", flush=True)
        finally:
            world.close()
        bugs = front.bugs()
    for line in bugs:
        print(f"# {line}")
    print(f"{'not ok' if bugs else 'ok'} {number + 1} - the front met no error of its own")
    print(f"1..{number + 1}")
    return 1 if failed or bugs else 0


if __name__ == "__main__":
    sys.exit(main())
