# SPDX-License-Identifier: Apache-2.0
"""What the provisioning scripts make of a clean Debian root: what packer/image.list says, and what their last check
refuses. Roots are layers over the lab's image, in memory."""

import contextlib
import functools
import glob
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from images import archive
from kblab.registry import MANIFEST, Registry

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("LAB_CACHE", "/var/cache/kube-bootstrap-lab"))
MIRROR = os.environ.get("LAB_MIRROR", "http://deb.debian.org/debian")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LAB_IMAGES = ROOT / "test/lab/images"

pytestmark = pytest.mark.needs_root


# Roots

def say(*command, **how):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          check=False, **how)


def say_in(root, *command):
    """As the lab's scripts run a command in a root: with the tree in /run/tree and the cache in /run/cache."""
    return say("bash", "-c", '. "$0" && in_root "$@"', LAB_IMAGES / "lib.sh", root, *command)


def script(root, name, **variables):
    """How a provisioning script ends in the root."""
    return say_in(root, "env", *(f"{key}={value}" for key, value in variables.items()),
                  f"/run/tree/packer/provision/{name}")


def assert_done(said):
    assert said.returncode == 0, said.stdout[-4000:]


def assert_fails(said, reason):
    assert said.returncode != 0 and reason in said.stdout, said


class Layers:
    """Roots to be spoilt."""

    def __init__(self, folder):
        self.folder, self.tops = folder, []

    def __call__(self, base="instance-root-docker", size="4G"):
        top = self.folder / f"layer{len(self.tops)}"
        top.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", top], check=True)
        self.tops.append(top)
        for part in ("upper", "work", "root"):
            (top / part).mkdir()
        parts = f"lowerdir={CACHE / base},upperdir={top}/upper,workdir={top}/work"
        subprocess.run(["mount", "-t", "overlay", "-o", parts, "overlay", top / "root"], check=True)
        return top / "root"

    def end(self):
        for top in self.tops:
            subprocess.run(["umount", "--lazy", top / "root", top], check=True)


@pytest.fixture
def layer(tmp_path):
    """layer(NAME, SIZE): a layer over that root in the lab's cache."""
    layers = Layers(tmp_path)
    yield layers
    layers.end()


@pytest.fixture(scope="module")
def current(build, tmp_path_factory):
    """The image with the tree's package where the one is that it was made with."""
    build("release", "kube-bootstrap")
    assert_done(say("make", "-s", "VARIANT=release", "deb", cwd=ROOT))
    layers = Layers(tmp_path_factory.mktemp("current"))
    root = layers()
    assert_done(script(root, "60-daemon.sh", DAEMON_DEB="/run/tree/build/release/kube-bootstrap.deb"))
    assert_done(script(root, "90-clean.sh"))
    yield root
    layers.end()


def put(path, text="something"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")


# The image against the list

RUNTIMES = ("docker", "containerd")


def listed(runtime="docker"):
    """The lines of packer/image.list for an image whose pods run on that, as words."""
    [other] = {f"{name}:" for name in RUNTIMES if name != runtime}
    lines = (ROOT / "packer/image.list").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(f"{runtime}:").split() for line in lines if line and not line.startswith(("#", other))]


