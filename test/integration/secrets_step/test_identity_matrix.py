# SPDX-License-Identifier: Apache-2.0
"""The table of cluster/lineage.c, each cell tried with the step itself: what a volume carries, what
a bucket holds, and what a master makes of the two, without and with a person's flags; a refusal with its
reason. Volumes and buckets are those that first boots leave behind, in part.
"""

import concurrent.futures
import json
import shutil

import pytest
from secrets_step.world import Machine

pytestmark = pytest.mark.needs_root

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
MEANINGS = REASONS | {"M": "made", "F": "fetched", "W": "waits"}
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


def looks(world, machine):
    """How often it has asked for the claim."""
    log = (world.front.state / "requests.jsonl").read_text().splitlines()
    return sum(call.get("instance") == machine.id and call.get("key") == "pki/claim" for call in map(json.loads, log))


def wait(world, machine, volume, flags):
    """The letter of what happened, once it has looked often enough. The end of its time may find it in a request."""
    before = snapshot(world, machine.volume)
    for seconds in (15, 60, 240):
        found = found_by(world, machine, before, *machine.run(*flags, seconds=seconds))
        if found == "W" and looks(world, machine) >= LOOKS or found != "W" and not found.startswith("?1 retry: "):
            return found
    return f"?looked {looks(world, machine)} times only" if found == "W" else found


def cells():
    """All that can be, as parameters: the volume, the bucket, a person's flags, and the letter of what comes of it."""
    for volume in VOLUMES:
        for bucket, wanted in zip(BUCKETS, OUTCOMES[volume], strict=True):
            flag = FLAGS.get((volume, bucket))
            given = {(): wanted}
            if wanted == "W":
                given[EVERY_FLAG] = "W"
            elif wanted in REASONS:
                given[tuple(f for f in EVERY_FLAG if f != flag)] = wanted
                if flag:
                    given[flag,] = "M"
            for flags, letter in given.items():
                if letter != "-":
                    yield pytest.param(volume, bucket, flags, letter, id=", ".join([
                        volume, bucket, *([" ".join(flags)] if flags else [])]) + f": {MEANINGS[letter]}")


CELLS = list(cells())
WAITING = [cell for cell in CELLS if cell.values[-1] == "W"]


@pytest.fixture(scope="module")
def relics(shared_world):
    shared_world.front.reset()
    return Relics(shared_world)


@pytest.fixture(scope="module")
def machine(shared_world):
    return Machine(shared_world, "master")


@pytest.fixture(scope="module")
def found_by_waiting(shared_world, relics):
    """The letters of those that wait for a holder: all at the same time, each on a machine of its own."""
    tried = [(volume, flags) for volume, _, flags, _ in (cell.values for cell in WAITING)]
    [bucket] = {cell.values[1] for cell in WAITING}
    machines = [Machine(shared_world, "master") for _ in tried]
    shared_world.front.reset()
    shared_world.empty()
    relics.fill_bucket(bucket)
    for machine, (volume, _) in zip(machines, tried):
        fill(relics, machine, volume)
    with concurrent.futures.ThreadPoolExecutor(len(tried)) as pool:
        found = dict(zip(tried, pool.map(lambda each: wait(shared_world, each[0], *each[1]), zip(machines, tried))))
    for machine in machines:
        machine.terminate()
    return found


@pytest.mark.parametrize("volume, bucket, flags, wanted", [cell for cell in CELLS if cell not in WAITING])
def test_what_becomes_of(world, relics, machine, volume, bucket, flags, wanted):
    fill(relics, machine, volume)
    relics.fill_bucket(bucket)
    before = snapshot(world, machine.volume)
    assert found_by(world, machine, before, *machine.run(*flags)) == wanted


@pytest.mark.parametrize("volume, bucket, flags, wanted", WAITING)
def test_what_waits(found_by_waiting, volume, bucket, flags, wanted):
    assert found_by_waiting[volume, flags] == wanted
