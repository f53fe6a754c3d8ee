# SPDX-License-Identifier: Apache-2.0
"""The flanneld of the lab's images, held to what the daemon expects of it: two of them, each
in a network namespace of its own, with a real etcd over TLS between them. Needs no instance."""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import pytest

from kblab.settings import CACHE, RUNTIME
from kblab.testing import equal, eventually, ok

pytestmark = [pytest.mark.needs_root, pytest.mark.in_order]

SPACES = ("kb-flanneld-1", "kb-flanneld-2")
ADDRESSES = ("10.98.0.1", "10.98.0.2")
ENDPOINT = f"https://{ADDRESSES[0]}:2379"
PREFIX = "/coreos.com/network"
NETWORK = "10.97.0.0/16"
WAIT_S = 60


def run(*argv, check=True, **options):
    done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")
    return done.stdout


def within(number, *argv, **options):
    return run("ip", "netns", "exec", SPACES[number], *argv, **options)


def links():
    for space in SPACES:
        run("ip", "netns", "add", space)
    run("ip", "link", "add", "eth0", "netns", SPACES[0], "type", "veth", "peer", "name", "eth0",
        "netns", SPACES[1])
    for number, address in enumerate(ADDRESSES):
        within(number, "ip", "addr", "add", f"{address}/24", "dev", "eth0")
        within(number, "ip", "link", "set", "eth0", "up")
        within(number, "ip", "link", "set", "lo", "up")


def certificates(folder):
    def key(name):
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-out", folder / f"{name}.key")

    for name in ("ca", "foreign"):
        key(name)
        run("openssl", "req", "-x509", "-new", "-key", folder / f"{name}.key",
            "-subj", f"/CN={name}", "-out", folder / f"{name}.crt")
    for name, issuer in (("server", "ca"), ("flannel", "ca"), ("stranger", "foreign")):
        key(name)
        run("openssl", "req", "-new", "-key", folder / f"{name}.key", "-subj", f"/CN={name}",
            "-out", folder / "csr")
        (folder / "extensions").write_text(f"subjectAltName=IP:{ADDRESSES[0]}\n")
        run("openssl", "x509", "-req", "-in", folder / "csr", "-CA", folder / f"{issuer}.crt",
            "-CAkey", folder / f"{issuer}.key", "-CAcreateserial",
            "-extfile", folder / "extensions", "-out", folder / f"{name}.crt")


class Etcd:
    def __init__(self, folder):
        self.folder = folder
        self.process = None
        self.start()

    def start(self):
        log = (self.folder / "log").open("a")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", SPACES[0], "etcd", "--data-dir", self.folder / "data",
             "--listen-client-urls", ENDPOINT, "--advertise-client-urls", ENDPOINT,
             "--listen-peer-urls", "http://127.0.0.1:2380", "--client-cert-auth",
             "--trusted-ca-file", self.folder / "ca.crt", "--cert-file", self.folder / "server.crt",
             "--key-file", self.folder / "server.key"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if not eventually(self.healthy):
            raise AssertionError((self.folder / "log").read_text())

    def healthy(self):
        self.ctl("endpoint", "health")  # or not yet, see eventually()
        return True

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def ctl(self, *words):
        return within(0, "etcdctl", "--endpoints", ENDPOINT, "--cacert", self.folder / "ca.crt",
                      "--cert", self.folder / "flannel.crt", "--key", self.folder / "flannel.key",
                      *words, env={**os.environ, "ETCDCTL_API": "3"})

    def leases(self):
        """{subnet: value}, as in subnet.env's notation."""
        answer = json.loads(self.ctl("get", "--prefix", f"{PREFIX}/subnets/", "-w", "json"))
        return {decode(kv["key"]).rsplit("/", 1)[1].replace("-", "/"): {
            "value": json.loads(decode(kv["value"])), "lease": kv.get("lease", 0)}
            for kv in answer.get("kvs", [])}


def decode(text):
    return base64.b64decode(text).decode()