def systemctl(root, *words):
    return subprocess.run(["systemctl", f"--root={root}", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False).stdout


def units_that_are(root, state):
    said = systemctl(root, "list-unit-files", f"--state={state}", "--no-legend")
    return {line.split()[0] for line in said.splitlines()}


def is_so(root, line):
    """Whether the root has what a line of the list says."""
    match line:
        case ["file" | "empty" as kind, mode, path]:
            said = say("stat", "-c", "%F %a %U", f"{root}{path}").stdout.strip()
            return said == f"regular {'' if kind == 'file' else 'empty '}file {mode.lstrip('0')} root"
        case ["link", target, path]:
            return os.path.islink(f"{root}{path}") and os.readlink(f"{root}{path}") == target
        case ["absent", pattern]:
            return not glob.glob(f"{root}{pattern}")
        case ["program", name]:
            return say("chroot", root, "sh", "-c", f"command -v {name}").returncode == 0
        case ["static" | "disabled" | "masked" as state, unit]:
            return systemctl(root, "is-enabled", unit).strip() == state
    return False


def test_the_trees_package_is_in_the_image(current):
    def version_of(*command):
        said = say(*command)
        assert_done(said)
        return said.stdout
    assert version_of("chroot", current, "dpkg-query", "--show", "--showformat=${Version}\n", "kube-bootstrap") == \
        version_of("dpkg-deb", "--field", ROOT / "build/release/kube-bootstrap.deb", "Version")
    for program in ("/usr/sbin/kube-bootstrap",):
        assert_done(say("cmp", f"{current}{program}", ROOT / f"build/release/deb{program}"))


def test_the_image_has_what_the_list_says_and_has_not_what_it_must_not(current):
    assert [line for line in listed() if line[0] != "enabled" and not is_so(current, line)] == []


def test_so_has_the_one_with_containerd(layer):
    root = layer("instance-root-containerd")
    assert [line for line in listed("containerd") if line[0] != "enabled" and not is_so(root, line)] == []


def test_containerds_store_has_the_pods_images_pinned(layer):
    """But for etcd and flanneld, which are docker-bootstrap's."""
    root = layer("instance-root-containerd")
    names = re.findall(r"(?m)^(?!ETCD|FLANNEL)\w+_IMAGE=(.*)", (root / "etc/kubernetes/images").read_text(encoding="utf-8"))
    said = say_in(root, "sh", "-euc", "PROVISION_LIB=/run/tree/packer/lib; . $PROVISION_LIB/containerd.sh; start_containerd; ctr images ls")
    assert_done(said)
    pinned = {line.split()[0] for line in said.stdout.splitlines() if "io.cri-containerd.pinned=pinned" in line}
    assert pinned >= set(names) and len(names) == 7, said.stdout


# What the lab adds and masks is its own: instance-lab/apply.
DEBIANS = {"dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "getty@.service",
           "remote-fs.target", "systemd-pstore.service"}
LABS = re.compile("lab-.*|systemd-networkd.*|systemd-network-generator.*")


def test_no_unit_starts_at_boot_but_debians_and_ours(current):
    enabled = {unit for unit in units_that_are(current, "enabled") if not LABS.fullmatch(unit)}
    ours = {line[1] for line in listed() if line[0] == "enabled"}
    assert enabled == (ours | DEBIANS) - units_that_are(current, "masked")


# The last check

def check(root):
    return script(root, "95-check.sh")


def test_the_last_check_passes_the_image(current):
    assert_done(check(current))


def test_the_last_check_passes_the_one_with_containerd(layer):
    assert_done(check(layer("instance-root-containerd")))


@pytest.mark.parametrize("path, change, reason", [
    ("etc/containerd/config.toml", lambda text: text + "[", "containerd does not read /etc/containerd/config.toml"),
    ("usr/lib/cni/portmap", None, "no network plugin portmap"),
    ("usr/libexec/kubernetes/credential-providers/ecr-credential-provider", None, "there is no program"),
    ("etc/kubernetes/credential-providers.json", None, "there is no /etc/kubernetes/credential-providers.json"),
    ("etc/kubernetes/images", lambda text: re.sub(r"(?m)^(PROXY_IMAGE=.*:v\d+\.).*", r"\g<1>7.0", text),
     "PROXY_IMAGE is"),
], ids=["its-configuration", "a-plugin", "ecrs-provider", "the-providers-configuration", "another-version"])
def test_the_build_fails_where_containerds_image_is_spoilt(layer, path, change, reason):
    root = layer("instance-root-containerd")
    text = (root / path).read_text(encoding="utf-8") if change else ""
    (root / path).unlink()
    if change:
        put(root / path, change(text))
    assert_fails(check(root), reason)


@pytest.mark.parametrize("path, text, reason", [pytest.param(*row, id=what.replace(" ", "-")) for what, *row in (
    ("a host key", "etc/ssh/ssh_host_ed25519_key", "something", "host key: /etc/ssh/ssh_host_ed25519_key"),
    ("an identity", "etc/machine-id", "0123456789abcdef0123456789abcdef", "/etc/machine-id is not empty"),
    ("a random seed", "var/lib/systemd/random-seed", "something", "random-seed"),
    ("cloud-init's state", "var/lib/cloud/instances/i-0/obj.pkl", "something", "cloud-init's state"),
    ("a log", "var/log/cloud-init.log", "something", "log: /var/log/cloud-init.log"),
    ("an authorized key", "home/admin/.ssh/authorized_keys", "something",
     "credentials: /home/admin/.ssh/authorized_keys"),
    ("a registry's password", "root/.docker/config.json", "something", "credentials: /root/.docker"),
    ("a private key", "etc/own/tls.pem", "-----BEGIN EC PRIVATE KEY-----", "credentials: /etc/own/tls.pem"),
    ("an access key of AWS", "usr/local/bin/upload", "key=AKIA" "IOSFODNN7EXAMPLE",
     "credentials: /usr/local/bin/upload"),
    ("an instance's configuration", "etc/kubernetes/stack-config.sh", "something", "stack-config.sh"),
    ("a pod's address", "var/lib/cni/networks/overlay/10.244.1.2", "something", "an instance's own: /var/lib/cni"),
    ("package lists", "var/lib/apt/lists/deb.debian.org_dists", "something", "cache: /var/lib/apt/lists"),
    ("an upload", "var/tmp/kube-bootstrap/kube-bootstrap.deb", "something", "temporary file: /var/tmp/kube-bootstrap"),
)])
def test_the_build_fails_where_something_is_left(layer, path, text, reason):
    root = layer()
    put(root / path, text)
    assert_fails(check(root), reason)


def test_the_build_fails_where_machine_id_is_missing(layer):
    root = layer()
    (root / "etc/machine-id").unlink()
    assert_fails(check(root), "no /etc/machine-id")


@pytest.mark.parametrize("verb, unit, reason", [
    ("enable", "docker.service", "docker.service would start"),
    ("disable", "kube-bootstrap.service", "kube-bootstrap.service would not"),
], ids=["docker-would", "the-daemon-would-not"])
def test_the_build_fails_where_a_unit_starts_or_not(layer, verb, unit, reason):
    root = layer()
    assert_done(say("systemctl", "-q", f"--root={root}", verb, unit))
    assert_fails(check(root), reason)


@pytest.mark.parametrize("containerd, kubelet, reason", [
    ("1.6.20~ds1 1.6.20~ds1-1+deb12u3", "v1.37.2", "containerd 1.6.20~ds1 does not keep the pause image"),
    ("1.7.24~ds1 1.7.24~ds1-6", "v1.38.0", "kubelet v1.38 needs containerd 2.0 or later, this is 1.7.24~ds1"),
    ("1.7.24~ds1 1.7.24~ds1-6", "v1.37.2", ""),
    ("v2.3.7 ", "v1.38.0", ""),
])
def test_the_build_fails_where_kubelet_needs_another_containerd(layer, containerd, kubelet, reason):
    root = layer("instance-root-containerd")
    images = (root / "etc/kubernetes/images").read_text(encoding="utf-8")
    put(root / "etc/kubernetes/images", re.sub(r"(?m)^(\w+_IMAGE=.*:)v1\.37\.2$", rf"\g<1>{kubelet}", images))
    for program, said in (("kubelet", f"Kubernetes {kubelet}"),
                          ("containerd", f"containerd github.com/containerd/containerd {containerd}")):
        put(root / "usr/bin" / program, f"#!/bin/sh\necho '{said}'")
    if reason:
        assert_fails(check(root), reason)
    else:
        assert_done(check(root))


@pytest.mark.parametrize("path, text", [
    ("etc/fstab", "/dev/xvda1 / ext4 defaults 0 1\n/dev/xvdb none swap sw 0 0"),
    ("etc/systemd/system/dev-xvdb.swap", "[Swap]\nWhat=/dev/xvdb"),
], ids=["fstab", "a-unit"])
def test_the_build_fails_where_there_is_swap(layer, path, text):
    root = layer()
    put(root / path, text)
    assert_fails(check(root), "swap, with which kubelet does not start")


def test_a_commented_swap_passes(layer):
    root = layer()
    put(root / "etc/fstab", "# /dev/xvdb none swap sw 0 0")
    assert_done(check(root))


@pytest.mark.parametrize("image, refused", [("lab/kube-apiserver:1.19.2", True), ("lab/kube-apiserver:v1.20.9", False),
                                            ("lab/kube-apiserver@sha256:0", True),
                                            ("lab:5000/kube-apiserver:v1.20.2@sha256:0", False)])
def test_the_build_fails_where_the_control_plane_is_of_another_version(layer, image, refused):
    root = layer()
    images = (root / "etc/kubernetes/images").read_text(encoding="utf-8")
    put(root / "etc/kubernetes/images", re.sub("(?m)^APISERVER_IMAGE=.*", f"APISERVER_IMAGE={image}", images))
    if refused:
        assert_fails(check(root), f"APISERVER_IMAGE is {image}, but kubelet is v1.20")
    else:
        assert_done(check(root))


def test_the_build_fails_where_a_kernel_lacks_a_module(layer):
    root = layer()
    put(root / "lib/modules/6.1/modules.dep", "kernel/overlay.ko:")
    assert_fails(check(root), "kernel 6.1 has no module br_netfilter")


TOLD = "\tlinux\t/boot/vmlinuz-6.1 root=x ro nvme_core.io_timeout=4294967295"


def put_kernel(root, *entries):
    """And grub.cfg with these entries, if any."""
    put(root / "boot/vmlinuz-6.1")
    if entries:
        put(root / "boot/grub/grub.cfg", "\n".join(entries))


@pytest.mark.parametrize("entries, reason", [
    ([TOLD, "linux /boot/vmlinuz-6.1 root=x ro single"], "without nvme_core.io_timeout"),
    ([TOLD, TOLD + "0"], "without nvme_core.io_timeout"),
    ([], "starts no kernel"),
], ids=["one-starts-with-the-default", "one-starts-with-another", "the-boot-loader-is-not-set-up"])
def test_the_build_fails_where_a_kernel_is_not_told_of_nvmes_timeout(layer, entries, reason):
    root = layer()
    put_kernel(root, *entries)
    assert_fails(check(root), reason)


def test_a_kernel_that_is_told_of_nvmes_timeout_passes(layer):
    root = layer()
    put_kernel(root, TOLD, TOLD)
    assert_done(check(root))


# dockerd's flags that daemon.json may not repeat, with a value of each
CLASHES = {"hosts": ["fd://"], "containerd": "/x", "bridge": "b", "mtu": 1, "ip-masq": True, "userland-proxy": True,
           "exec-opts": ["native.cgroupdriver=systemd"]}


@pytest.mark.parametrize("key", [*CLASHES, "bip"])
def test_the_build_fails_where_daemon_json_sets_a_flag_of_ours(layer, key):
    root = layer()
    put(root / "etc/docker/daemon.json", f'{{ "debug": true, "{key}": ["x"] }}')
    assert_fails(check(root), f"daemon.json sets {key}")


def test_keys_of_daemon_json_that_dockerds_flags_do_not_know_are_no_clash(layer):
    root = layer()
    put(root / "etc/docker/daemon.json",
        '{ "default-network-opts": { "bridge": { "mtu": "1400" } }, "labels": ["hosts:", "a\\"bip\\": 1"] }')
    assert_done(check(root))


@pytest.mark.parametrize("key", CLASHES)
def test_dockerd_refuses_it_twice(layer, key):
    root = layer()
    put(root / "etc/docker/daemon.json", json.dumps({key: CLASHES[key]}))
    said = say_in(root, "timeout", "20", "dockerd", "-H", "fd://", "--containerd=/run/none.sock", "--bridge=cbr0",
                  "--mtu=1450", "--ip-masq=false", "--userland-proxy=false",
                  "--exec-opt=native.cgroupdriver=cgroupfs")
    assert "specified both as a flag and in the configuration file" in said.stdout, said.stdout


def test_those_are_all_the_flags_that_dockerd_is_given():
    unit = (ROOT / "units/docker.service.d/kube-bootstrap.conf").read_text(encoding="utf-8")
    rendered = re.search(r"^int render_docker_environment.*?^}", (ROOT / "bootstrap/cluster/render.c").read_text(
        encoding="utf-8"), re.M | re.S)[0]
    given = re.findall("-(?:H|-[a-z-]+)", re.search("^ExecStart=.*dockerd (.*)", unit, re.M)[1])
    given += re.findall("--[a-z-]+=", rendered)
    assert sorted(given) == sorted(["--bridge=", "--containerd", "--exec-opt=", "--ip-masq=", "--mtu=",
                                    "--userland-proxy=", "-H"])


def test_the_build_fails_with_less_than_1_gib_free(layer):
    assert_fails(check(layer(size="900M")), "MiB free, expected 1024")


# What a build on EC2 leaves by itself, in places that sshd, systemd, dbus, docker, people, apt and netplan write to.
# cloud-init's own are for cloud-init to clean, which no root of the lab's has.
LEAVINGS = """
    etc/ssh/ssh_host_rsa_key etc/machine-id var/lib/systemd/random-seed var/lib/dbus/machine-id etc/docker/key.json
    var/lib/docker/engine-id root/.docker/config.json root/.bash_history home/admin/.ssh/authorized_keys
    var/log/a/b.log var/log/wtmp var/log/journal/0/system.journal var/log/cloud-init.log var/lib/apt/lists/list
    var/cache/apt/archives/a.deb var/tmp/x etc/netplan/50-cloud-init.yaml root/.aws/credentials root/.kube/config
""".split()


def test_what_a_build_leaves_by_itself_is_cleaned_away(layer):
    root = layer()
    for path in LEAVINGS:
        put(root / path)
    assert_done(script(root, "90-clean.sh"))
    assert [path for path in LEAVINGS if (root / path).exists() and (root / path).stat().st_size] == []
    assert (root / "etc/machine-id").is_file()
    assert_done(check(root))


# Packages of every variant

@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_its_packages_are_in_debian(layer, suite, architecture):
    """apt finds all that the script asks for, without installing it."""
    root = layer("instance-images-docker")
    apt = Path("/var/tmp/apt")
    inside = root / apt.relative_to("/")
    (root / "etc/resolv.conf").write_bytes(Path("/etc/resolv.conf").read_bytes())
    for folder in ("lists/partial", "cache/archives/partial"):
        (inside / folder).mkdir(parents=True)
    put(inside / "sources.list", f"deb {MIRROR} {suite} main")
    (root / "etc/apt/trusted.gpg.d/all.gpg").write_bytes(KEYRING.read_bytes())
    put(inside / "conf", f"""
Dir::Etc::sourcelist "{apt}/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "{apt}/lists"; Dir::Cache "{apt}/cache"; Dir::State::status "/dev/null";
APT::Architecture "{architecture}"; APT::Architectures {{ "{architecture}"; }}; APT::Get::Simulate "true";""")
    said = script(root, "10-packages.sh", APT_CONFIG=f"{apt}/conf")
    assert_done(said)
    for package in ("docker.io", "docker-cli") if suite == "trixie" else ("docker.io",):
        assert f"\nInst {package} " in said.stdout, said.stdout[-4000:]


# kubelet and kubectl, containerd

@contextlib.contextmanager
def serve(folder):
    """Serves the folder's files; says where."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def serve_images(path, host):
    """Is a registry of the archive's images."""
    with Registry(path, ("127.0.0.1", 0), host) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.fixture
def site(tmp_path):
    """A site of the project's with v1.27.3: where it is, and the folder with the programs and their checksums."""
    architecture = say("dpkg", "--print-architecture").stdout.strip()
    release = tmp_path / "site/v1.27.3/bin/linux" / architecture
    for program in ("kubelet", "kubectl"):
        put(release / program, "#!/bin/sh\necho Kubernetes v1.27.3")
        put(release / f"{program}.sha256", hashlib.sha256((release / program).read_bytes()).hexdigest())
    with serve(tmp_path / "site") as address:
        yield address, release


def test_kubelet_and_kubectl_are_downloaded(layer, site):
    address, release = site
    root = layer("instance-images-docker")
    assert_done(script(root, "30-kubernetes.sh", KUBERNETES_VERSION="v1.27.3", KUBERNETES_SITE=address, UNPINNED="true"))
    for program in ("kubelet", "kubectl"):
        assert (root / "usr/bin" / program).read_bytes() == (release / program).read_bytes()


def test_what_is_not_as_its_checksum_says_is_refused(layer, site):
    address, release = site
    with (release / "kubectl").open("a", encoding="utf-8") as file:
        file.write("# a byte more\n")
    said = script(layer("instance-images-docker"), "30-kubernetes.sh", KUBERNETES_VERSION="v1.27.3", KUBERNETES_SITE=address,
                  UNPINNED="true")
    assert_fails(said, "checksum did NOT match")


def pin(root, sums):
    """The variable with which a script finds these pins."""
    put(root / "opt/pins", "\n".join(f"{sum_}  {name}" for name, sum_ in sums.items()))
    return {"PINS": "/opt/pins"}


@pytest.mark.parametrize("spoilt", [None, "kubelet", "kubectl"])
def test_they_are_those_that_are_pinned(layer, site, spoilt):
    """Whatever the site says that they are."""
    address, release = site
    root = layer("instance-images-docker")
    pins = pin(root, {f"{address}/{path.relative_to(release.parents[3])}": hashlib.sha256(path.read_bytes()).hexdigest()
                      for path in (release / "kubelet", release / "kubectl")})
    if spoilt:
        put(release / spoilt, "#!/bin/sh\necho  Kubernetes v1.27.3")
        put(release / f"{spoilt}.sha256", hashlib.sha256((release / spoilt).read_bytes()).hexdigest())
    else:
        (release / "kubelet.sha256").unlink()
    said = script(root, "30-kubernetes.sh", KUBERNETES_VERSION="v1.27.3", KUBERNETES_SITE=address, **pins)
    if spoilt:
        assert_fails(said, "checksum did NOT match")
    else:
        assert_done(said)


@pytest.mark.parametrize("is_pulled", [False, True], ids=["from-the-folder", "from-its-registry"])
def test_up_to_kubernetes_1_18_they_come_out_of_the_image_hyperkube(layer, tmp_path, is_pulled):
    folder = tmp_path / "hyperkube"
    put(folder / "hyperkube", "#!/bin/sh\necho Kubernetes v1.18.20")
    (folder / "hyperkube").chmod(0o755)
    (folder / "usr/local/bin").mkdir(parents=True)
    for program in ("kubelet", "kubectl"):
        (folder / "usr/local/bin" / program).symlink_to("/hyperkube")
    root = layer("instance-images-docker")
    images = root / "opt/hyperkube.tar"
    assert_done(say(LAB_IMAGES / "make-image", "--architecture", say("dpkg", "--print-architecture").stdout.strip(),
                    "lab/hyperkube:v1.18.20", folder, images))
    with serve_images(images, "lab") as server:
        image = f"127.0.0.1:{server.server_port}/hyperkube:v1.18.20"
        if is_pulled:
            manifest = server.manifests.pop(("hyperkube", "v1.18.20"))
            variables = pin(root, {image: hashlib.sha256(manifest).hexdigest()})
        else:
            image, variables = "lab/hyperkube:v1.18.20", {"IMAGES_DIR": "/opt"}
        # docker's layers cannot lie in a layer
        assert_done(say_in(root, "sh", "-euc", 'mount -t tmpfs tmpfs /var/tmp && exec env "$@"', "sh",
                           *(f"{key}={value}" for key, value in variables.items()), f"HYPERKUBE_IMAGE={image}",
                           "KUBERNETES_VERSION=v1.18.20", "/run/tree/packer/provision/30-kubernetes.sh"))
    for program in ("kubelet", "kubectl"):
        assert (root / "usr/bin" / program).read_bytes() == (folder / "hyperkube").read_bytes()


def test_a_kubelet_of_another_version_than_asked_for_is_refused(layer):
    version = re.search("^kubernetes_version=(.*)", (LAB_IMAGES / "versions").read_text(encoding="utf-8"), re.M)[1]
    said = script(layer("instance-images-docker"), "30-kubernetes.sh", KUBERNETES_VERSION="v1.21.0",
                  BINARIES_DIR=f"/run/cache/kubernetes/{version}")
    assert_fails(said, "expected Kubernetes v1.21.0")


@pytest.fixture
def containerds_site(tmp_path):
    """A site with containerd 9.8.7: where it is, and its archive, beside which is a checksum."""
    architecture = say("dpkg", "--print-architecture").stdout.strip()
    path = tmp_path / f"site/v9.8.7/containerd-9.8.7-linux-{architecture}.tar.gz"
    path.parent.mkdir(parents=True)
    for program in ("containerd", "containerd-shim-runc-v2", "ctr"):
        put(tmp_path / "bin" / program, f"#!/bin/sh\necho 'containerd {program} v9.8.7 0'")
    assert_done(say("tar", "-C", tmp_path, "-czf", path, "bin"))
    put(path.with_name(f"{path.name}.sha256sum"), f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
    with serve(tmp_path / "site") as address:
        yield address, path


def test_containerd_is_downloaded(layer, containerds_site, tmp_path):
    address, _ = containerds_site
    root = layer("instance-root-containerd")
    put(root / "etc/kubernetes/images", "CONTAINER_RUNTIME=containerd\nCONTAINERD_VERSION=9.8.7")
    assert_done(script(root, "35-containerd.sh", CONTAINERD_SITE=address, UNPINNED="true"))
    for program in ("containerd", "containerd-shim-runc-v2", "ctr"):
        assert (root / "usr/bin" / program).read_bytes() == (tmp_path / "bin" / program).read_bytes()


def test_an_archive_of_containerd_that_is_not_as_its_checksum_says_is_refused(layer, containerds_site):
    address, path = containerds_site
    root = layer("instance-root-containerd")
    put(root / "etc/kubernetes/images", "CONTAINER_RUNTIME=containerd\nCONTAINERD_VERSION=9.8.7")
    with path.open("ab") as file:
        file.write(b"a byte more")
    assert_fails(script(root, "35-containerd.sh", CONTAINERD_SITE=address, UNPINNED="true"), "checksum did NOT match")


# Container images, from a registry

@pytest.fixture
def registry(tmp_path):
    """A registry of v1 and v2 of three images, each by a list of manifests: its address, itself, and v1's digests."""
    architecture = say("dpkg", "--print-architecture").stdout.strip()
    images = [archive.Image(f"{name}:{tag}", [tmp_path / tag], [f"/{name}"])
              for tag in ("v1", "v2") for name in ("etcd", "pause", "kube-apiserver")]
    for tag in ("v1", "v2"):
        put(tmp_path / tag / "etc/version", tag)
    archive.write(tmp_path / "images.tar", architecture, images)
    digests = {}
    with serve_images(tmp_path / "images.tar", "") as server:
        for (name, tag), manifest in list(server.manifests.items()):
            if not tag.startswith("sha256:"):
                digests[name, tag] = server.put(name, tag, {
                    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
                        {"mediaType": MANIFEST, "digest": f"sha256:{hashlib.sha256(manifest).hexdigest()}",
                         "size": len(manifest), "platform": {"os": "linux", "architecture": architecture}}]})
        yield (f"127.0.0.1:{server.server_port}", server,
               {name: digest for (name, tag), digest in digests.items() if tag == "v1"})


STORES = ("docker-bootstrap", "docker", "containerd")
SHOW = """
PROVISION_LIB=/run/tree/packer/lib
for store in docker-bootstrap docker; do
    [ -d /var/lib/$store/image ] || continue
    (. $PROVISION_LIB/docker.sh; start_docker /var/lib/$store
    docker images --digests --format "$store {{.Repository}}:{{.Tag}} {{.Digest}}")
done
[ ! -d /var/lib/containerd/io.containerd.metadata.v1.bolt ] || {
    . $PROVISION_LIB/containerd.sh; start_containerd
    ctr images ls | while read -r name type digest rest; do echo "containerd $name $digest"; done
}
"""


@pytest.fixture
def pull(layer, registry):
    """pull(RUNTIME, PINS, VARIABLE=…): how 50-images.sh ends with v1 of the registry's images, and what the stores have:
    the digest of each name."""
    def run(runtime, pins, **variables):
        address, _, _ = registry
        root = layer(f"instance-base-{runtime}")
        put(root / "etc/kubernetes/images", "\n".join([f"CONTAINER_RUNTIME={runtime}", *(
            f"{key}_IMAGE={address}/{name}:v1" for key, name in (
                ("ETCD", "etcd"), ("PAUSE", "pause"), ("APISERVER", "kube-apiserver")))]))
        if runtime == "containerd":
            for program in ("containerd", "ctr"):
                shutil.copy(CACHE / "containerd" / program, root / "usr/bin" / program)
        variables |= pin(root, {f"{address}/{name}:v1": digest.removeprefix("sha256:") for name, digest in pins.items()})
        folders = " ".join(f"/var/lib/{name}" for name in STORES)
        # docker's layers cannot lie in a layer
        said = say_in(root, "sh", "-euc", f"""for folder in {folders}; do
                mkdir -p $folder; mount -t tmpfs tmpfs $folder; done
            status=0; env "$@" /run/tree/packer/provision/50-images.sh || status=$?
            echo stores; {SHOW} exit $status""", "sh", *(f"{key}={value}" for key, value in variables.items()))
        stored = re.findall(rf"(?m)^({'|'.join(STORES)}) {address}/(\S+) (\S+)$", said.stdout.rpartition("stores\n")[2])
        return said, {(store, name): digest for store, name, digest in stored}
    return run


def expected(runtime, digests):
    """Names have no digest in them: pods ask for the list's."""
    return {("docker-bootstrap" if name == "etcd" else runtime, f"{name}:v1"): digest for name, digest in digests.items()}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_images_are_those_that_are_pinned_though_their_tags_have_moved(pull, registry, runtime):
    _, server, digests = registry
    for name in digests:
        server.manifests[name, "v1"] = server.manifests[name, "v2"]
    said, stored = pull(runtime, digests)
    assert_done(said)
    assert stored == expected(runtime, digests)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_images_of_another_digest_are_refused(pull, registry, runtime):
    """The registry has another manifest for it than its own."""
    _, server, digests = registry
    pins = digests | {"pause": f"sha256:{64 * '0'}"}
    server.manifests["pause", pins["pause"]] = server.manifests["pause", "v1"]
    said, stored = pull(runtime, pins)
    assert said.returncode != 0 and f"GET /v2/pause/manifests/{pins['pause']}" in server.asked, said.stdout
    assert [name for _, name in stored] == ["etcd:v1"], said.stdout


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_images_that_are_not_pinned_are_refused(pull, registry, runtime):
    address, _, digests = registry
    said, stored = pull(runtime, {"etcd": digests["etcd"], "kube-apiserver": digests["kube-apiserver"]})
    assert_fails(said, f"has no checksum of\n    {address}/pause:v1\n")
    assert [name for _, name in stored] == ["etcd:v1"], said.stdout


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_unpinned_images_are_pulled_by_their_tags_where_the_build_is_told_so(pull, registry, runtime):
    """The one that is pinned is not."""
    _, server, digests = registry
    for name in digests:
        server.manifests[name, "v1"] = server.manifests[name, "v2"]
    said, stored = pull(runtime, {"etcd": digests["etcd"]}, UNPINNED="true")
    assert_done(said)
    v2 = {name: f"sha256:{hashlib.sha256(server.manifests[name, 'v2']).hexdigest()}" for name in digests}
    assert stored == expected(runtime, v2 | {"etcd": digests["etcd"]})


# Pre-reading

def test_the_pre_reading_unit_is_sound_and_reads_what_a_boot_needs(current):
    unit = "/etc/systemd/system/kube-bootstrap-preread.service"
    assert_done(say_in(current, "systemd-analyze", "verify", "--man=no", unit))
    text = (current / unit.lstrip("/")).read_text(encoding="utf-8").replace("\\\n", "")
    said = say_in(current, "sh", "-euc", '$1 >/dev/null; sed -n "s/^rchar: //p" /proc/$$/io', "sh",
                  re.search("^ExecStart=(.*)", text, re.M)[1])
    assert_done(said)
    needed = say("du", "-bc", *(current / "usr/bin" / name for name in ("kubelet", "kubectl", "docker", "containerd")),
                 current / "usr/sbin/dockerd", *(current / "var/lib" / name / "overlay2" for name in (
                     "docker", "docker-bootstrap"))).stdout.split()[-2]
    assert int(said.stdout) >= int(needed) * 98 // 100  # folders have a size, too
