# SPDX-License-Identifier: Apache-2.0
"""What an instance finds on its disk at its first boot, besides the image.

Everything here runs in a process that has changed its root to the instance's, so that links in the
image lead where they would lead in the instance.
"""

import base64
import gzip
import ipaddress
import os
import shutil
import sys
import traceback
from pathlib import Path

import yaml

from .settings import RESOLVER_ADDRESS, LabError, run

TRUST_FOLDER = Path("/etc/ssl/certs")

NETWORK = """\
[Match]
Name=host0 eth0

[Link]
MACAddress={mac}

[Network]
Address={private_ip}/{prefix_len}
Gateway={gateway}
LinkLocalAddressing=no
IPv6AcceptRA=no
"""


def prepare(root, machine, ca):
    """Write a first boot's files into `root`; `machine` is the hypervisor's launch request."""
    child = os.fork()
    if child == 0:
        try:
            os.chroot(root)
            os.chdir("/")
            os.umask(0o022)
            _identity(machine)
            _names(machine)
            _network(machine)
            _trust(ca)
            _user_data(base64.b64decode(machine.get("user_data") or ""))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise LabError(f"{machine['instance_id']}: could not prepare the root filesystem")


def hostname(address):
    """The private DNS name's first label: ip-172-20-128-9."""
    return "ip-" + address.replace(".", "-")


def _identity(machine):
    # Empty, not missing: systemd makes one up, but does not take this for a first boot, on which it
    # would enable every unit that the image's presets do not mention.
    _write("/etc/machine-id", "", mode=0o444)
    _write("/etc/hostname", hostname(machine["private_ip"]) + "\n")
    # The lab does cloud-init's part (below).
    _write("/etc/cloud/cloud-init.disabled", "")


def _names(machine):
    own = hostname(machine["private_ip"])
    _write("/etc/hosts", f"127.0.0.1 localhost\n{machine['private_ip']} {own}.ec2.internal {own}\n")
    _write("/etc/resolv.conf", f"nameserver {RESOLVER_ADDRESS}\nsearch ec2.internal\n")


def _network(machine):
    ipaddress.ip_address(machine["private_ip"])
    _write("/etc/systemd/network/10-vpc.network", NETWORK.format(**machine))
    _enable("systemd-networkd.service", "multi-user.target")
    _enable("systemd-networkd-wait-online.service", "network-online.target")


def _enable(unit, wanted_by):
    link = Path(f"/etc/systemd/system/{wanted_by}.wants/{unit}")
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(f"/lib/systemd/system/{unit}")


def _trust(ca):
    """Do what update-ca-certificates does, without its doing all the others again."""
    if not ca:
        return
    file = Path("/usr/local/share/ca-certificates/lab.crt")
    _write(file, ca)
    with (TRUST_FOLDER / "ca-certificates.crt").open("ab") as bundle:
        bundle.write(ca.encode())
    subject = run("openssl", "x509", "-in", file, "-noout", "-subject_hash").strip()
    (TRUST_FOLDER / f"{subject}.0").symlink_to(file)


def _user_data(data):
    """Do what cloud-init does with `#cloud-config`, as far as this project uses it: write_files."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if not data:
        return
    if not data.startswith(b"#cloud-config"):
        # cloud-init would run it, but only after multi-user.target.
        print("user data is no #cloud-config: ignored", file=sys.stderr)
        return
    config = yaml.safe_load(data) or {}
    for entry in config.get("write_files", []):
        _write(entry["path"], _content(entry), mode=int(str(entry.get("permissions", "0644")), 8),
               owner=entry.get("owner", "root:root"), append=entry.get("append", False))
    for key in config.keys() - {"write_files"}:
        print(f"user data: {key}: ignored", file=sys.stderr)


def _content(entry):
    content = entry.get("content", "")
    content = content if isinstance(content, bytes) else content.encode()
    encoding = entry.get("encoding", "text/plain")
    if encoding in ("b64", "base64"):
        return base64.b64decode(content)
    if encoding in ("gz+b64", "gz+base64", "gzip+b64", "gzip+base64"):
        return gzip.decompress(base64.b64decode(content))
    if encoding in ("gz", "gzip"):
        return gzip.decompress(content)
    return content


def _write(path, content, mode=0o644, owner="root:root", append=False):
    path = Path(path)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with path.open("ab" if append else "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    user, _, group = owner.partition(":")
    shutil.chown(path, user or None, group or None)
