# SPDX-License-Identifier: Apache-2.0
"""Upstream's end-to-end tests, e2e.test, run on this machine against the lab's cluster. Their pods' images are pulled
from a registry on this machine, as those of an administrator with a mirror are."""

import contextlib
import json
import os
import re
import subprocess
import threading
from dataclasses import dataclass

from . import cluster
from .registry import Registry
from .settings import CACHE, HOST_ADDRESS, KUBERNETES, TREE, LabError
from .testing import inside

ARCHIVE = CACHE / "suite/images.tar"
HOST = "registry.k8s.io"
PORT = 5000
REPORTS = TREE / "build/conformance"
CONFORMANCE = "Conformance"


@contextlib.contextmanager
def registry(*machines):
    """Is upstream's registry for these machines, by a file of hosts.toml's, as containerd's documentation has it:
    https://github.com/containerd/containerd/blob/v2.3.0/docs/hosts.md"""
    server = Registry(ARCHIVE, (HOST_ADDRESS, PORT), HOST)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = f"/etc/containerd/certs.d/{HOST}"
    for machine in machines:
        inside(machine, f"""mkdir -p {folder}
            printf '[host."http://%s"]\\n  capabilities = ["pull", "resolve"]\\n' {HOST_ADDRESS}:{PORT} >{folder}/hosts.toml""")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Spec:
    """One of upstream's tests, as it ended."""
    name: str
    state: str
    took_s: float
    said: str


def run(name, labels, focus, processes=8):
    """Runs the tests that have these labels, an expression of ginkgo's, and whose names match `focus`; returns the Specs
    that were run. What they wrote is in REPORTS, in NAME.log, and ginkgo's report in NAME.json."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    programs, report = CACHE / KUBERNETES, REPORTS / f"{name}.json"
    report.unlink(missing_ok=True)
    kube = cluster.connect()
    words = [programs / "ginkgo", f"--procs={processes}", "--no-color", f"--json-report={report}",
             f"--label-filter={labels}", f"--focus={focus}", "--timeout=3h", programs / "e2e.test", "--",
             "--provider=skeleton", f"--kubeconfig={kube.kubeconfig}", f"--kubectl-path={cluster.kubectl()}",
             "--node-os-distro=debian", "--minStartupPods=0", "--num-nodes=2", "--allowed-not-ready-nodes=0"]
    with (REPORTS / f"{name}.log").open("w", encoding="utf-8") as log:
        done = subprocess.run([str(word) for word in words], check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                              env={**os.environ, "no_proxy": "*"}, cwd=kube.folder.name)
    if not report.exists():
        raise LabError(f"ginkgo ended without a report, see {REPORTS / name}.log")
    [suite] = json.loads(report.read_text(encoding="utf-8"))
    specs = [_spec(each) for each in suite["SpecReports"] if each["LeafNodeType"] == "It" and each["State"] != "skipped"]
    if done.returncode != 0 and all(spec.state == "passed" for spec in specs):
        raise LabError(f"ginkgo ended with {done.returncode}, though each test passed, see {REPORTS / name}.log")
    return specs


def _spec(report):
    failure = report.get("Failure", {})
    return Spec(" ".join([*(report["ContainerHierarchyTexts"] or []), report["LeafNodeText"]]), report["State"],
                report["RunTime"] / 1e9,
                f"{failure.get('Message', '')}\n{failure.get('Location', {}).get('FullStackTrace', '')}".strip())


def count(labels, focus):
    """How many tests there are of these."""
    done = subprocess.run([CACHE / KUBERNETES / "e2e.test", "--ginkgo.dry-run", f"--ginkgo.label-filter={labels}",
                           f"--ginkgo.focus={focus}", "--ginkgo.no-color"], check=True, capture_output=True, text=True)
    return int(re.search(r"Will run (\d+) of \d+ specs", done.stdout).group(1))