class Flanneld:
    """One that runs as in its container: the image's files, the host's network."""

    def __init__(self, image, folder, number, certificate="flannel"):
        self.number = number
        self.folder = folder / f"{number}"
        self.certificate = certificate
        self.image = image
        self.pki = folder
        self.process = None
        self.folder.mkdir(exist_ok=True)

    def start(self):
        script = """
            mount -t proc proc "$1/proc"
            mount --bind "$2" "$1/run"
            mount --bind "$3" "$1/tmp"
            root=$1; shift 3
            exec chroot "$root" /opt/bin/flanneld "$@" """
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", SPACES[self.number], "unshare", "--mount",
                 "sh", "-euc", script, "flanneld", self.image, self.folder, self.pki,
                 "--iface", ADDRESSES[self.number],
                 "--etcd-endpoints", ENDPOINT, "--etcd-cafile", "/tmp/ca.crt",
                 "--etcd-certfile", f"/tmp/{self.certificate}.crt",
                 "--etcd-keyfile", f"/tmp/{self.certificate}.key", "--etcd-prefix", PREFIX,
                 "--subnet-file", "/run/subnet.env", "--ip-masq", "--iptables-resync", "1"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(timeout=WAIT_S)

    def log(self):
        return (self.folder / "log").read_text()

    def file(self):
        path = self.folder / "subnet.env"
        if not path.exists():
            return {}
        return dict(line.split("=", 1) for line in path.read_text().split())

    def subnet(self):
        """A.B.C.0/24, once it has one."""
        value = eventually(lambda: self.file().get("FLANNEL_SUBNET"), WAIT_S)
        return re.sub(r"\.1/", ".0/", value) if value else None

    def routes(self):
        """{subnet: device} of the overlay."""
        found = json.loads(within(self.number, "ip", "-j", "route"))
        return {route["dst"]: (route["dev"], route.get("gateway"), route["flags"])
                for route in found if route["dst"].startswith("10.97.")}

    def rules(self):
        return "FLANNEL-POSTRTG" in self.iptables("-t", "nat", "-S", "POSTROUTING")

    def iptables(self, *words):
        return within(self.number, "chroot", self.image, "iptables", *words)


def wanted_route(subnet):
    return ("flannel.1", subnet.split("/")[0], ["onlink"])


