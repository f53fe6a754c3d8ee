# SPDX-License-Identifier: Apache-2.0
"""The daemon killed before and after each effect by which it brings the services up, on a master and a
node of the lab: whose etcd has never run and whose kubelet has never joined, and again on those that did.
Then a plain run gets to ready, with the same secrets, volume and objects, and no container twice.

What comes before the services is killed by test/integration/test_crashes.py, which needs no lab.

  test/pytest test/lab/crashes.py             every point, for test/faults: it takes hours
  test/pytest test/lab/crashes.py -k node     those of the scenes so named; each has a row of its own in the table
  SHARE=0.1 test/pytest test/lab/crashes.py   a share of them, always the same (SEED=N: another)
"""

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from boot_checks.tally import Lost, SecondMaster, Tally, record, some
from kblab import cluster, kept, machine
from kblab.runtime import UNITS, WITH_DOCKER
from kblab.settings import LAB, RUNTIME
from kblab.testing import eventually, inside, lab, ok

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(0)]

SHARE, SEED = float(os.environ.get("SHARE", 1)), int(os.environ.get("SEED", 1))
PROGRAM = LAB.parents[1] / "build/effects/kube-bootstrap"
INSIDE = "/opt/kube-bootstrap-effects"
LOG = "/run/effects"
# What test/integration/test_crashes.py kills at.
ELSEWHERE = re.compile(r"http (imds|ec2|s3) |.*/run/kube-bootstrap/state")
# What is another's in every run ends the name.
NAME = re.compile(r"(bootstrap-token-|certificatesigningrequests/).*")
MANY = 2  # of what has one name: most of the others ask whether it has come
READY_S = 420
KILLED = -9

# Pods' containers outlive kubelet, and with containerd their runtime too.
KILL_PODS = "docker ps -q | xargs -r docker kill" if WITH_DOCKER else \
            "ctr -n k8s.io tasks ls -q | xargs -r -n 1 ctr -n k8s.io tasks kill -s KILL"
DOWN = f"systemctl stop kube-bootstrap kubelet; {KILL_PODS}; systemctl stop {' '.join(reversed(UNITS['master']))}"
IDENTITY = "/var/lib/kubernetes/master/cluster-identity.json"
NEVER_RUN = f"cp -p /run/identity.json {IDENTITY}; rm -rf /var/lib/kubernetes/master/etcd/*"
NEVER_JOINED = "rm -rf /srv/kubernetes/kubelet/*"
# Scene: machine, and what is done to it.
SCENES = {
    "master, first": ("master", (DOWN, NEVER_RUN, NEVER_JOINED)),
    "master, again": ("master", (DOWN,)),
    "node, first": ("node", (DOWN, NEVER_JOINED)),
    "node, again": ("node", (DOWN,)),
}


def check(before, now, what):
    """Nothing of what was there has changed."""
    lines = kept.lost(before, now)
    if any("index.json" in line or "ca.crt" in line for line in lines):
        raise SecondMaster(f"{what}: {lines}")
    if lines:
        raise Lost(f"{what}: {lines}")


def check_containers(name):
    """Each once: etcd and flanneld of docker-bootstrap's, and those that run of a pod."""
    lines = inside(name, "docker -H unix:///run/docker-bootstrap/docker.sock ps -a --format '{{.Image}}'").splitlines()
    lines += of_pods(name)
    twice = [line for line, count in Counter(lines).items() if count > 1]
    assert lines and not twice, twice


def of_pods(name):
    """The containers of pods that run there, sandboxes among them: each one's pod and its name in it."""
    pod, its_name = "io.kubernetes.pod.uid", "io.kubernetes.container.name"
    if WITH_DOCKER:
        return inside(name, f"docker ps --format '{{{{.Label \"{pod}\"}}}} {{{{.Label \"{its_name}\"}}}}'").splitlines()
    infos = inside(name, """
        for id in $(ctr -n k8s.io tasks ls | awk '$3 == "RUNNING" { print $1 }'); do
            ctr -n k8s.io containers info "$id" | tr -d '\\n'
            echo
        done""").splitlines()
    return [f"{labels[pod]} {labels.get(its_name)}" for labels in (json.loads(info)["Labels"] for info in infos)]


def run(name, **how):
    """A run by hand, by the build that tells of its effects; its status."""
    words = [f"KUBE_BOOTSTRAP_EFFECTS_{key.upper()}={value}" for key, value in how.items()]
    return lab("exec", name, "env", *words, INSIDE, "run", check=False).returncode


def prepare(scene):
    name, scripts = SCENES[scene]
    inside(name, "\n".join(scripts))
    return name


def points(scene):
    """(scene, when, name, which of that name) for every effect of a run that nothing disturbs."""
    name = prepare(scene)
    inside(name, f"rm -f {LOG}")
    status = run(name, log=LOG)
    assert status == 0, f"{scene}: {status}"
    names = Counter()
    for line in inside(name, f"cat {LOG}").splitlines():
        when, _, text = line.partition(":")[2].partition(" ")
        if when == "before" and not ELSEWHERE.match(text):
            names[NAME.sub(r"\1", text)] += 1
    return [(scene, when, text, nth) for text, most in names.items()
            for nth in range(1, min(most, MANY) + 1) for when in ("before", "after")]


def look(kube=None):
    return kept.take("master", kube, ["node"])


def crash(kube, scene, when, text, nth):
    """Looks before all is stopped, where the API server still answers; before the run; where it was killed; and at
    the end."""
    is_new = scene == "master, first"  # etcd's folder is emptied
    served = kept.Kept() if is_new else look(kube)
    name = prepare(scene)
    if is_new:
        kept.plant("master")
    before = look()
    status = run(name, kill=f"{when}:{nth}:{text}")
    assert status in (0, KILLED), f"the run to be killed: {status}"
    killed = look()
    check(before, killed, "by the run that was killed")
    again = lab("exec", name, "kube-bootstrap", "run", check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert eventually(kube.answers), "no API server"
    after = look(kube)
    for then, what in ((served, "from before"), (before, "by both runs"), (killed, "by the second run")):
        check(then, after, what)
    check_containers(name)
    return "converged" if status == KILLED else "missed"


@pytest.fixture(scope="module")
def kube():
    """A master and a node that are ready, the identity as it was before etcd had run put by; kubectl, from outside."""
    lab("down")
    lab("up")
    lab("run", "master")
    as_it_was = f"grep -q etcd_member {IDENTITY} && exit 1; grep complete {IDENTITY}; " \
                f"cp -p {IDENTITY} /run/identity.json; cat /run/identity.json"
    seen = eventually(lambda: inside("master", as_it_was), pause_s=0.02)
    assert seen, "the identity as it is before etcd has run"
    lab("run", "node")
    for name in ("master", "node"):
        assert lab("wait", name, READY_S, check=False).returncode == 0, f"the {name} does not get to ready"
        shutil.copy(PROGRAM, Path(f"/proc/{machine.find(name).leader}/root{INSIDE}"))
    yield cluster.connect()
    lab("down")


@pytest.mark.parametrize("scene", SCENES)
def test_killed(kube, scene):
    if scene == "node, first":  # lets it join
        inside("master", "systemctl start kube-bootstrap")
    drawn = some([(point,) for point in points(scene)], SHARE, SEED)
    if scene != "master, first":
        kept.plant("master", kube)
    tally = Tally(f"services, {scene}, {RUNTIME}")
    for (point,) in drawn:
        tally.attempt(point, crash, kube, *point)
    record(tally)
    ok(tally.is_good(), f"killed at {tally.tried} points while services are brought up: nothing lost", tally.row())
