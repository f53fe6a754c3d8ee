# SPDX-License-Identifier: Apache-2.0
"""What a test of the lab is written with: claims as TAP, commands, waiting."""

import contextlib
import subprocess
import sys
import time
import traceback

from . import machine, region
from .settings import LAB, LabError

_counted = {"ok": 0, "not ok": 0}


def ok(claim, what, why=""):
    """Report one claim; `why` is shown where it does not hold."""
    result = "ok" if claim else "not ok"
    _counted[result] += 1
    print(f"{result} {sum(_counted.values())} - {what}")
    if not claim and str(why):
        print("".join(f"# {line}\n" for line in str(why).splitlines()), end="")
    sys.stdout.flush()
    return bool(claim)


def equal(got, wanted, what):
    """Report whether these are the same."""
    return ok(got == wanted, what, f"got    {got!r}\nwanted {wanted!r}")


def lab(*words, check=True, timeout_s=600):
    """Run the lab's command, and return what it wrote; with check=False, the finished process."""
    done = subprocess.run([LAB / "lab", *map(str, words)], stdin=subprocess.DEVNULL, check=False,
                          capture_output=True, text=True, timeout=timeout_s)
    if not check:
        return done
    if done.returncode != 0:
        raise AssertionError(f"lab {' '.join(map(str, words))}: status {done.returncode}: "
                             f"{done.stderr.strip()} {done.stdout.strip()}")
    return done.stdout


def inside(name, script):
    """Run a shell script inside an instance, as "lab exec" does; returns what it wrote, without the last newline."""
    try:
        done = machine.find(name).run("sh", "-euc", script)
    except LabError as error:
        raise AssertionError(str(error)) from error
    if done.returncode != 0:
        raise AssertionError(f"{name}: {script}: status {done.returncode}: {done.stderr.strip()} {done.stdout.strip()}")
    return done.stdout.rstrip("\n")


def eventually(probe, timeout_s=30, pause_s=0.1):
    """Call `probe` until it returns something true, which is returned; None after the timeout.

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


def main(test):
    """Run a test's function, print the plan, and exit."""
    try:
        test()
    except BaseException as error:  # whatever ended it, the plan is printed
        ok(False, f"ran to its end, not into {type(error).__name__}", traceback.format_exc())
    if _counted["not ok"]:
        with contextlib.suppress(LabError):
            print(f"# drawn by LAB_DRAW={region.control('GET', '/settings')['seed']}")
    print(f"1..{sum(_counted.values())}")
    sys.exit(1 if _counted["not ok"] else 0)
