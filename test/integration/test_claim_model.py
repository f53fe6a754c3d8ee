# SPDX-License-Identifier: Apache-2.0
"""test/integration/claim.pml, by spin: no order of events gives two generations, two masters or none; and every rule
of it is needed: without it spin finds such an order."""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("claim.pml")
DEPTH = 100000

pytestmark = pytest.mark.skipif(shutil.which("spin") is None, reason="there is no spin")

# What happens, or how the model is spoilt, and the definitions that make it so. The longest first: the others go by
# beside it.
HOLDS = {
    "a volume is taken from who lives, an answer goes astray, an instance ends": "DETACHED=1 LOST=1 ENDS=1",
    "nothing goes wrong": "",
    "instances end, and a daemon is killed anywhere": "ENDS=2 CRASHES=1",
    "instances end, and an answer or a request of the past goes astray": "ENDS=2 LOST=1",
    "a daemon is killed, and an answer goes astray": "CRASHES=1 LOST=1",
    "a volume is taken from who lives, and a daemon is killed": "DETACHED=1 CRASHES=1",
    "the index is lost once there is data, an instance ends, a daemon is killed": "SLIPS=1 ENDS=1 CRASHES=1",
    "the store ignores conditions": "STORE_IGNORES_CONDITIONS ENDS=1 LOST=1",
}
REACHED = {
    "a master that serves": "REACHED=1",
    "its successor, on the same volume": "REACHED=2 ENDS=1",
    "a takeover, on another volume": "REACHED=3 ENDS=2",
}
NOTICED = {
    "a claim put without If-None-Match": "CLAIM_UNCONDITIONAL",
    "a store that ignores conditions, and is not asked": "STORE_IGNORES_CONDITIONS CONDITIONS_UNCHECKED",
    "an answer believed that may be another's or lost, instead of what lies there": "ANSWER_BELIEVED LOST=1 ENDS=1",
    "a claim left in the name of who wrote it before": "RESUME_IN_ANOTHERS_NAME ENDS=1",
    "a takeover without asking EC2": "TAKEOVER_UNASKED",
    "a takeover from an instance that is shutting down": "TAKEOVER_FROM_SHUTTING_DOWN ENDS=1",
    "a takeover without If-Match": "TAKEOVER_UNCONDITIONAL ENDS=1",
    "a volume that attaches to two instances": "NO_FENCE",
    "an index put without a condition": "INDEX_UNCONDITIONAL DETACHED=1",
    "an index put before its files": "INDEX_BEFORE_FILES",
    "etcd started before the identity is complete": "ETCD_BEFORE_COMPLETE SLIPS=1 ENDS=1",
    "addresses taken before the secrets tell whose volume it is": "ADDRESSES_BEFORE_SECRETS",
    "addresses not looked at again": "ADDRESSES_NOT_LOOKED_AT_AGAIN DETACHED=1",
}


def search_all(definitions, folder):
    """How spin ends that looks at every state, and what it says. Partial order reduction is off, as it does not go with
    "provided"."""
    said = ""
    options = ("-DSAFETY", "-DNOREDUCE", "-DCOLLAPSE", "-DMEMLIM=8000")
    for command in (["spin", *(f"-D{word}" for word in definitions.split()), "-a", MODEL],
                    ["gcc", "-O2", "-w", *options, "-o", "pan", "pan.c"],
                    ["./pan", "-n", "-E", f"-m{DEPTH}", "-w24"]):
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False)
        said += done.stdout
        if done.returncode != 0:
            break
    return done.returncode, said


@pytest.fixture(scope="module")
def said(request, tmp_path_factory):
    """said(DEFINITIONS): how spin ends with them, and what it says. All that were asked for are begun in their order,
    as many at a time as there are processors."""
    wanted = [item.callspec.params["definitions"] for item in request.session.items if item.path == request.path]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        searches = {definitions: pool.submit(search_all, definitions, tmp_path_factory.mktemp("model"))
                    for definitions in wanted}
        yield lambda definitions: searches[definitions].result()
        pool.shutdown(cancel_futures=True)


def rows(table):
    return [pytest.param(definitions, id=what.replace(" ", "-")) for what, definitions in table.items()]


@pytest.mark.parametrize("definitions", rows(HOLDS))
def test_it_holds_where(said, definitions):
    status, output = said(definitions)
    assert status == 0 and re.search("errors: 0$", output, re.M), output
    assert not re.search("max search depth too small|out of memory|memory limit|not completed", output, re.I), output
    print(*re.findall(r"\S+ states, stored|elapsed time \S+ seconds", output))


def assert_found(output):
    assert re.search("errors: 1$", output, re.M) and "assertion violated" in output, output


@pytest.mark.parametrize("definitions", rows(REACHED))
def test_the_model_reaches(said, definitions):
    assert_found(said(definitions)[1])


@pytest.mark.parametrize("definitions", rows(NOTICED))
def test_it_is_noticed_in_a_model_with(said, definitions):
    assert_found(said(definitions)[1])
