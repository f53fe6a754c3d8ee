# SPDX-License-Identifier: Apache-2.0
"""What the AMI's provisioning scripts leave in a root filesystem, and how the cache is kept."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from kblab.settings import CACHE, LAB
from kblab.testing import equal, eventually, ok

pytestmark = pytest.mark.needs_root

IMAGES = LAB / "images"
ROOT = CACHE / "instance-root-docker"
MEGABYTE = 1024 * 1024


def run(*argv, **options):
    return subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, **options)


def inside(*argv):
    return run("chroot", ROOT, *argv).stdout.strip()


def stored(data_root):
    """The names of the images in a docker's store."""
    store = json.loads((ROOT / data_root / "image/overlay2/repositories.json").read_text())
    names = [name for names in store["Repositories"].values() for name in names]
    return sorted(name for name in names if "@" not in name)


def test_what_is_in_the_image():
    equal((ROOT / "etc/machine-id").read_text(), "", "a machine-id is made at boot")
    secrets = [*ROOT.glob("etc/ssh/ssh_host_*"), *ROOT.glob("etc/docker/key.json"),
               *ROOT.glob("var/lib/systemd/random-seed"), *ROOT.glob("root/.ssh/*")]
    equal(secrets, [], "nothing is in it that would be the same secret on two instances")
    equal([path for path in ROOT.glob("var/log/**/*") if path.is_file()], [], "no log is in it")

    for unit in ("docker.service", "docker.socket", "containerd.service"):
        equal(run("systemctl", f"--root={ROOT}", "is-enabled", unit).stdout.strip(), "disabled",
              f"{unit} does not start by itself")

    wanted = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / "etc/kubernetes/images").read_text(), re.M))
    equal(stored("var/lib/docker-bootstrap"),
          sorted([wanted["ETCD_IMAGE"], wanted["FLANNEL_IMAGE"]]),
          "docker-bootstrap's store has etcd's image and flannel's")
    equal(stored("var/lib/docker"),
          sorted(wanted[f"{name}_IMAGE"] for name in ("APISERVER", "CONTROLLER_MANAGER", "SCHEDULER",
                                                      "PROXY", "PAUSE", "TEST")),
          "docker's store has the others")
    containers = [path for data in ("docker", "docker-bootstrap")
                  for path in (ROOT / "var/lib" / data / "containers").glob("*")]
    equal(containers, [], "no container is left in either")

    equal(inside("kubelet", "--version"), "Kubernetes v1.20.2", "kubelet runs")
    equal(inside("kubectl", "version", "--client", "--short"), "Client Version: v1.20.2",
          "kubectl runs")
    size = int(run("du", "-sx", "--block-size=1", ROOT).stdout.split()[0])
    ok(size < 1100 * MEGABYTE, "it is smaller than 1100 MB", f"{size // MEGABYTE} MB")


def test_runc_is_not_asked_for_what_the_machine_cannot_give():
    """By the lab's wrapper; all else stays."""
    spec = {"ociVersion": "1.0.2", "process": {"oomScoreAdj": -998, "args": ["a b"],
            "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": None}}}
    in_bundle = 'mount --bind "$1" "$2/tmp"; shift; exec chroot "$@"'
    with tempfile.TemporaryDirectory() as bundle:
        config = Path(bundle) / "config.json"
        config.write_text(json.dumps(spec))
        called = run("unshare", "--mount", "sh", "-euc", in_bundle, "sh", bundle, ROOT,
                     "runc", "create", "--bundle", "/tmp", "--help")
        spec["process"].update(oomScoreAdj=0,
                               capabilities={"bounding": ["CAP_CHOWN"], "ambient": []})
        equal(json.loads(config.read_text()), spec, "runc gets neither capability nor score")
        ok("create a container" in called.stdout, "and is called", called)


def test_what_is_up_to_date_is_not_made_again():
    def made():
        """When what its inputs were was noted down, which is done last."""
        return {path.name: path.stat().st_mtime_ns for path in (CACHE / ".hash").iterdir()}

    before = made()
    again = run(IMAGES / "build")
    ok(len(re.findall(r" [0-9.]+ s$", again.stdout, re.M)) == 7, "a build looks at all seven", again)
    equal(made(), before, "what is up to date is not made again")


def test_programs_of_a_release_take_the_place_of_the_compilers():
    with tempfile.TemporaryDirectory(dir=CACHE) as other, tempfile.TemporaryDirectory() as release:
        for program in ("kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl"):
            (Path(release) / program).write_text("#!/bin/sh\necho Kubernetes v1.99.7\n")
        environment = {**os.environ, "LAB_CACHE": other, "LAB_KUBERNETES": release}
        done = run(IMAGES / "build", "kubernetes-now", env=environment)
        equal((Path(other) / "kubernetes-now/version").read_text(), "v1.99.7\n", f"they are taken, {done}")
        (Path(release) / "kube-proxy").write_text("#!/bin/sh\necho Kubernetes v1.99.8\n")
        done = run(IMAGES / "build", "kubernetes-now", env=environment)
        ok(done.returncode != 0 and 'the kube-proxy built is "Kubernetes v1.99.8"' in done.stderr,
           "those of two versions are refused", done)


def test_what_is_in_use_is_not_replaced():
    with subprocess.Popen(["chroot", ROOT, "sleep", "60"]) as user:
        assert eventually(lambda: os.readlink(f"/proc/{user.pid}/root") == str(ROOT))
        refused = run("bash", "-c", '. "$1"; begin instance-root-docker', "bash",
                      IMAGES / "lib.sh")
        user.kill()
    ok(refused.returncode != 0 and "is in use" in refused.stderr,
       "what is in use is not replaced", refused)


def test_an_interrupted_build_leaves_nothing_behind():
    with tempfile.TemporaryDirectory(dir=CACHE) as other:
        environment = {**os.environ, "LAB_CACHE": other}
        with subprocess.Popen([IMAGES / "build", "instance-base"], env=environment,
                              start_new_session=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as building:
            time.sleep(2)
            busy = list(Path(other).glob(".work/*"))
            os.killpg(building.pid, signal.SIGTERM)
        # the script ends once mmdebstrap, told the same, has
        done = run("flock", "--timeout", "30", Path(other) / ".lock", "true")
        left = [path.name for path in Path(other).glob(".work/*")] + [
            path.name for path in Path(other).iterdir() if path.name.startswith("instance-base")]
        ok(busy and done.returncode == 0 and not left, "an interrupted build leaves nothing behind",
           f"busy {busy}, left {left}, {done}")


def test_no_build_leaves_a_mount():
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    equal([line for line in mounts if str(CACHE) in line], [], "no build leaves a mount")
