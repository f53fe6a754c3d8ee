# SPDX-License-Identifier: Apache-2.0
"""A registry of the images of one archive, read only, over plain http:
https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pull"""

import hashlib
import http.server
import json
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # an answer to TLS begins with HTTP, so that ctr goes on without

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
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        match path.split("/"):
            case ["", "v2", ""]:
                return "application/json", b"{}"
            case ["", "v2", *name, "manifests", reference]:
                found = self.server.manifests.get(("/".join(name), reference))
                return json.loads(found)["mediaType"] if found else MANIFEST, found
            case ["", "v2", *_, "blobs", digest]:
                return "application/octet-stream", self.server.blob(digest.removeprefix("sha256:"))
        return "application/json", None


class Registry(http.server.ThreadingHTTPServer):
    """Serves the images of an archive (images/archive.py) at an address, without `host`/ before their names. Layers stay
    in the archive, and are read when they are asked for. `manifests` has what is served, by name and by tag or digest;
    `asked` has the requests."""

    daemon_threads = True

    def __init__(self, archive, address, host):
        super().__init__(address, _Handler)
        self.archive, self.host, self.manifests, self.asked = archive, host, {}, []
        with tarfile.open(archive) as file:
            self.places = {entry.name.removesuffix(".json").removesuffix("/layer.tar"): (entry.offset_data, entry.size)
                           for entry in file}
            images = json.load(file.extractfile("manifest.json"))
        for image in images:
            self._add(image)

    def blob(self, digest):
        if digest not in self.places:
            return None
        at, size = self.places[digest]
        with open(self.archive, "rb") as archive:
            archive.seek(at)
            return archive.read(size)

    def put(self, name, tag, manifest):
        """Serves the manifest by this tag, and by its digest, which is returned."""
        text = json.dumps(manifest).encode()
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        self.manifests[name, tag] = self.manifests[name, digest] = text
        return digest

    def _add(self, image):
        def described(name, kind):
            digest = name.removesuffix(".json").removesuffix("/layer.tar")
            return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}",
                    "size": self.places[digest][1]}

        name, _, tag = image["RepoTags"][0].removeprefix(f"{self.host}/").rpartition(":")
        self.put(name, tag, {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(image["Config"], "config.v1+json"),
            "layers": [described(layer, "layer.v1.tar") for layer in image["Layers"]],
        })
