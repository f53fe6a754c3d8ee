# SPDX-License-Identifier: Apache-2.0
"""What all tests under pytest share. With TAP_TOTALS=FILE, how the cases of each file ended and what they took is
added to it, as test/tools/run does for the unit programs."""

import fcntl
import json
import os
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_runtest_setup(item):
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.skip("needs root")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("takes_minutes") is None)


@pytest.fixture(scope="session")
def build():
    """Makes targets of a build: build("effects", "kube-bootstrap") returns the program's path."""
    def made(variant, *targets):
        folder = ROOT / "build" / variant
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # other files are tried at the same time
            done = subprocess.run(["make", "-s", f"-j{os.cpu_count()}", f"VARIANT={variant}",
                                   *(f"build/{variant}/{target}" for target in targets)], cwd=ROOT, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
        return folder / targets[0]
    return made


# What it took

def cpu_s():
    """Of this process and its children that have ended."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    pytest_runtest_protocol.before = cpu_s()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    now = cpu_s()
    report.cpu_s, pytest_runtest_protocol.before = now - pytest_runtest_protocol.before, now
    return report


class Totals:
    """Of each file; a claim made with the fixture subtests counts as a case, in the place of the test that makes it."""

    def __init__(self, path):
        self.path = path
        self.files = defaultdict(lambda: {"passed": 0, "failed": 0, "skipped": 0, "skips": [], "took_s": 0, "cpu_s": 0})
        self.claims = defaultdict(Counter)  # by the test

    def pytest_runtest_logreport(self, report):
        file, test = self.files[report.nodeid.partition("::")[0]], self.claims[report.nodeid]
        file["cpu_s"] += getattr(report, "cpu_s", 0)  # a claim's too: of what was done since the one before
        if hasattr(report, "context"):
            if report.skipped:
                file["skipped"] += 1
                file["skips"].append(f"{report.nodeid.partition('::')[2]}: {report.context.msg}")
            else:
                test["failed" if report.failed else "passed"] += 1
            return
        file["took_s"] += report.duration
        if report.skipped:
            file["skipped"] += 1
            file["skips"].append(report.nodeid.partition("::")[2])
        elif report.failed:  # in setup or teardown, too
            file["passed"] += test.pop("passed", 0)
            file["failed"] += test.pop("failed", 0) or 1
        elif report.when == "call":
            file["passed"] += test.pop("passed", 0) or 1

    def pytest_collectreport(self, report):
        if report.failed:
            self.files[report.nodeid]["failed"] += 1
        elif report.skipped:  # the file as a whole
            self.files[report.nodeid]["skipped"] += 1
            self.files[report.nodeid]["skips"].append(report.nodeid)

    def pytest_sessionfinish(self):
        with open(self.path, "a", encoding="utf-8") as file:
            for name, totals in self.files.items():
                ended = {"part": os.environ.get("TAP_PART", ""), "program": f"test/{name}", **totals}
                file.write(json.dumps(ended) + "\n")


def pytest_configure(config):
    if os.environ.get("TAP_TOTALS") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Totals(os.environ["TAP_TOTALS"]))
