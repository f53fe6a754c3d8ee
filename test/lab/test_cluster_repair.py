# SPDX-License-Identifier: Apache-2.0
"""What a running machine finds out and mends by itself, and what it says meanwhile."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from kblab import cluster, kept, machine, world
from kblab.settings import LAB
from kblab.testing import equal, eventually, inside, lab, ok
from kblab.world import settle

pytestmark = [pytest.mark.needs_root, pytest.mark.in_order]

SETTLED = 45  # more than the daemon takes to notice; less than its looks alone would


@pytest.fixture(scope="module", autouse=True)
def said():
    """Tells whether a machine's daemon has a text in its journal since these tests began."""
    began = int(time.time())

    def has(name, text):
        return text in lab("logs", name, "--no-pager", "-t", "kube-bootstrap", "-o", "cat", f"--since=@{began}")
    return has


@pytest.fixture(scope="module")
def kube():
    """kubectl, from outside the instances."""
    return cluster.connect()


def node_name(name):
    return machine.find(name).node_name


def status(name):
    """What status says, and its exit status."""
    done = lab("exec", name, "kube-bootstrap", "status", check=False)
    return done.stdout, done.returncode


def shows(name, *texts, seconds=300):
    """Whether status comes to say all of these; what it said last otherwise."""
    if not eventually(lambda: all(text in status(name)[0] for text in texts), seconds, 0.2):
        return status(name)[0]
    return None


def test_the_machines_are_there():
    world.enter()


def test_units_with_a_real_systemd():
    """host/unit's own tests, which want a systemd and its journal."""
    tree, program = LAB.parents[1], "build/debug/unit/test_unit"
    subprocess.run(["make", "-s", "VARIANT=debug", program], cwd=tree, check=True)
    shutil.copy(tree / program, Path(f"/proc/{machine.find('node').leader}/root/opt/test_unit"))
    done = lab("exec", "node", "/opt/test_unit", check=False)
    ok(done.returncode == 0 and "# SKIP" not in done.stdout, "units, with a real systemd and its journal",
       done.stdout + done.stderr)


def test_deleted_nodes(kube, said):
    kept.plant("master", kube)
    before = kept.take("master", kube, ["node"])
    for name in ("node", "master"):
        uid = kube.get("node", node_name(name))["metadata"]["uid"]
        kube.kubectl("delete", "node", node_name(name))
        back = eventually(lambda n=name, u=uid: kube.get("node", node_name(n))["metadata"]["uid"] != u and
                          node_name(n) in kube.ready_nodes(), pause_s=1)
        ok(back, f"{name}: its Node was deleted, and comes back Ready", kube.kubectl("get", "nodes"))
        ok(said(name, f"kubelet has not registered Node {node_name(name)}: restarting"), "and the journal says so")
        settle(name)
    equal(kept.lost(before, kept.take("master", kube, ["node"]), "Node /"), [], "deleted Nodes: nothing else is lost")


@pytest.fixture(scope="module")
def before(kube):
    """What the cluster holds before it mends what follows."""
    return kept.take("master", kube, ["node"])


@pytest.mark.usefixtures("before")
def test_a_dead_daemon():
    inside("node", "systemctl kill -s KILL kube-bootstrap")
    text, code = status("node")
    ok("the daemon is not running (kube-bootstrap.service): last looked " in text, "a dead daemon is told", text)
    equal(code, 3, "and the machine is not ready then")
    settle("node")
    inside("node", "systemctl stop kube-bootstrap")
    equal(json.loads(inside("node", "kube-bootstrap status --json || true"))["phase"], "ready",
          "what it found last is kept")
    equal(status("node")[1], 3, "and not believed")
    inside("node", "systemctl start kube-bootstrap")
    settle("node")


