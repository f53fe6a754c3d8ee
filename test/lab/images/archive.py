# SPDX-License-Identifier: Apache-2.0
"""Container images in one file, made out of folders without any docker, as "docker load" and "ctr images import"
take them.

The format: https://github.com/moby/moby/blob/v20.10.24/image/spec/v1.2.md
"""
import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass, field

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Image:
    """One image: its layers are folders, the lowest first."""
    reference: str  # NAME:TAG
    layers: list
    entrypoint: list | None = None
    cmd: list | None = None
    user: str = ""
    env: list = field(default_factory=list)

    def config(self, architecture, digests):
        return json.dumps({
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Env": [PATH, *self.env],
                "Entrypoint": self.entrypoint,
                "Cmd": self.cmd,
                "User": self.user,
            },
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest for digest in digests]},
        }).encode()


def layer_of(folder):
    """The same folder always gives the same layer, and so the same image id."""
    tar = ["tar", "-C", folder, "--sort=name", "--mtime=@0", "--owner=0", "--group=0",
           "--numeric-owner", "-cf", "-", "."]
    return subprocess.run(tar, check=True, stdout=subprocess.PIPE).stdout


def write(output, architecture, images):
    """Writes the images into one archive; a layer that several have is in it once."""
    with tarfile.open(output, "w") as archive:
        def add(name, content):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

        digests, manifest = {}, []
        for image in images:
            for folder in image.layers:
                if folder not in digests:
                    layer = layer_of(folder)
                    digests[folder] = hashlib.sha256(layer).hexdigest()
                    add(digests[folder] + "/layer.tar", layer)
            own = [digests[folder] for folder in image.layers]
            config = image.config(architecture, own)
            name = hashlib.sha256(config).hexdigest() + ".json"
            add(name, config)
            manifest.append({"Config": name, "RepoTags": [image.reference],
                             "Layers": [digest + "/layer.tar" for digest in own]})
        add("manifest.json", json.dumps(manifest).encode())
