# SPDX-License-Identifier: Apache-2.0
"""Images from ECR: how ecr-credential-provider comes into the image, the registries that its configuration names, and
upstream's program asked as kubelet asks it, with the rights that the template gives."""

import base64
import fnmatch
import functools
import hashlib
import http.server
import json
import os
import re
import subprocess
import threading
from pathlib import Path

import botocore.session
import pytest
from region_checks.harness import sound_front
from region_checks.stack import create, instances

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("LAB_CACHE", "/var/cache/kube-bootstrap-lab"))
CONFIGURATION = ROOT / "conf/kubernetes/credential-providers.json"
PROVIDER = "ecr-credential-provider"
ARCHITECTURE = subprocess.run(["dpkg", "--print-architecture"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


# The configuration

def is_asked_for(image):
    """As kubelet matches a registry: each part of its name by itself.
    https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/"""
    [provider] = json.loads(CONFIGURATION.read_text(encoding="utf-8"))["providers"]
    parts = image.partition("/")[0].split(".")
    return any(len(pattern.split(".")) == len(parts) and all(map(fnmatch.fnmatchcase, parts, pattern.split(".")))
               for pattern in provider["matchImages"])


def registries():
    """An account's registry in each partition that botocore knows."""
    for partition in botocore.session.Session().get_data("partitions")["partitions"]:
        region = next(name for name in partition["regions"] if not name.endswith("-global"))
        yield f"123456789012.dkr.ecr.{region}.{partition['outputs']['dnsSuffix']}"


# https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html
@pytest.mark.parametrize("registry", [*registries(), *(f"123456789012.{name}" for name in (
    "dkr.ecr-fips.us-east-1.amazonaws.com", "dkr-ecr.eu-west-1.on.aws", "dkr-ecr-fips.us-gov-west-1.on.aws",
    "dkr-ecr.cn-north-1.on.amazonwebservices.com.cn"))])
def test_kubelet_asks_for_credentials_of(registry):
    assert is_asked_for(f"{registry}/team/app:1")


@pytest.mark.parametrize("image", ["registry.k8s.io/pause:3.10", "docker.io/library/busybox", "public.ecr.aws/team/app",
                                   "123456789012.dkr.ecr.us-east-1.amazonaws.com.example/team/app"])
def test_kubelet_asks_for_no_credentials_of(image):
    assert not is_asked_for(image)


# Into the image

@pytest.fixture
def site(tmp_path):
    """A site with v9.8.7: its address, and the program, which states a version."""
    program = tmp_path / f"site/v9.8.7/linux/{ARCHITECTURE}/{PROVIDER}-linux-{ARCHITECTURE}"
    program.parent.mkdir(parents=True)
    state(program, "v9.8.7")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}", program
        server.shutdown()


def state(program, version):
    """Writes a program that states the version, and its checksum."""
    program.write_text(f"#!/bin/sh\necho '{PROVIDER} version {version}'\n", encoding="utf-8")
    sum_file(program).write_text(hashlib.sha256(program.read_bytes()).hexdigest() + "\n", encoding="utf-8")


def sum_file(program):
    return program.with_name(f"{program.name}.sha256")


@pytest.fixture
def provision(tmp_path):
    """provision(LINES, VARIABLE=…): how the script ends with that list of images, and what it has made below a root."""
    def run(lines, **variables):
        root = tmp_path / "root"
        for folder in ("etc", "libexec"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "list").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        said = subprocess.run(
            ["unshare", "--mount", "sh", "-euc",
             'mount --bind "$1/etc" /etc; mount --bind "$1/libexec" /usr/libexec; exec "$0"',
             ROOT / "packer/provision/36-ecr-credential-provider.sh", root],
            env=os.environ | {"IMAGES_LIST": str(tmp_path / "list")} | variables, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False)
        return said, {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return run


LIST = ["CONTAINER_RUNTIME=containerd", "ECR_PROVIDER_VERSION=9.8.7"]
MADE = {f"libexec/kubernetes/credential-providers/{PROVIDER}", "etc/kubernetes/credential-providers.json"}


def pin(tmp_path, address, program):
    """Pins the program as it is now, beside the list of images; the site's checksum is another from now on."""
    name = f"{address}/{program.relative_to(tmp_path / 'site')}"
    (tmp_path / "list.sha256").write_text(f"{hashlib.sha256(program.read_bytes()).hexdigest()}  {name}\n", encoding="utf-8")
    sum_file(program).write_text(64 * "0", encoding="utf-8")
    return name


@pytest.mark.needs_root
@pytest.mark.parametrize("is_pinned", [False, True], ids=["with-the-sites-checksum", "pinned"])
def test_the_program_is_downloaded_and_configured(provision, site, tmp_path, is_pinned):
    address, program = site
    if is_pinned:
        pin(tmp_path, address, program)
    said, made = provision(LIST, ECR_PROVIDER_SITE=address, UNPINNED="false" if is_pinned else "true")
    assert said.returncode == 0, said.stdout
    assert set(made) == MADE
    installed, configuration = (made[name] for name in sorted(MADE, reverse=True))
    assert installed.read_bytes() == program.read_bytes() and installed.stat().st_mode & 0o777 == 0o755
    assert configuration.read_bytes() == CONFIGURATION.read_bytes()


@pytest.mark.needs_root
def test_without_the_internet_it_is_the_folders(provision, site):
    _, program = site
    program.rename(program.with_name(PROVIDER)).chmod(0o755)
    said, made = provision(LIST, BINARIES_DIR=str(program.parent), ECR_PROVIDER_SITE="http://127.0.0.1:9")
    assert (said.returncode, set(made)) == (0, MADE), said.stdout


@pytest.mark.needs_root
@pytest.mark.parametrize("lines", [LIST[:1], [*LIST[:1], "ECR_PROVIDER_VERSION="], ["CONTAINER_RUNTIME=docker", LIST[1]]],
                         ids=["no-version", "an-empty-version", "docker"])
def test_nothing_is_installed_where_kubelet_needs_or_has_none(provision, site, lines):
    said, made = provision(lines, ECR_PROVIDER_SITE=site[0])
    assert (said.returncode, made) == (0, {}), said.stdout


@pytest.mark.needs_root
@pytest.mark.parametrize("spoil, reason", [
    (lambda program: program.write_text("#!/bin/sh\n# another\n", encoding="utf-8"), "checksum did NOT match"),
    (lambda program: sum_file(program).write_text("\n", encoding="utf-8"), "no properly formatted"),
    (lambda program: sum_file(program).unlink(), "404"),
    (lambda program: state(program, "v9.8.71"), "expected v9.8.7"),
], ids=["another-program", "an-empty-checksum", "no-checksum", "another-version"])
def test_a_program_is_refused(provision, site, spoil, reason):
    address, program = site
    spoil(program)
    said, _ = provision(LIST, ECR_PROVIDER_SITE=address, UNPINNED="true")
    assert said.returncode != 0 and reason in said.stdout, said.stdout


@pytest.mark.needs_root
@pytest.mark.parametrize("unpinned", ["true", "false"])
def test_a_program_that_is_not_as_it_is_pinned_is_refused_whatever_the_site_says(provision, site, tmp_path, unpinned):
    address, program = site
    pin(tmp_path, address, program)
    with program.open("a", encoding="utf-8") as file:
        file.write("# a byte more\n")
    sum_file(program).write_text(hashlib.sha256(program.read_bytes()).hexdigest(), encoding="utf-8")
    said, made = provision(LIST, ECR_PROVIDER_SITE=address, UNPINNED=unpinned)
    assert said.returncode != 0 and "checksum did NOT match" in said.stdout and made == {}, said.stdout


@pytest.mark.needs_root
def test_a_program_that_is_not_pinned_is_refused(provision, site, tmp_path):
    address, program = site
    name = pin(tmp_path, address, program)
    (tmp_path / "list.sha256").unlink()
    said, made = provision(LIST, ECR_PROVIDER_SITE=address)
    assert said.returncode != 0 and f"{tmp_path}/list.sha256 has no checksum of\n    {name}\n" in said.stdout and made == {}


def test_the_lab_builds_the_version_that_the_list_of_images_names():
    [pinned] = re.findall(r"k8s\.io/cloud-provider-aws v(\S+)",
                          (ROOT / f"test/lab/modules/{PROVIDER}/go.mod").read_text(encoding="utf-8"))
    assert f"\nECR_PROVIDER_VERSION={pinned}\n" in (ROOT / "conf/images").read_text(encoding="utf-8")


# Upstream's program

@pytest.fixture(scope="module")
def front():
    with sound_front() as region:
        yield region


def answer(front, name, **parameters):
    """What the program ends with on a node of a stack of these parameters: status, answer, and its log."""
    create(front, name, NodeDesired="1", **parameters)
    [node] = instances(front, name, "node")
    front.wait_instance(node["InstanceId"], "running")
    [provider] = json.loads(CONFIGURATION.read_text(encoding="utf-8"))["providers"]
    asked = {"kind": "CredentialProviderRequest", "apiVersion": provider["apiVersion"],
             "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1"}
    metadata = front.control("POST", "/imds/listen", {"instance": node["InstanceId"]})["endpoint"]
    done = subprocess.run(
        [CACHE / PROVIDER / provider["name"]], input=json.dumps(asked), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, check=False, timeout=120, env={
            "AWS_ENDPOINT_URL": front.endpoint, "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata,
            "AWS_CA_BUNDLE": str(front.state / "ca.pem"), "AWS_MAX_ATTEMPTS": "1"})
    return done.returncode, done.stdout and json.loads(done.stdout), done.stderr


@pytest.mark.needs_root
def test_upstreams_program_gets_credentials_with_a_nodes_role(front):
    status, said, log = answer(front, "pulls", EcrRepositories="team/*")
    assert (status, said and said["kind"]) == (0, "CredentialProviderResponse"), log
    token = front.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, password = base64.b64decode(token).decode().split(":", 1)
    assert said["auth"] == {"123456789012.dkr.ecr.us-east-1.amazonaws.com": {"username": user, "password": password}}


@pytest.mark.needs_root
def test_upstreams_program_is_refused_where_the_stack_names_no_repositories(front):
    status, said, log = answer(front, "pulls-not")
    assert status != 0 and not said
    assert "AccessDeniedException" in log and "ecr:GetAuthorizationToken" in log
