# SPDX-License-Identifier: Apache-2.0
"""What instances share of this host's kernel: modules, which they cannot load, and settings that have no
namespace: an instance that sets one sets it for all.

Settings are kept when the lab comes up, and put back when it goes.
"""

import json
from pathlib import Path

from .settings import STATE, run

KEPT = STATE / "kernel.json"

# By kubelet and the image's sysctl.d; by Debian's sysctl.d.
SETTINGS = ("kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys", "kernel/panic",
            "kernel/panic_on_oops", "vm/overcommit_memory", "vm/panic_on_oom",
            "fs/protected_fifos", "fs/protected_hardlinks", "fs/protected_regular",
            "fs/protected_symlinks", "kernel/pid_max")


# Of the image's modules-load.d, what the kernel does not load by itself when it is first used.
BRIDGE_FILTER = Path("/proc/sys/net/bridge")


def load():
    """Load the modules that the instances need, but let this host's own bridges be as they were."""
    if not BRIDGE_FILTER.is_dir():
        run("modprobe", "br_netfilter")
        for family in ("iptables", "ip6tables", "arptables"):
            (BRIDGE_FILTER / f"bridge-nf-call-{family}").write_text("0")


def keep():
    """Note down the settings as they are, once."""
    if not KEPT.exists():
        new = KEPT.with_suffix(".new")
        new.write_text(json.dumps({name: _file(name).read_text() for name in SETTINGS}))
        new.replace(KEPT)


def restore():
    """Put back what has changed since."""
    if not KEPT.exists():
        return
    for name, value in json.loads(KEPT.read_text()).items():
        if _file(name).read_text() != value:
            _file(name).write_text(value)
    KEPT.unlink()


def _file(name):
    return Path("/proc/sys") / name
