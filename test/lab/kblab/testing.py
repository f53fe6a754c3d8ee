# SPDX-License-Identifier: Apache-2.0
"""What a test of the lab is written with: claims, commands, waiting.

A claim is a case of its own, reported by pytest's subtests, and a test goes on after one that does not hold. In a
fixture, where no test is there to report it, such a claim is an error.
"""

import contextlib
import time

import pytest

from . import machine
from .settings import LAB, LabError, run_to_end


class Untrue(pytest.fail.Exception):
    """A claim that does not hold."""


_subtests = []  # of the test that runs; none in a fixture


@contextlib.contextmanager
def reported_by(subtests):
    """Has claims reported by a test's fixture subtests."""
    _subtests.append(subtests)
    try:
        yield
    finally:
        _subtests.pop()


def ok(claim, what, why=""):
    """Reports one claim; `why` is shown where it does not hold."""
    with _subtests[-1].test(what) if _subtests else contextlib.nullcontext():
        if not claim:
            raise Untrue(f"{what}\n{why}".rstrip(), pytrace=False)
    return bool(claim)


def equal(got, wanted, what):
    """Reports whether these are the same."""
    return ok(got == wanted, what, f"got    {got!r}\nwanted {wanted!r}")


def lab(*words, check=True, timeout_s=600):
    """Runs the lab's command, and returns what it wrote; with check=False, the finished process."""
    done = run_to_end([LAB / "lab", *map(str, words)], timeout_s)
    if not check:
        return done
    if done.returncode != 0:
        raise AssertionError(f"lab {' '.join(map(str, words))}: status {done.returncode}: "
                             f"{done.stderr.strip()} {done.stdout.strip()}")
    return done.stdout


def inside(name, script):
    """Runs a shell script inside an instance, as "lab exec" does; returns what it wrote, without the last newline."""
    try:
        done = machine.find(name).run("sh", "-euc", script)
    except LabError as error:
        raise AssertionError(str(error)) from error
    if done.returncode != 0:
        raise AssertionError(f"{name}: {script}: status {done.returncode}: {done.stderr.strip()} {done.stdout.strip()}")
    return done.stdout.rstrip("\n")


def eventually(probe, timeout_s=300, pause_s=0.1):
    """Calls `probe` until it returns something true, which is returned; None after the timeout, which is long: a test
    tells what comes, not how soon.

    An AssertionError, as from lab(), or a LabError counts as "not yet".
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            result = probe()
        except (AssertionError, LabError):
            result = None
        if result:
            return result
        if time.monotonic() > deadline:
            return None
        time.sleep(pause_s)
