# SPDX-License-Identifier: Apache-2.0
"""Paths, addresses, and the running of commands."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

LAB = Path(__file__).resolve().parent.parent
TREE = LAB.parent.parent
HYPERVISOR = LAB / "hypervisor"

CACHE = Path(os.environ.get("LAB_CACHE", "/var/cache/kube-bootstrap-lab"))
STATE = Path(os.environ.get("LAB_STATE", "/var/lib/kube-bootstrap-lab"))

RUNTIME_FILE = STATE / "runtime"


def _runtime():
    """Returns what instances run pods on, docker or containerd: as asked for, or as the lab came up with."""
    given = os.environ.get("LAB_RUNTIME") or (RUNTIME_FILE.read_text() if RUNTIME_FILE.exists() else "containerd")
    if given not in ("docker", "containerd"):
        sys.exit(f"LAB_RUNTIME is {given}, expected docker or containerd")
    return given


RUNTIME = os.environ["LAB_RUNTIME"] = _runtime()  # for what this starts as well
IMAGE_ROOT = CACHE / f"instance-root-{RUNTIME}"
KUBERNETES = {"docker": "kubernetes/1.20.2", "containerd": "kubernetes-now"}[RUNTIME]

INSTANCES = STATE / "instances"
VOLUMES = STATE / "volumes"
LAYERS = STATE / "layers"
REGION = STATE / "region"

# An instance of this type is a virtual machine, of any other a container.
VIRTUAL = "t3.large"

# The name that everything of the lab's outside its own folders carries.
NAME = "kblab"

REGION_NAME = "us-east-1"
VPC = "172.20.0.0/16"
ELASTIC_IPS = "198.51.100.0/24"
SUBNETS = {  # the template's: the master's, and the nodes' in three zones
    "us-east-1a": "172.20.128.0/20",
    "us-east-1b": "172.20.144.0/20",
    "us-east-1c": "172.20.160.0/20",
    "us-east-1a, nodes": "172.20.176.0/20",
}
METADATA_ADDRESS = "169.254.169.254"
RESOLVER_ADDRESS = "169.254.169.253"
HOST_ADDRESS = "172.31.255.1"
REGION_ADDRESS = "172.31.255.2"
CONTROL_PORT = 8470


class LabError(Exception):
    """Something a person can read and act on; no traceback."""


def run(*argv, **options):
    """Run a command, return its output; a failure says which command and what it wrote."""
    argv = [str(word) for word in argv]
    done = subprocess.run(
        argv,
        stdin=options.pop("stdin", subprocess.DEVNULL),
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    if done.returncode != 0:
        what = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise LabError(f"{' '.join(argv)}: {what}")
    return done.stdout


def run_to_end(argv, timeout_s, **options):
    """Runs a command that may be nsenter's, and returns the finished process.

    A machine that shuts down stops all its processes, to end them (systemd-shutdown). nsenter, which is none of them,
    stops itself when its child is stopped, and waits to be continued, for ever: it is continued every second.
    """
    deadline = time.monotonic() + timeout_s
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          **options) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=1)
                return subprocess.CompletedProcess(argv, process.returncode, output, errors)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    process.kill()
                    raise subprocess.TimeoutExpired(argv, timeout_s) from None
                process.send_signal(signal.SIGCONT)