@pytest.fixture(scope="module")
def folder():
    """Of etcd's, the daemons' and the certificates, with the image's files in "image"."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "image"
        root.mkdir()
        with tarfile.open(CACHE / f"images-{RUNTIME}" / "flannel.tar") as archive:
            for layer in json.load(archive.extractfile("manifest.json"))[0]["Layers"]:
                with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                    files.extractall(root)
        for mount in ("proc", "run", "tmp"):
            (root / mount).mkdir(exist_ok=True)
        certificates(folder)
        yield folder


@pytest.fixture(scope="module")
def etcd(folder):
    with contextlib.ExitStack() as ended:
        for space in SPACES:
            ended.callback(run, "ip", "netns", "del", space, check=False)
        links()
        etcd = Etcd(folder)
        ended.callback(end, etcd)
        yield etcd


@pytest.fixture(scope="module")
def one(folder, etcd):
    yield from daemon(folder, 0)


@pytest.fixture(scope="module")
def two(folder, etcd):
    yield from daemon(folder, 1)


def daemon(folder, number):
    flanneld = Flanneld(folder / "image", folder, number)
    yield flanneld
    end(flanneld)


def end(what):
    """Ends its process, if it has one that runs."""
    if what.process and what.process.poll() is None:
        what.process.kill()
        what.process.wait()


@pytest.fixture(scope="module")
def subnets(one, two):
    """Of the two, which both have got."""
    return [one.subnet(), two.subnet()]


def test_without_a_configuration_it_waits(one):
    one.start()
    time.sleep(1.5)
    ok(one.process.poll() is None and not one.file(), "without a configuration it waits", one.log())


def test_each_gets_a_subnet(etcd, one, two):
    etcd.ctl("put", f"{PREFIX}/config",
             json.dumps({"Network": NETWORK, "Backend": {"Type": "vxlan"}}))
    two.start()
    subnets = [one.subnet(), two.subnet()]
    ok(all(subnets) and subnets[0] != subnets[1], "each gets a subnet of its own",
       f"{subnets}\n{one.log()}\n{two.log()}")

    equal({key: value for key, value in one.file().items() if key != "FLANNEL_SUBNET"},
          {"FLANNEL_NETWORK": NETWORK, "FLANNEL_MTU": "1450", "FLANNEL_IPMASQ": "true"},
          "subnet.env says what docker is to do")
    equal(one.file()["FLANNEL_SUBNET"], subnets[0].replace(".0/", ".1/"),
          "subnet.env has the subnet's gateway address")


def test_the_lease(etcd, subnets):
    [mac] = [link["address"] for link in json.loads(within(0, "ip", "-j", "link"))
             if link["ifname"] == "flannel.1"]
    lease = etcd.leases()[subnets[0]]
    equal(lease["value"], {"PublicIP": ADDRESSES[0], "PublicIPv6": None, "BackendType": "vxlan",
                           "BackendData": {"VNI": 1, "VtepMAC": mac}}, "the lease in etcd")
    life = etcd.ctl("lease", "timetolive", f"{lease['lease']:x}")
    ttl = re.search(r"granted with TTL\((\d+)s\)", life)
    equal(ttl and ttl[1], "86400", "the lease ends by itself after a day")


def test_packets_go_through_the_overlay(one, two, subnets):
    for each, other in ((one, subnets[1]), (two, subnets[0])):
        ok(eventually(lambda d=each, o=other: d.routes().get(o) == wanted_route(o), WAIT_S),
           f"{each.number + 1} has a route to the other's subnet", each.routes())
    for each in (one, two):
        gateway = each.file()["FLANNEL_SUBNET"]
        within(each.number, "ip", "link", "add", "docker0", "type", "bridge")
        within(each.number, "ip", "addr", "add", gateway, "dev", "docker0")
        within(each.number, "ip", "link", "set", "docker0", "up")
    gateways = [each.file()["FLANNEL_SUBNET"].split("/")[0] for each in (one, two)]
    pinged = within(0, "ping", "-c1", "-W5", "-I", gateways[0], gateways[1], check=False)
    ok("1 received" in pinged, "packets go through the overlay")


def test_a_lost_masquerade_rule_comes_back(one):
    one.iptables("-t", "nat", "-F", "FLANNEL-POSTRTG")
    ok(eventually(lambda: "MASQUERADE" in one.iptables("-t", "nat", "-S", "FLANNEL-POSTRTG"), WAIT_S),
       "a lost masquerade rule comes back")


def test_without_etcd_it_goes_on(etcd, one, subnets):
    etcd.stop()
    time.sleep(2)
    ok(one.process.poll() is None and one.routes().get(subnets[1]) == wanted_route(subnets[1]),
       "while etcd is away, it goes on with what it knows", one.log())
    etcd.start()
    other = "10.97.255.0/24"
    etcd.ctl("put", f"{PREFIX}/subnets/10.97.255.0-24", json.dumps(
        {"PublicIP": "10.98.0.9", "PublicIPv6": None, "BackendType": "vxlan",
         "BackendData": {"VNI": 1, "VtepMAC": "02:00:00:00:00:09"}}))
    ok(eventually(lambda: one.routes().get(other) == wanted_route(other), WAIT_S),
       "once etcd is back, a new lease becomes a route", one.log())
    etcd.ctl("del", f"{PREFIX}/subnets/10.97.255.0-24")
    ok(eventually(lambda: other not in one.routes(), WAIT_S), "and a removed one is no route any more",
       one.log())


def test_a_crash(one, subnets):
    one.stop(signal.SIGKILL)
    (one.folder / "subnet.env").unlink()
    one.start()
    equal(one.subnet(), subnets[0], "after a crash it finds its lease by the machine's address")
    ok(eventually(lambda: one.routes().get(subnets[1]) == wanted_route(subnets[1]), WAIT_S),
       "and knows the others again")


def test_a_stop(etcd, one, subnets):
    equal(one.stop(), 0, "told to stop, it ends with 0")
    ok(subnets[0] in etcd.leases(), "and leaves its lease")


def test_a_lease_that_is_gone(etcd, one, two, subnets):
    etcd.ctl("del", f"{PREFIX}/subnets/{subnets[0].replace('/', '-')}")
    ok(eventually(lambda: subnets[0] not in two.routes(), WAIT_S),
       "the other forgets a lease that is gone")
    one.start()
    ok(eventually(lambda: subnets[0] in etcd.leases(), WAIT_S),
       "the subnet of subnet.env is taken again", one.log())
    ok(eventually(lambda: "wrote subnet file" in one.log().lower(), WAIT_S), "and it is up again",
       one.log())


def test_a_revoked_lease(etcd, one, two, subnets):
    etcd.ctl("del", f"{PREFIX}/subnets/{subnets[0].replace('/', '-')}")
    equal(one.process.wait(timeout=WAIT_S), 0, "when its lease is revoked, it ends with 0")
    two.stop()


def test_a_certificate_of_another_ca(etcd, one, subnets):
    stranger = Flanneld(one.image, one.pki, 0, "stranger").start()
    time.sleep(2)
    ok(stranger.process.poll() is None and subnets[0] not in etcd.leases(),
       "with a certificate of another CA it gets nowhere", stranger.log())
    stranger.stop(signal.SIGKILL)
