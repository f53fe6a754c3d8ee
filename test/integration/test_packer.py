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


def say(*command, **how):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=ROOT,
                          **how)


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
@pytest.mark.parametrize("debian, images", [(12, "images.docker"), (13, "images.docker"), (13, "images")])
def test_the_template_is_valid(packer, debian, images, architecture):
    said = packer("validate", debian=debian, images=images, architecture=architecture)
    assert said.returncode == 0, said.stdout


def test_the_template_is_valid_for_an_air_gapped_build(packer, tmp_path):
    said = packer("validate", airgap_folder=tmp_path, debian_mirror="http://mirror.example/debian")
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("variable, value, reason", [
    ("airgap_folder", "/nonexistent", "Bad source"),
    ("debian", "11", "must be 12 or 13"),
    ("architecture", "i386", "must be amd64"),
    ("images", "images.nonexistent", "Unsupported attribute"),  # all that Debian 12's Packer says
    ("images", "stack-config.sh", "must be a file of conf/"),
], ids=["airgap_folder", "debian", "architecture", "no-list", "another-file"])
def test_another_value_of_a_variable_is_refused(packer, variable, value, reason):
    said = packer("validate", **{variable: value})
    assert said.returncode != 0 and reason in said.stdout, said.stdout


@pytest.mark.parametrize("unpinned", [False, True])
def test_the_scripts_are_told_whether_names_must_be_pinned(packer, unpinned):
    """Packer 1.6.6 turns the variable into true and false, which packer/lib/pins.sh knows."""
    said = packer("validate", unpinned=str(unpinned).lower())
    assert said.returncode == 0, said.stdout
    assert packer("validate", unpinned="perhaps").returncode != 0
    assert '"UNPINNED=${var.unpinned}",' in TEMPLATE.read_text(encoding="utf-8")


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


LISTS = {"images": "containerd", "images.docker": "docker"}


@pytest.mark.parametrize("images", LISTS)
def test_a_list_names_one_version_of_kubernetes_and_what_pods_run_on(packer, images):
    text = (ROOT / "conf" / images).read_text(encoding="utf-8")
    control_plane = r"(?m)^(?:APISERVER|CONTROLLER_MANAGER|SCHEDULER|PROXY)_IMAGE=.*:(v[0-9.]+)$"
    [version] = set(re.findall(control_plane, text))
    assert len(re.findall(control_plane, text)) == 4
    said = packer("inspect", images=images).stdout
    assert re.search(r'^local\.kubernetes_version: "(.*)"', said, re.M)[1] == version
    assert re.search(r'^local\.container_runtime: "(.*)"', said, re.M)[1] == LISTS[images]
    told = say("sh", "-euc", '. packer/lib/runtime.sh; echo "$kubernetes_version $container_runtime"', "packer/lib/docker.sh",
               env=os.environ | {"IMAGES_LIST": f"conf/{images}", "PROVISION_LIB": "packer/lib"})
    assert told.stdout.split() == [version, LISTS[images]], told


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
