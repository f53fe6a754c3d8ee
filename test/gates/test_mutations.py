# SPDX-License-Identifier: Apache-2.0
"""Takes one behaviour of mutations.list at a time out of the daemon: the case it names must pass before, and
fail then. Those whose tests are unit programs and those whose tests are integration tests are two parts of test/all:

  test/pytest -n 4 --dist worksteal test/gates/test_mutations.py::test_a_unit_program_misses
  test/pytest test/gates/test_mutations.py -k "integration and [9- and claim"
"""

import functools
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import isolated
import pytest

pytestmark = pytest.mark.needs_root

TREE = Path(__file__).resolve().parents[2]
LIST = TREE / "test/gates/mutations.list"
PATIENCE_S = {"unit": 300, "integration": 600}


@dataclass
class Mutation:
    """A line of the list, and those below it."""
    number: str
    what: str
    path: str = ""
    case: str = ""
    test: str = ""
    old: list = field(default_factory=list)
    new: list = field(default_factory=list)

    @property
    def kind(self):
        return self.test.partition("/")[0]

    def apply(self, text):
        """The text with it; None where the place is not there exactly once."""
        pattern = r"\s+".join(re.escape(word) for word in " ".join(self.old).split())
        return re.sub(pattern, lambda _: "\n".join(self.new), text) \
            if len(re.findall(pattern, text)) == 1 else None


def read_list():
    mutations, place = [], None
    for line in LIST.read_text().splitlines():
        if line.startswith("= "):
            _, number, what = line.split(" ", 2)
            mutations.append(Mutation(number, what))
        elif line.startswith("? "):
            mutations[-1].case = line[2:]
        elif line[:1] in ("-", "+"):
            place = mutations[-1].old if line[0] == "-" else mutations[-1].new
            place.append(line[2:])
        elif line.startswith("  "):
            place.append(line)
        elif line and not line.startswith("#"):
            mutations[-1].path, mutations[-1].test = line.split()
    return mutations


def run_test(tree, test, case, **variables):
    """What a case says: its status, or that it hung (None), and its output. A unit program is built first."""
    kind, _, name = test.partition("/")
    if kind == "unit":
        command = [tree / "build/debug/unit" / name, "-k", case]
        made = subprocess.run(["make", "-s", "VARIANT=debug", "WARNINGS=-w", f"build/debug/unit/{name}"],
                              cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if made.returncode != 0:
            return made.returncode, made.stdout
    else:
        command = [tree / "test/pytest", "-rA", f"{tree}/test/{test}::{case}"]
    with isolated.folder() as folder:
        return isolated.run(command, folder, PATIENCE_S[kind], MAKEFLAGS="WARNINGS=-w", **variables)


def passes(mutation, output):
    """Returns whether the named case does; None: the test says nothing of it, or skips it."""
    case = re.escape(mutation.case)
    if mutation.kind == "unit":
        said = re.findall(rf"^(ok|not ok) \d+ - {case}$", output, re.M)
    else:
        said = re.findall(rf"^(PASSED|FAILED) \S*::{case}(?= - |$)", output, re.M)
    return said[0] in ("ok", "PASSED") if len(said) == 1 else None


def told(how, status, output):
    return "\n".join([f"{how}: status {status}", *output.splitlines()[-10:]])


@functools.cache
def clean_run(test, case):
    """What it says with nothing taken out, for all that name it."""
    return run_test(TREE, test, case)


def check(mutation, tree):
    path = tree / "bootstrap" / mutation.path
    text = path.read_text()
    changed = mutation.apply(text)
    assert changed is not None, f"what is to be taken out of {mutation.path} is not there once"
    clean = clean_run(mutation.test, mutation.case)
    if not passes(mutation, clean[1]):
        pytest.fail(told("with nothing taken out", *clean), pytrace=False)
    try:
        path.write_text(changed)
        spoiled = run_test(tree, mutation.test, mutation.case, TEST_PATIENCE_S="30")
    finally:
        path.write_text(text)
    if passes(mutation, spoiled[1]) is not False:
        pytest.fail(told("not found", *spoiled), pytrace=False)


@pytest.fixture(scope="session")
def tree(build):
    """A copy with what is built of it, its times kept: a mutation costs one object and a link."""
    units = {Path(mutation.test).name for mutation in MUTATIONS if mutation.kind == "unit"}
    build("debug", "kube-bootstrap", *(f"unit/{name}" for name in sorted(units)))
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(TREE, f"{folder}/tree", symlinks=True, ignore=shutil.ignore_patterns(
            ".git", "fuzz", "asan", "torture")))


@pytest.fixture(autouse=True)
def no_records(monkeypatch):
    """What a mutated daemon loses stands in no table, and its tests in no totals; they are no worker's."""
    for name in ("FAULTS_TABLE", "SHARE", "TAP_TOTALS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)


MUTATIONS = read_list()


def entries(kind):
    chosen = [mutation for mutation in MUTATIONS if mutation.kind == kind]
    return pytest.mark.parametrize("mutation", chosen, ids=[
        f"{mutation.number}-{mutation.what}".replace(" ", "-") for mutation in chosen])


@entries("unit")
def test_a_unit_program_misses(mutation, tree):
    check(mutation, tree)


@entries("integration")
def test_an_integration_test_misses(mutation, tree):
    check(mutation, tree)
