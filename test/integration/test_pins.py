# SPDX-License-Identifier: Apache-2.0
"""Pins of images and programs: what packer/pin writes, from a registry and sites on this machine, and that a build stops
without them. That pinned images and programs are taken, and no others, is in test_image.py and test_ecr.py."""

import functools
import http.server
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest
from images import archive
from kblab.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
SITES = ("KUBERNETES_SITE", "CONTAINERD_SITE", "ECR_PROVIDER_SITE")
ARCHITECTURES = ("amd64", "arm64")
INDEX = "application/vnd.oci.image.index.v1+json"
DIGEST = "sha256:" + 64 * "d"


class Site(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


def programs(architecture):
    """Paths on the sites, and the ends of their checksums' names."""
    return {
        f"KUBERNETES_SITE/v1.37.2/bin/linux/{architecture}/kubelet": ".sha256",
        f"KUBERNETES_SITE/v1.37.2/bin/linux/{architecture}/kubectl": ".sha256",
        f"CONTAINERD_SITE/v9.8.7/containerd-9.8.7-linux-{architecture}.tar.gz": ".sha256sum",
        f"ECR_PROVIDER_SITE/v9.8.6/linux/{architecture}/ecr-credential-provider-linux-{architecture}": ".sha256",
    }


class World:
    """A registry of two images, the sites with checksums alone, and a list of these images."""

    def __init__(self, folder):
        self.folder, self.list, self.pins = folder, folder / "images", folder / "images.sha256"
        (folder / "layer").mkdir()
        archive.write(folder / "archive.tar", "amd64", [archive.Image(name, [folder / "layer"])
                                                        for name in ("kube-apiserver:v1.37.2", "etcd:3")])
        self.registry = Registry(folder / "archive.tar", ("127.0.0.1", 0), "")
        self.site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Site, directory=folder))
        self.site.asked = []
        for server in (self.registry, self.site):
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.host, self.address = (f"127.0.0.1:{server.server_port}" for server in (self.registry, self.site))
        conf = folder / ".config/containers/registries.conf"
        conf.parent.mkdir(parents=True)
        conf.write_text("".join(f'[[registry]]\nprefix = "{prefix}"\nlocation = "{self.host}"\ninsecure = true\n'
                                for prefix in (self.host, "registry.k8s.io")))
        self.expected = {f"{self.host}/{name}:{tag}": self.move(name, tag, "first")
                         for name, tag in (("kube-apiserver", "v1.37.2"), ("etcd", "3"))}
        for architecture in ARCHITECTURES:
            for number, (path, ending) in enumerate(programs(architecture).items()):
                self.expected[f"http://{self.address}/{path}"] = str(number) + 63 * architecture[0]
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / f"{path}{ending}").write_text(f"{number}{63 * architecture[0]}  it\n".removesuffix(
                    "  it\n" if ending == ".sha256" else ""))  # as the sites have them
        self.write_list()

    def write_list(self, kubernetes="v1.37.2"):
        self.list.write_text(f"""CONTAINER_RUNTIME=containerd
CONTAINERD_VERSION=9.8.7
ECR_PROVIDER_VERSION=9.8.6
# OLD_IMAGE=none
APISERVER_IMAGE={self.host}/kube-apiserver:{kubernetes}
ETCD_IMAGE={self.host}/etcd:3
PAUSE_IMAGE={self.host}/pause:1@{DIGEST}
""")

    def move(self, name, tag, remark):
        """Moves the tag to another list of manifests, and returns its digest."""
        return self.registry.put(name, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [],
                                             "annotations": {"remark": remark}}).removeprefix("sha256:")

    def asked(self):
        return self.registry.asked + self.site.asked

    def run(self, *command, **variables):
        own = {name: f"http://{self.address}/{name}" for name in SITES}
        own["HOME"] = str(self.folder)  # for registries.conf
        return subprocess.run(command, env=os.environ | own | variables, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)

    def pin(self, *lists):
        return self.run(ROOT / "packer/pin", *(lists or [self.list]))

    def check(self, **variables):
        return self.run(ROOT / "packer/provision/25-pins.sh", IMAGES_LIST=str(self.list), **variables)

    def close(self):
        for server in (self.registry, self.site):
            server.shutdown()
            server.server_close()


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


# packer/pin

def test_pins_are_what_registries_and_sites_say(world):
    said = world.pin()
    assert said.returncode == 0, said.stdout
    assert world.pins.read_text() == "".join(f"{sum_}  {name}\n" for name, sum_ in world.expected.items())
    assert f"{world.pins}: 10 checksums" in said.stdout


def test_pinning_again_changes_nothing(world):
    world.pin()
    before = world.pins.read_text()
    said = world.pin()
    assert (said.returncode, world.pins.read_text()) == (0, before) and "another" not in said.stdout, said.stdout


def test_nothing_is_downloaded_but_manifests_and_checksums(world):
    world.pin()
    assert [path for path in world.asked() if not re.search(r" /v2/$|/manifests/|\.sha256(sum)?$", path)] == []


def test_a_tag_that_has_moved_is_told(world):
    world.pin()
    moved = world.move("etcd", "3", "second")
    said = world.pin()
    assert said.returncode == 0 and f"{moved}  {world.host}/etcd:3\n" in world.pins.read_text()
    assert re.findall(r"(\S+) is another one than before", said.stdout) == [f"{world.host}/etcd:3"], said.stdout


