# SPDX-License-Identifier: Apache-2.0
"""The units as systemd reads them: sound, and in no ordering cycle with cloud-init's, of Debian 12 and 13. And a boot
without stack-config.sh, which is what a user-data script makes, ends at once."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = sorted((ROOT / "units").glob("*.service"))

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")


def say(*command, **how):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **how)


# With cloud-init's

def unpack(suite, package, folder):
    """Its version."""
    done = say(ROOT / "test/tools/unpack", suite, package, folder)
    if done.returncode != 0:
        pytest.skip(f"the packages of {suite} cannot be had: {done.stdout}")
    return done.stdout.strip()


def enable(root, unit):
    """As systemctl enable would, which wants more of a root filesystem than units."""
    for target in re.findall("^WantedBy=(.*)", (root / "lib/systemd/system" / unit).read_text(encoding="utf-8"), re.M):
        wants = root / "etc/systemd/system" / f"{target}.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / unit).unlink(missing_ok=True)
        (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """roots(SUITE): a root of nothing but units and the names of programs, with cloud-init's units of the suite enabled
    as its generator does; and cloud-init's version."""
    made = {}

    def make(suite):
        folder = tmp_path_factory.mktemp(suite)
        root = folder / "root"
        units = root / "lib/systemd/system"
        unpack("bookworm", "systemd", folder / "systemd")
        shutil.copytree(folder / "systemd/lib/systemd/system", units, symlinks=True)
        version = unpack(suite, "cloud-init", folder / "cloud-init")
        for unit in [*(folder / "cloud-init").glob("lib/systemd/system/cloud*"),
                     *(folder / "cloud-init").glob("usr/lib/systemd/system/cloud*")]:
            shutil.copy(unit, units)
        assert list(units.glob("cloud-init*.service"))
        for unit in OURS:
            shutil.copy(unit, units)
        (units / "docker.service.d").mkdir()
        for drop_in in (ROOT / "units/docker.service.d").glob("*.conf"):
            shutil.copy(drop_in, units / "docker.service.d")
        # the daemon makes this mount; its unit is systemd's, from the mount table
        (units / "var-lib-kubernetes-master.mount").write_text(
            "[Mount]\nWhat=/dev/null\nWhere=/var/lib/kubernetes/master\n", encoding="utf-8")
        for unit in ("docker", "containerd"):
            (units / f"{unit}.service").write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
        for name in ("bin/true", "bin/kill", "bin/rm", "usr/sbin/kube-bootstrap", "usr/sbin/dockerd", "usr/bin/docker",
                     "usr/bin/kubelet"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("#!/bin/sh\n", encoding="utf-8")
            (root / name).chmod(0o755)
        wants = root / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(parents=True)
        (wants / "cloud-init.target").symlink_to("/lib/systemd/system/cloud-init.target")
        for unit in units.glob("cloud-*.service"):
            if "hotplug" not in unit.name:
                enable(root, unit.name)
        for unit in ("systemd-networkd.service", "systemd-networkd-wait-online.service"):
            enable(root, unit)
        return root, version

    def of(suite):
        if suite not in made:
            made[suite] = make(suite)
        return made[suite]
    return of


@pytest.fixture(params=["bookworm", "trixie"])
def booted(request, roots, tmp_path):
    """A root of the suite in which the daemon is enabled, for one test alone; and cloud-init's version."""
    root, version = roots(request.param)
    shutil.copytree(root, tmp_path / "root", symlinks=True)
    enable(tmp_path / "root", "kube-bootstrap.service")
    return tmp_path / "root", version


def verify(root, unit):
    """What systemd has to say of it; nothing if it is sound."""
    return say("systemd-analyze", "verify", "--man=no", f"--root={root}", unit).stdout


def test_there_is_no_ordering_cycle_with_cloud_init(booted):
    root, version = booted
    said = verify(root, "multi-user.target")
    assert "cycle" not in said, f"cloud-init {version}: {said}"


def test_an_ordering_cycle_would_be_noticed(booted):
    """The same check on what earlier programs of this kind shipped."""
    root, version = booted
    unit = root / "lib/systemd/system/kube-bootstrap.service"
    text = unit.read_text(encoding="utf-8")
    unit.write_text(re.sub("^DefaultDependencies=no.*\n", "", text, flags=re.M).replace(
        "cloud-init-network.service", "cloud-final.service"), encoding="utf-8")
    said = verify(root, "multi-user.target")
    assert "ordering cycle" in said, f"cloud-init {version}: {said}"


# Each by itself

@pytest.mark.parametrize("unit", OURS, ids=lambda unit: unit.stem)
def test_a_unit_is_sound(roots, unit):
    assert verify(roots("bookworm")[0], unit.name) == ""


def lines_of(unit, pattern):
    return [line for line in unit.read_text(encoding="utf-8").splitlines() if re.search(pattern, line)]


def test_nothing_is_ordered_after_the_daemon():
    """A user-data script would wait for what waits for the daemon, and the daemon for the script."""
    found = {str(path): lines for path in (ROOT / "units").rglob("*") if path.is_file() and
             (lines := lines_of(path, r"^(After|Requires|BindsTo|Requisite|PartOf)=.*kube-bootstrap\.service"))}
    assert not found


def test_multi_user_target_does_not_wait_for_the_daemon():
    """A target is ordered after what it wants, by default."""
    assert lines_of(ROOT / "units/kube-bootstrap.service", "^DefaultDependencies=no$")


# These would hide the mounts that the daemon makes from everyone else, or hold the volume's a second time:
# systemd.exec(5), and exec_needs_mount_namespace() of systemd 252. ProtectClock= and ProtectHostname= make none.
NAMESPACES = (r"^(Private(Devices|Tmp|Mounts|Users|IPC)|Protect(System|Home|Kernel[A-Za-z]+|ControlGroups|Proc)"
              r"|ProcSubset|Read(Only|Write)Paths|InaccessiblePaths|(Temporary|Root|Mount|Extension)[A-Z][A-Za-z]+"
              r"|Bind[A-Za-z]*Paths|MountFlags|DynamicUser|ExecPaths|NoExecPaths|LogNamespace)=")


@pytest.mark.parametrize("unit", ["kube-bootstrap", "etcd", "flanneld"])
def test_a_unit_gets_no_mount_namespace_of_its_own(unit):
    assert not lines_of(ROOT / f"units/{unit}.service", NAMESPACES)


# What each may do, as systemd scores it (0 to 100, less is better): it is not to grow.
EXPOSED_MOST = [("kube-bootstrap", 43), ("etcd", 30), ("flanneld", 30)]


def score(most, unit):
    """Its status is not 0 if it is more."""
    return say("systemd-analyze", "security", "--offline=true", f"--threshold={most}", "--no-pager", unit)


@pytest.mark.parametrize("unit, most", EXPOSED_MOST)
def test_a_unit_may_do_the_least(unit, most):
    said = score(most, ROOT / f"units/{unit}.service")
    assert said.returncode == 0, said.stdout.splitlines()[-1:]


@pytest.mark.parametrize("unit, most", EXPOSED_MOST)
def test_a_unit_that_may_do_more_would_be_noticed(unit, most, tmp_path):
    looser = tmp_path / f"{unit}.service"
    text = (ROOT / f"units/{unit}.service").read_text(encoding="utf-8")
    looser.write_text(re.sub("^SystemCallFilter=@.*\n", "", text, flags=re.M), encoding="utf-8")
    said = score(most, looser)
    assert said.returncode != 0, said.stdout
    assert "exposure level" in said.stdout.splitlines()[-1], said.stdout


# User data as a script: nobody has written stack-config.sh when the daemon starts

@pytest.mark.needs_root
def test_a_missing_stack_config_is_refused_at_once_with_a_word_on_scripts(build, tmp_path):
    program = build(os.environ.get("VARIANT", "debug"), "kube-bootstrap")
    made = not os.path.exists("/etc/kubernetes")
    for folder in (tmp_path / "empty", tmp_path / "run"):
        folder.mkdir()
    if made:
        os.mkdir("/etc/kubernetes")
    try:
        said = say("unshare", "--mount", "--propagation", "private", "sh", "-c",
                   'mount --bind "$0" /etc/kubernetes && exec timeout 20 "$@"', tmp_path / "empty", program, "run",
                   "--resident", env=os.environ | {"KUBE_BOOTSTRAP_RUNTIME_FOLDER": str(tmp_path / "run")})
    finally:
        if made:
            os.rmdir("/etc/kubernetes")
    assert said.returncode == 78, said
    if said.stdout:
        assert re.search("/etc/kubernetes/stack-config.sh does not exist.*#cloud-config with write_files.*script",
                         said.stdout, re.S), said.stdout
    else:  # there is a journal, and it went there
        state = (tmp_path / "run/state.json").read_text(encoding="utf-8")
        assert re.search('"phase":"failed".*stack-config.sh does not exist.*script', state, re.S), state
