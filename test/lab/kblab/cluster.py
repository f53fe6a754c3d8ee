# SPDX-License-Identifier: Apache-2.0
"""The cluster in the lab, as its administrator sees it from outside: with the kubeconfig of the bucket, and
kubectl."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from . import region
from .settings import CACHE, KUBERNETES, LabError


def kubectl():
    """The program, once the images are made."""
    return CACHE / KUBERNETES / "kubectl"


def object_of(name, bucket=None):
    """An object below the cluster's prefix in a bucket (the seeded one), as the administrator reads it."""
    values = region.seed()
    return region.call("s3", "GetObject", Bucket=bucket or values["bucket"],
                       Key=f"{values['prefix'].strip('/')}/{name}")["Body"]


def _buckets():
    """The buckets of all stacks, of the newest first; the seeded one is a stack's, too."""
    stacks = region.call("cloudformation", "DescribeStacks")["Stacks"]
    for stack in sorted(stacks, key=lambda each: each["CreationTime"], reverse=True):
        yield from (output["OutputValue"] for output in stack.get("Outputs", [])
                    if output["OutputKey"] == "BucketName")


def kubeconfig():
    """The administrator's kubeconfig, of the generation that a bucket's index names: of the newest stack
    whose master has made its secrets."""
    why = LabError("no stack has a bucket")
    for bucket in _buckets():
        try:
            index = json.loads(object_of("index.json", bucket))
        except LabError as error:
            why = error
            continue
        [key] = [file["key"] for file in index["files"]
                 if file["key"].startswith("admin/") and file["key"].endswith("/kubeconfig")]
        return object_of(key, bucket)
    raise why


class Cluster:
    """kubectl on this machine, against the cluster's Elastic IP."""

    def __init__(self, text):
        self.folder = tempfile.TemporaryDirectory(prefix="kblab-kubectl-")
        self.kubeconfig = Path(self.folder.name) / "kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(text)

    def command(self, *words):
        return [kubectl(), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder.name}/cache",
                *map(str, words)]

    def environment(self):
        return {"PATH": os.environ["PATH"], "HOME": self.folder.name}

    def kubectl(self, *words, check=True, stdin=None, timeout_s=60):
        """What it wrote; with check=False, the finished process."""
        try:
            done = subprocess.run(self.command("--request-timeout=20s", *words), input=stdin or "",
                                  check=False, capture_output=True, text=True,
                                  env=self.environment(), timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"kubectl {' '.join(map(str, words))}: nothing after {timeout_s} s") from error
        if not check:
            return done
        if done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *words):
        return json.loads(self.kubectl("get", "-o", "json", *words))

    def answers(self):
        """Whether the API server says that it is ready."""
        return self.kubectl("--request-timeout=2s", "get", "--raw", "/readyz", check=False,
                            timeout_s=10).returncode == 0

    def nodes(self):
        """Name to Node."""
        return {node["metadata"]["name"]: node for node in self.get("nodes")["items"]}

    def ready_nodes(self):
        return {name for name, node in self.nodes().items() if _is_true(node, "Ready")}

    def pods(self, selector, *words):
        """Those that run and are ready."""
        return [pod for pod in self.get("pods", "-l", selector, *words)["items"]
                if pod["status"].get("phase") == "Running" and _is_true(pod, "Ready")
                and "deletionTimestamp" not in pod["metadata"]]


def _is_true(item, condition):
    return any(each["type"] == condition and each["status"] == "True"
               for each in item["status"].get("conditions", []))


def connect(timeout_s=60):
    """The cluster, once its administrator's kubeconfig is in the bucket."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return Cluster(kubeconfig())
        except (LabError, ValueError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
