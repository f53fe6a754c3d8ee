# SPDX-License-Identifier: Apache-2.0
"""Upstream's end-to-end tests, e2e.test, run on this machine against the lab's cluster. Their pods' images are pulled
from a registry on this machine, as those of an administrator with a mirror are."""

import contextlib
import hashlib
import http.server
import json
import os
import re
import subprocess
import tarfile
import threading
from dataclasses import dataclass

from . import cluster
from .settings import CACHE, HOST_ADDRESS, KUBERNETES, TREE, LabError
from .testing import inside

ARCHIVE = CACHE / "suite/images.tar"
HOST = "registry.k8s.io"
PORT = 5000
REPORTS = TREE / "build/conformance"
CONFORMANCE = r"\[Conformance\]"


class Registry(http.server.BaseHTTPRequestHandler):
    """Serves the images of ARCHIVE, read only:
    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pull"""

    protocol_version = "HTTP/1.1"
    MANIFEST = "application/vnd.oci.image.manifest.v1+json"

    def do_GET(self):
        kind, found = self._find()
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(found or b"")

    do_HEAD = do_GET

    def log_message(self, *_):
        pass

    def _find(self):
        """The content type, and what is there, None without."""
        match self.path.partition("?")[0].split("/"):
            case ["", "v2", ""]:
                return "application/json", b"{}"
            case ["", "v2", *name, "manifests", reference]:
                return self.MANIFEST, self.server.manifests.get(("/".join(name), reference))
            case ["", "v2", *_, "blobs", digest]:
                return "application/octet-stream", self.server.blob(digest.removeprefix("sha256:"))
        return "application/json", None


class Server(http.server.ThreadingHTTPServer):
    """Of the registry. Layers stay in the archive, and are read when they are asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__((HOST_ADDRESS, PORT), Registry)
        with tarfile.open(ARCHIVE) as archive:
            self.places = {entry.name.removesuffix(".json").removesuffix("/layer.tar"): (entry.offset_data, entry.size)
                           for entry in archive}
            images = json.load(archive.extractfile("manifest.json"))
        self.manifests = {}
        for image in images:
            self._add(image)

    def blob(self, digest):
        if digest not in self.places:
            return None
        at, size = self.places[digest]
        with ARCHIVE.open("rb") as archive:
            archive.seek(at)
            return archive.read(size)

    def _add(self, image):
        def described(name, kind):
            digest = name.removesuffix(".json").removesuffix("/layer.tar")
            return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}",
                    "size": self.places[digest][1]}

        manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": Registry.MANIFEST,
            "config": described(image["Config"], "config.v1+json"),
            "layers": [described(layer, "layer.v1.tar") for layer in image["Layers"]],
        }).encode()
        name, _, tag = image["RepoTags"][0].removeprefix(f"{HOST}/").rpartition(":")
        self.manifests[name, tag] = manifest
        self.manifests[name, f"sha256:{hashlib.sha256(manifest).hexdigest()}"] = manifest


@contextlib.contextmanager
def registry(*machines):
    """Is upstream's registry for these machines, by a file of hosts.toml's, as containerd's documentation has it:
    https://github.com/containerd/containerd/blob/v2.3.0/docs/hosts.md"""
    server = Server()
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


def run(name, focus, skip="", processes=8):
    """Runs the tests whose names match `focus` and not `skip`, and returns the Specs that were run. What they wrote is
    in REPORTS, in NAME.log, and ginkgo's report in NAME.json."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    programs, report = CACHE / KUBERNETES, REPORTS / f"{name}.json"
    report.unlink(missing_ok=True)
    kube = cluster.connect()
    words = [programs / "ginkgo", f"--procs={processes}", "--no-color", f"--json-report={report}", f"--focus={focus}",
             *([f"--skip={skip}"] if skip else []), "--timeout=3h", programs / "e2e.test", "--",
             "--provider=skeleton", f"--kubeconfig={kube.kubeconfig}", f"--kubectl-path={cluster.kubectl()}",
             "--node-os-distro=debian", "--minStartupPods=0", "--num-nodes=2", "--allowed-not-ready-nodes=0"]
    with (REPORTS / f"{name}.log").open("w", encoding="utf-8") as log:
        subprocess.run([str(word) for word in words], check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                       env={**os.environ, "no_proxy": "*"}, cwd=kube.folder.name)
    if not report.exists():
        raise LabError(f"ginkgo ended without a report, see {REPORTS / name}.log")
    [suite] = json.loads(report.read_text(encoding="utf-8"))
    return [_spec(each) for each in suite["SpecReports"] if each["LeafNodeType"] == "It" and each["State"] != "skipped"]


def _spec(report):
    failure = report.get("Failure", {})
    return Spec(" ".join([*(report["ContainerHierarchyTexts"] or []), report["LeafNodeText"]]), report["State"],
                report["RunTime"] / 1e9,
                f"{failure.get('Message', '')}\n{failure.get('Location', {}).get('FullStackTrace', '')}".strip())


def count(focus=CONFORMANCE):
    """How many tests match."""
    done = subprocess.run([CACHE / KUBERNETES / "e2e.test", "--ginkgo.dry-run", f"--ginkgo.focus={focus}",
                           "--ginkgo.no-color"], check=True, capture_output=True, text=True)
    return int(re.search(r"Will run (\d+) of \d+ specs", done.stdout).group(1))