def test_up_to_kubernetes_1_18_the_image_hyperkube_is_pinned(world):
    world.write_list("v1.18.20")
    digest = world.move("hyperkube", "v1.18.20", "hyperkube")
    world.move("kube-apiserver", "v1.18.20", "another")
    said = world.pin()
    assert said.returncode == 0 and f"{digest}  registry.k8s.io/hyperkube:v1.18.20\n" in world.pins.read_text(), said.stdout
    assert [path for path in world.site.asked if "kubelet" in path] == []


KUBELET = "KUBERNETES_SITE/v1.37.2/bin/linux/arm64/kubelet"


def break_(world):
    del world.registry.manifests["etcd", "3"]
    (world.folder / f"{KUBELET}.sha256").unlink()
    (world.folder / "KUBERNETES_SITE/v1.37.2/bin/linux/amd64/kubectl.sha256").write_text("<html>\n")
    return [f"{world.host}/etcd:3", f"http://{world.address}/KUBERNETES_SITE/v1.37.2/bin/linux/amd64/kubectl",
            f"http://{world.address}/{KUBELET}"]


@pytest.mark.parametrize("is_pinned", [False, True], ids=["without-a-file", "with-an-old-file"])
def test_nothing_is_written_where_a_checksum_cannot_be_had(world, is_pinned):
    """And each such name is told, at once."""
    if is_pinned:
        world.pin()
    before = world.pins.read_text() if is_pinned else None
    broken = break_(world)
    said = world.pin()
    assert said.returncode != 0 and re.findall("(.*): no checksum", said.stdout) == broken, said.stdout
    assert (world.pins.read_text() if world.pins.exists() else None) == before
    assert list(world.folder.glob("*.new")) == []


def test_nothing_is_written_where_another_lists_checksum_cannot_be_had(world):
    other = world.folder / "images.other"
    other.write_text(world.list.read_text().replace("etcd:3", "etcd:4"))
    said = world.pin(world.list, other)
    assert said.returncode != 0 and f"{world.host}/etcd:4: no checksum" in said.stdout
    assert list(world.folder.glob("*.sha256*")) == []


# The build stops

def without(said):
    """The names of which the message says that they have no pin."""
    return re.findall("(?m)^    (.*)", said.stdout)


def own_names(world):
    """Names that a build on this machine needs pins of."""
    foreign = {"amd64": "arm64", "arm64": "amd64"}[subprocess.run(
        ["dpkg", "--print-architecture"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()]
    return [name for name in world.expected if foreign not in name]


def test_a_build_without_pins_stops_with_all_names_and_downloads_nothing(world):
    said = world.check()
    assert said.returncode != 0 and without(said) == own_names(world), said.stdout
    assert "packer/pin" in said.stdout and "-var unpinned=true" in said.stdout and world.asked() == []


def test_a_build_with_one_name_that_is_not_pinned_stops(world):
    world.pin()
    world.pins.write_text("".join(line for line in world.pins.read_text().splitlines(True) if "/etcd:" not in line))
    said = world.check()
    assert said.returncode != 0 and without(said) == [f"{world.host}/etcd:3"], said.stdout


def test_pinned_builds_go_on(world):
    world.pin()
    said = world.check()
    assert (said.returncode, said.stdout) == (0, "")


def test_a_build_that_is_told_so_goes_on(world):
    assert world.check(UNPINNED="true").returncode == 0
    assert world.check(UNPINNED="false").returncode != 0


@pytest.mark.parametrize("folders, names", [
    (["IMAGES_DIR", "BINARIES_DIR"], ""),
    (["BINARIES_DIR"], "apiserver|etcd"),
    (["IMAGES_DIR"], "http:"),
    (["IMAGES_DIR", "CONTAINERD_DIR"], "kubelet|kubectl|ecr"),
    (["IMAGES_DIR", "ECR_PROVIDER_DIR"], "kubelet|kubectl|/containerd"),
], ids=["all", "binaries", "images", "images-and-containerd", "images-and-ecrs-provider"])
def test_names_that_a_folder_has_need_no_pins(world, folders, names):
    said = world.check(**dict.fromkeys(folders, "/nonexistent"))
    assert without(said) == [name for name in own_names(world) if names and re.search(names, name)], said.stdout
    assert (said.returncode == 0) == (names == "")


@pytest.mark.parametrize("line", ["abc  name", f"{64 * 'a'} name", f"{64 * 'A'}  name", f"sha256:{64 * 'a'}  name",
                                  f"{64 * 'a'}  two names", ""])
def test_a_line_of_another_form_is_refused(world, line):
    world.pins.write_text(f"{64 * 'a'}  name\n{line}\n")
    for variables in ({}, {"UNPINNED": "true"}):
        said = world.check(**variables)
        assert said.returncode != 0 and f"2:{line}\n" in said.stdout, said.stdout


def test_pins_are_asked_for_before_the_first_script_that_downloads():
    """Debian's packages apart, which apt checks."""
    downloads = [path.name for path in sorted((ROOT / "packer/provision").iterdir())
                 if re.search(r"PROVISION_LIB/(pins|download)\.sh|curl -|docker pull", path.read_text(encoding="utf-8"))]
    assert downloads[0] == "25-pins.sh" and len(downloads) > 1


@pytest.mark.parametrize("name", ["images", "images.docker"])
def test_of_the_trees_lists_every_image_is_to_be_pinned(name):
    text = (ROOT / "conf" / name).read_text(encoding="utf-8")
    said = subprocess.run([ROOT / "packer/provision/25-pins.sh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=os.environ | {"IMAGES_LIST": str(ROOT / "conf" / name), "PINS": "/nonexistent"}, check=False)
    assert [line for line in without(said) if not line.startswith("https:")] == re.findall("(?m)^[A-Z_]+_IMAGE=(.*)", text)
