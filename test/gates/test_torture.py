# SPDX-License-Identifier: Apache-2.0
"""Runs the unit tests with allocations failing one at a time (see test/unit/torture.h). A check may fail
then, and ends the test; what must not come of it is a crash, a sanitizer's report or a hang.

  test/pytest -n 4 --dist worksteal test/gates/test_torture.py
                            a few of each program's allocations, always the same (SEED=N: others)
  SHARE=1 test/pytest --timeout 0 …
                            each allocation once: of those with the same stack, the first

How many failed is shown with -rP. To see what a program says when the one with a STACK fails, which a failed case
names: TORTURE_FAIL=STACK build/torture/unit/PROGRAM
"""

import os
import random
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import isolated

pytestmark = pytest.mark.needs_root

TREE = Path(__file__).resolve().parents[2]
PROGRAMS = sorted(path.stem for path in TREE.glob("test/unit/test_*.c"))
SEED = int(os.environ.get("SEED", 1))  # which share
FEW = 8  # of each program
PATIENCE_S = 600  # the longest program takes half a minute alone, and several where all are run at once
JOBS = 4  # of one program at a time: most of the time they wait


def run(test, **variables):
    """Its status (None: hung), what it said, and what the sanitizers said of any of its processes."""
    with isolated.folder() as folder:
        options = f"log_path={folder}/report:detect_leaks=0:handle_abort=1:allocator_may_return_null=1"
        status, output = isolated.run([TREE / "build/torture/unit" / test], folder, PATIENCE_S, ASAN_OPTIONS=options,
                                      UBSAN_OPTIONS="print_stacktrace=1", **variables)
        reported = "".join(path.read_text(errors="replace") for path in sorted(Path(folder).glob("report.*")))
        if "runtime error: " in output:  # UBSan writes nowhere else
            reported += output
        return status, output, reported


def is_the_tests(report):
    """Returns whether a test went on with NULL that it was given in place of what failed to be made."""
    if not re.search(r"SEGV on unknown address 0x0{8,}[0-9a-f]{1,4} |runtime error: .*null pointer", report):
        return False
    stack = re.split(r"\n\s*\n", report)[0]  # the one of the fault comes first
    places = re.findall(r"^((?:bootstrap|test)/\S+): runtime error: .*null pointer"
                        r"|^ +#\d+ 0x[0-9a-f]+ in .* ((?:bootstrap|test)/\S+)$", stack, re.M)
    places = [error or frame for error, frame in places]
    return bool(places) and places[0].startswith("test/unit/")


def run_and_log(test, **variables):
    """The calls that were told of, [place, stack] each; and what went wrong, in lines."""
    with tempfile.NamedTemporaryFile("r") as log:
        status, output, report = run(test, TORTURE_LOG=log.name, **variables)
        calls = [line.split() for line in log]
    may_be = {0, 1} if "TORTURE_FAIL" in variables else {0}
    if status in may_be and (not report or is_the_tests(report)):
        return calls, []
    how = "hung" if status is None else f"ended with {status}"
    return calls, [f"{test} {variables}: {how}", *(report or output).splitlines()[:60]]


def allocations(test):
    """The stacks of those that are to fail, how many different ones there are, and what went wrong."""
    calls, wrong = run_and_log(test)
    stacks = sorted({stack for _, stack in calls})
    few = round(len(stacks) * float(os.environ["SHARE"])) if "SHARE" in os.environ else FEW
    return random.Random(f"{SEED} {test}").sample(stacks, min(few, len(stacks))), len(stacks), wrong


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_failed_allocation_is_fatal(program, build):
    build("torture", f"unit/{program}")
    stacks, different, wrong = allocations(program)
    with ThreadPoolExecutor(JOBS) as pool:
        ended = list(pool.map(
            lambda stack: run_and_log(program, TORTURE_FAIL=stack, TEST_PATIENCE_S="20"), stacks))
    failed = sum(bool(calls) for calls, _ in ended)  # not all are met again in a test with threads
    print(f"{failed} of {different} allocations failed")
    wrong += [line for _, lines in ended for line in lines]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)
    assert failed or not stacks, "none of them has failed"
