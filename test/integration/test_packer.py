# SPDX-License-Identifier: Apache-2.0
"""The AMI's template as Debian 12's Packer reads it, and that the lab's image is made as it says."""

import re
import subprocess
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
