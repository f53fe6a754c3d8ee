# SPDX-License-Identifier: Apache-2.0
"""The trace of a boot (--verbose, KUBE_BOOTSTRAP_LOG=debug): a line for each request that the region had of the machine,
and nothing secret."""

import json
import re
import urllib.request
from collections import Counter

import pytest

from boot_checks import machines
from boot_checks.crashes import first_boot
from boot_checks.replies import requests
from boot_checks.state import SECRETS

pytestmark = pytest.mark.needs_root
LINE = re.compile(r"^kube-bootstrap: (http|mount|file|rename|mkdir) (.+): ([^:]+), \d+\.\d{3} ms$", re.M)
CREDENTIALS = "/latest/meta-data/iam/security-credentials/"


@pytest.fixture(scope="module")
def world(build, own_network):
    build("effects", "kube-bootstrap")
    with machines.World() as world:
        yield world


def ask(machine, method, path, **headers):
    """What the metadata service answers."""
    request = urllib.request.Request(machine.imds + path, method=method, headers=headers)
    with urllib.request.urlopen(request) as reply:
        return reply.read().decode()


def secrets_of(machine):
    """Keys, tokens and credentials that the machine holds, each a word as it would stand in a line."""
    token = ask(machine, "PUT", "/latest/api/token", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    header = {"X-aws-ec2-metadata-token": token}
    credentials = json.loads(ask(machine, "GET", CREDENTIALS + ask(machine, "GET", CREDENTIALS, **header), **header))
    found = {credentials["SecretAccessKey"], credentials["Token"]}
    for path in (path for path in (machine.root / SECRETS).rglob("*") if path.is_file()):
        text = path.read_text()
        if path.suffix == ".key":
            found |= {line for line in text.splitlines() if len(line) == 64}
        found |= set(re.findall(r"\b[a-z0-9]{6}\.([a-z0-9]{16})\b", text))
    return found


@pytest.mark.parametrize("role, flags, level", [("master", ["--verbose"], ""), ("node", [], "debug")],
                         ids=["master, --verbose", "node, KUBE_BOOTSTRAP_LOG=debug"])
def test_each_request_is_traced_and_no_secret(world, monkeypatch, role, flags, level):
    machine = first_boot(world, role)
    monkeypatch.setenv("KUBE_BOOTSTRAP_LOG", level)
    outcome = machine.run(*flags)
    assert outcome.done, outcome
    traced = LINE.findall(outcome.said)
    asked = {name: n for name, n in requests(world, machine).items() if name.startswith(("ec2:", "s3:", "sts:"))}
    assert len(asked) >= 3
    told = Counter(what.replace(" ", ":") for kind, what, _ in traced if kind == "http")
    assert {name: told[name] for name in asked} == asked
    assert {"http", "mount", "file", "rename", "mkdir"} <= {kind for kind, *_ in traced}
    secrets = secrets_of(machine)
    assert len(secrets) >= 5
    assert not [secret for secret in secrets if secret in outcome.said]


def test_without_it_nothing_is_traced(world):
    outcome = first_boot(world, "master").run()
    assert outcome.done and not LINE.findall(outcome.said), outcome
