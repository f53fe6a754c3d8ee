# SPDX-License-Identifier: Apache-2.0
"""The VPC: a network namespace with a bridge that carries each subnet's gateway address.

The region's front listens in the same namespace, and instance metadata is on its loopback, so an
instance reaches both through its default route. A veth is this host's way in.
"""

import contextlib
import fcntl
import ipaddress
import json
import subprocess
import time
from pathlib import Path

from .settings import (ELASTIC_IPS, HOST_ADDRESS, METADATA_ADDRESS, NAME, REGION_ADDRESS,
                       RESOLVER_ADDRESS, STATE, SUBNETS, VPC, LabError, run)

NAMESPACE = Path("/run/netns") / NAME
BRIDGE = "kblab0"
HOST_LINK = "kblab-host"
INNER_LINK = "host"

# A VPC knows which interface has which address and needs no ARP; here, a private address that moves
# to another instance must not be looked for at the old one for longer than a second or two.
NEIGHBOURS = {"base_reachable_time_ms": 1000, "delay_first_probe_time": 1, "ucast_solicit": 1,
              "retrans_time_ms": 200}


def inside(*argv):
    """A command line that runs in the namespace.

    Not `ip netns exec`, which mounts a /sys of its own and so hides the control groups.
    """
    return ["nsenter", f"--net={NAMESPACE}", "--", *map(str, argv)]


def gateway(zone):
    """A zone's gateway address with its prefix length: the first address of the subnet."""
    network = ipaddress.ip_network(SUBNETS[zone])
    return f"{network[1]}/{network.prefixlen}"


def setup():
    """Make what is missing of the namespace; safe to run again, and after an interruption."""
    if not _is_namespace():
        NAMESPACE.unlink(missing_ok=True)
        run("ip", "netns", "add", NAME)
    _ip("link", "set", "lo", "up")
    for address in (METADATA_ADDRESS, RESOLVER_ADDRESS):
        _ip("address", "replace", f"{address}/32", "dev", "lo")
    if not _has_link(BRIDGE, inner=True):
        # An address of its own: else it has the lowest of its ports', another one when that instance dies, and
        # for half a minute the others send what is for the gateway to nobody.
        _ip("link", "add", BRIDGE, "address", "02:6b:62:00:00:01", "type", "bridge")
    for zone in SUBNETS:
        _ip("address", "replace", gateway(zone), "dev", BRIDGE)
    sysctls = {"net.ipv4.ip_forward": 1,
               # Subnets share the bridge: without this the gateway tells instances to bypass it.
               "net.ipv4.conf.all.send_redirects": 0, f"net.ipv4.conf.{BRIDGE}.send_redirects": 0,
               **{f"net.ipv4.neigh.{BRIDGE}.{key}": value for key, value in NEIGHBOURS.items()}}
    run(*inside("sysctl", "-q", "-w", *(f"{key}={value}" for key, value in sysctls.items())))
    _ip("link", "set", BRIDGE, "up")
    # Who reaches a neighbour by its Elastic IP must get the answers by the same way back.
    _rule("POSTROUTING", "-s", VPC, "-d", VPC, "-m", "conntrack", "--ctstate", "DNAT",
          "-j", "MASQUERADE")

    if not _has_link(HOST_LINK, inner=False):
        run("ip", "link", "add", HOST_LINK, "type", "veth", "peer", INNER_LINK, "netns", NAME)
    _ip("address", "replace", f"{REGION_ADDRESS}/30", "dev", INNER_LINK)
    _ip("link", "set", INNER_LINK, "up")
    run("ip", "address", "replace", f"{HOST_ADDRESS}/30", "dev", HOST_LINK)
    run("ip", "link", "set", HOST_LINK, "up")
    for destination in (VPC, ELASTIC_IPS):
        _host_route(destination)


def teardown():
    """Remove the namespace with all that is in it, and this host's way in."""
    if _has_link(HOST_LINK, inner=False):
        run("ip", "link", "delete", HOST_LINK)
    if _is_namespace():
        run("ip", "netns", "delete", NAME)
    NAMESPACE.unlink(missing_ok=True)


def associate(public_ip, private_ip):
    """Translate an Elastic IP to a private address, both ways, and away from any other."""
    with _locked():
        _forget(public_ip, private_ip)
        run(*_nat("-A", "PREROUTING", "-d", public_ip, "-j", "DNAT",
                  "--to-destination", private_ip))
        run(*_nat("-A", "POSTROUTING", "-s", private_ip, "!", "-d", VPC, "-j", "SNAT",
                  "--to-source", public_ip))


def disassociate(public_ip):
    """Stop translating an Elastic IP."""
    with _locked():
        _forget(public_ip)


def forget_neighbours():
    """Forget who has which address: an instance is gone."""
    _ip("neighbour", "flush", "dev", BRIDGE)


def await_gone(link, timeout_s=10):
    """Wait until the kernel has removed a dead machine's link: the next one takes its name."""
    deadline = time.monotonic() + timeout_s
    while _has_link(link, inner=True):
        if time.monotonic() > deadline:
            raise LabError(f"link {link} is still there after {timeout_s} s")
        time.sleep(0.02)


def _forget(*addresses):
    for chain in ("PREROUTING", "POSTROUTING"):
        for line in run(*_nat("-S", chain)).splitlines():
            words = line.split()
            if words[0] == "-A" and any(address in words or f"{address}/32" in words
                                        for address in addresses):
                run(*_nat("-D", *words[1:]))
    # Open connections do not follow the address: they break, as in EC2. Status 1: there were none.
    for option in ("--orig-dst", "--reply-dst"):
        done = subprocess.run(inside("conntrack", "-D", option, addresses[0]), check=False,
                              capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise LabError(f"conntrack -D {option} {addresses[0]}: {done.stderr.strip()}")


def _nat(*words):
    return inside("iptables", "-w", "-t", "nat", *words)


def _rule(*rule):
    if subprocess.run(_nat("-C", *rule), check=False, capture_output=True).returncode != 0:
        run(*_nat("-A", *rule))


def _ip(*words):
    return run("ip", "-n", NAME, *words)


def _has_link(name, inner):
    where = ["-n", NAME] if inner else []
    return any(name in (link["ifname"], *link.get("altnames", ()))
               for link in json.loads(run("ip", *where, "-j", "link")))


def _is_namespace():
    """A name left by a crash is a plain file; a namespace is mounted on it."""
    return any(line.split()[4] == str(NAMESPACE)
               for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _host_route(destination):
    for route in json.loads(run("ip", "-j", "route", "show", "exact", destination)):
        if route.get("dev") == HOST_LINK:
            return
        raise LabError(f"this host already has a route to {destination} through {route.get('dev')}, "
                       "which the lab needs for its VPC")
    run("ip", "route", "add", destination, "via", REGION_ADDRESS)


@contextlib.contextmanager
def _locked():
    with open(STATE / "network.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
