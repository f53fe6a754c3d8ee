# SPDX-License-Identifier: Apache-2.0
"""The AMI's template as Debian 12's Packer reads it, and that the lab's image is made as it says."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "packer/kubernetes.pkr.hcl"
LAB_IMAGES = ROOT / "test/lab/images"


def say(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=ROOT)


@pytest.fixture
def packer(tmp_path):
    """packer(VERB, VARIABLE=…): how it ends on the template, with an empty package of the daemon."""
    (tmp_path / "kube-bootstrap.deb").touch()

    def packed(verb, **variables):
        variables["daemon_deb"] = tmp_path / "kube-bootstrap.deb"
        options = [word for name, value in variables.items() for word in ("-var", f"{name}={value}")]
        return say("packer", verb, *options, TEMPLATE.relative_to(ROOT))
    return packed


@pytest.fixture
def inspected(packer):
    """What the template says with its variables' defaults."""
    said = packer("inspect")
    assert said.returncode == 0, said.stdout
    return said.stdout


def test_the_template_has_packers_own_format():
    said = say("packer", "fmt", "-check", "packer")
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("debian", [12, 13])
def test_the_template_is_valid(packer, debian, architecture):
    said = packer("validate", debian=debian, architecture=architecture)
    assert said.returncode == 0, said.stdout


def test_the_template_is_valid_for_an_air_gapped_build(packer, tmp_path):
    said = packer("validate", airgap_folder=tmp_path, debian_mirror="http://mirror.example/debian")
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("variable, value, reason", [
    ("airgap_folder", "/nonexistent", "Bad source"),
    ("debian", "11", "must be 12 or 13"),
    ("architecture", "i386", "must be amd64"),
    ("kubernetes_version", "1.20.2", "must look like"),
], ids=["airgap_folder", "debian", "architecture", "kubernetes_version"])
def test_another_value_of_a_variable_is_refused(packer, variable, value, reason):
    said = packer("validate", **{variable: value})
    assert said.returncode != 0 and reason in said.stdout, said.stdout


def test_every_variable_is_described():
    text = TEMPLATE.read_text(encoding="utf-8")
    assert len(re.findall("^variable", text, re.M)) == len(re.findall("^  description", text, re.M)) > 0


def scripts_of(inspected):
    """The provisioning scripts that the template runs, in its order."""
    return re.findall(r"packer/provision/[\w.-]+", re.search(r"^local\.scripts: (.*)", inspected, re.M)[1])


def test_the_labs_image_is_made_by_the_templates_scripts_in_its_order(inspected):
    of_lab = []
    for part in ("instance-base", "instance-images", "instance-root"):
        text = (LAB_IMAGES / part).read_text(encoding="utf-8")
        first, last = re.search(r'^provision "\$work/root" (\d+) (\d+)', text, re.M).groups()
        of_lab += say("bash", "-c", '. "$0" && stage "$@"', LAB_IMAGES / "lib.sh", first, last).stdout.split()
    assert scripts_of(inspected) == of_lab


def test_the_template_runs_all_scripts_that_there_are(inspected):
    assert scripts_of(inspected) == sorted(f"packer/provision/{path.name}"
                                           for path in (ROOT / "packer/provision").iterdir())


def test_the_control_plane_is_of_kubelets_version(inspected):
    conf = (ROOT / "conf/images").read_text(encoding="utf-8")
    assert re.search(r'^var\.kubernetes_version: "(.*)"', inspected, re.M)[1] == \
        re.search("^APISERVER_IMAGE=.*:(.*)", conf, re.M)[1]


@pytest.fixture
def configured(tmp_path):
    """configured(RUNTIME): what 40-configuration.sh makes below /etc of an AMI with that runtime, in a folder."""
    def configure(runtime):
        images = (ROOT / "conf/images").read_text(encoding="utf-8")
        (tmp_path / "images").write_text(re.sub("(?m)^CONTAINER_RUNTIME=.*", f"CONTAINER_RUNTIME={runtime}", images))
        made = tmp_path / runtime
        made.mkdir()
        subprocess.run(["unshare", "--mount", "sh", "-euc", 'mount --bind "$1" /etc && sh "$0"',
                        ROOT / "packer/provision/40-configuration.sh", made],
                       env=os.environ | {"IMAGES_LIST": str(tmp_path / "images")}, check=True)
        return made
    return configure


@pytest.mark.needs_root
def test_containerd_has_a_configuration_where_the_list_names_it(configured):
    """https://github.com/containerd/containerd/blob/main/docs/cri/config.md; the folder is kube-bootstrap's (cni.h)."""
    made = configured("containerd")
    config = tomllib.loads((made / "containerd/config.toml").read_text(encoding="utf-8"))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    pause = re.search("(?m)^PAUSE_IMAGE=(.*)", (made / "kubernetes/images").read_text(encoding="utf-8"))[1]
    assert (config["version"], cri["sandbox_image"]) == (2, pause)
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is True
    folder = re.search('CNI_FOLDER RUNTIME_FOLDER "(.*)"',
                       (ROOT / "bootstrap/steps/services/cni.h").read_text(encoding="utf-8"))[1]
    assert cri["cni"]["conf_dir"] == f"/run/kube-bootstrap{folder}"
    assert (made / cri["registry"]["config_path"].removeprefix("/etc/")).is_dir()


@pytest.mark.needs_root
def test_containerd_keeps_debians_where_docker_is_the_runtime(configured):
    assert not (configured("docker") / "containerd").exists()