def test_stopped_units(said):
    for name, unit in (("node", "kubelet"), ("master", "etcd"), ("node", "flanneld")):
        before = inside(name, f"systemctl show -P InvocationID {unit}")
        # the daemon may start it again before systemctl hears that its own job is over: "canceled"
        lab("exec", name, "systemctl", "stop", unit, check=False)
        back = eventually(lambda n=name, u=unit, b=before: inside(n, f"systemctl is-active {u}") == "active" and
                          inside(n, f"systemctl show -P InvocationID {u}") != b, SETTLED)
        ok(back, f"{name}: {unit} was stopped, and is started again", status(name)[0])
        ok(said(name, f"{unit}: not so yet, applying"), f"{name}: which was the daemon's doing")
        settle(name)


def test_a_masked_unit():
    inside("node", "systemctl mask kubelet && systemctl stop kubelet")
    why = shows("node", "kubelet.service is masked: an administrator did that; systemctl unmask kubelet.service")
    ok(why is None, "a masked unit is called masked", why)
    equal(status("node")[1], 3, "and its machine is degraded")
    inside("node", "systemctl unmask kubelet && kube-bootstrap run")
    settle("node")


def test_a_wrong_configuration_of_docker():
    keep = "cp -p /etc/docker/daemon.json /etc/docker/daemon.json.kept"
    back = "mv /etc/docker/daemon.json.kept /etc/docker/daemon.json && kube-bootstrap run"
    inside("node", f"""{keep}; echo '{{"exec-opts":["native.cgroupdriver=systemd"]}}' >/etc/docker/daemon.json
                       systemctl stop docker docker.socket""")
    why = shows("node", "/etc/docker/daemon.json: sets \"exec-opts\", but dockerd is started with --exec-opt")
    ok(why is None, "a key of daemon.json that is a flag as well is named", why)
    inside("node", back)
    settle("node")
    inside("node", f"""{keep}; echo '{{"nosuchkey":1}}' >/etc/docker/daemon.json
                       systemctl stop docker docker.socket""")
    why = shows("node", "it said \"unable to configure the Docker daemon", "nosuchkey", "see journalctl -u docker")
    ok(why is None, "a docker that does not start is told with its own words", why)
    inside("node", back)
    settle("node")


def test_damaged_networks(said):
    for unit, root in (("docker", "/var/lib/docker"), ("docker-bootstrap", "/var/lib/docker-bootstrap")):
        path = f"{root}/network/files/local-kv.db"
        for what, damage in (("zeros", f"dd if=/dev/zero of={path} bs=64k count=1 status=none"),
                             ("cut", f"truncate -s 8192 {path}")):
            inside("node", f"""systemctl stop kube-bootstrap kubelet docker docker.socket flanneld docker-bootstrap
                               {damage}; rm -f {path}.damaged
                               systemctl start --no-block kube-bootstrap""")
            settle("node")
            equal(inside("node", f"ls {path}.damaged"), f"{path}.damaged",
                  f"{unit} over a local-kv.db of {what}: the file is set aside")
            ok(said("node", f"{unit}.service did not start over {path}: renamed"), "and the journal says so")


def test_a_removed_key():
    inside("node", "chmod 0644 /srv/kubernetes/etcd-gateway.key")
    mended = eventually(lambda: inside("node", "stat -c %a /srv/kubernetes/etcd-gateway.key") == "600", SETTLED)
    ok(mended, "a key that others may read is put right")
    inside("node", "rm /srv/kubernetes/etcd-gateway.key")
    mended = eventually(lambda: inside("node", "stat -c %a /srv/kubernetes/etcd-gateway.key") == "600", SETTLED)
    ok(mended, "a key that was removed comes back")
    settle("node")


def test_an_interrupted_run():
    inside("node", "timeout -s INT 0.3 kube-bootstrap run >/dev/null 2>&1 || true")
    text, code = status("node")
    ok(code == 0 and "13 of 13 steps done" in text or eventually(lambda: status("node")[1] == 0),
       "an interrupted run by hand leaves a ready machine ready", text)
    settle("node")


def test_what_was_mended_has_lost_nothing(kube, before):
    equal(kept.lost(before, kept.take("master", kube, ["node"])), [], "what was mended has lost nothing")
    lab("down")
