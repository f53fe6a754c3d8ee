#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The simulated region refuses what AWS refuses: each rule of its front, asked by botocore.

The rest of the tests lean on the front being strict, so its strictness is tested first. It runs
here as an API alone, on the loopback, with no instances behind it. Prints TAP. With words, runs
only the checks that have one of them in their names.
"""

import itertools
import sys
import traceback

sys.dont_write_bytecode = True

from region_checks import ec2, faults, hook, imds, knobs, names, roles, s3, signatures, stacks  # noqa: E402
from region_checks.harness import Front, Skip, asked_for  # noqa: E402


def main():
    checks = [(f"{module.__name__.rpartition('.')[2]}: {name.replace('_', ' ')}", function)
              for module in (signatures, s3, ec2, imds, names, stacks, roles, knobs, faults, hook)
              for name, function in vars(module).items()
              if callable(function) and function.__module__ == module.__name__
              and not name.startswith("_")]
    checks = asked_for(checks)
    numbers = itertools.count(1)
    failed = 0
    # With and without a hook: only without one are the simulated machine's delays to be had.
    for front, mine in ((Front(), [c for c in checks if not c[0].startswith("hook:")]),
                        (Front("--hypervisor", hook.PROGRAM),
                         [c for c in checks if c[0].startswith("hook:")])):
        if mine:
            with front:
                failed += sum(not check(front, next(numbers), *c) for c in mine)
                number, bugs = next(numbers), front.bugs()
            for line in bugs:
                print(f"# {line}")
            print(f"{'not ok' if bugs else 'ok'} {number} - the front met no error of its own")
            failed += bool(bugs)
    print(f"1..{next(numbers) - 1}")
    return 1 if failed else 0


def check(front, number, name, function):
    front.reset()
    try:
        function(front)
        print(f"ok {number} - {name}", flush=True)
    except Skip as reason:
        print(f"ok {number} - {name} # SKIP {reason}", flush=True)
    except Exception:
        print(f"not ok {number} - {name}")
        for line in traceback.format_exc().splitlines():
            print(f"# {line}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
